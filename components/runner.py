"""Runs a stage: the one path that the command line, the pipeline's components and the tests all take.

Results live in a store, `<store>/<stage>/<key>/`, where the key is a digest of the stage's code, its config (with the
files it names) and the fingerprints of its inputs. A result that is already there is reused; a run that was killed left
`<store>/<stage>/<key>.partial/`, which the next run of the same key continues. A finished result appears by rename.

Stages whose work falls into shards can be shared by many processes, on many machines that mount the store: each calls
`execute_part` with its rank and does every `world_size`-th job, ending each with a completion marker. `execute` then
finds their work, does what is missing, and finishes the outputs. The result knows nothing of how many there were.

    store/sft/4be1…/model/manifest.json …   one directory an output
    store/sft/4be1…/metrics.json            flat numbers
    store/sft/4be1…/report.html             what a person looks at
    store/sft/4be1…/config.json             the resolved config
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from components.artifacts import (
    Artifact,
    ArtifactError,
    Shard,
    open_artifact,
    read_manifest,
    remove_partials,
    write_json,
    write_manifest,
)
from components.config import ConfigError, StageConfig, build, digest
from components.registry import STAGES, Stage
from components.reporting import Progress, Report

COMPONENTS = Path(__file__).parent
SOURCES = (".py", ".jinja", ".tsv")   # code, and what code reads from its own folder
Job = TypeVar("Job")


class ShareDone(Exception):   # noqa: N818 - no error: it ends the stage's function where a rank's work ends
    """A rank has done its share of the jobs; only `execute_part` sees it."""


@dataclass(frozen=True)
class Part:
    """Which of `world_size` processes that share a stage's jobs this is."""

    rank: int
    world_size: int

    def __post_init__(self) -> None:
        if not 0 <= self.rank < self.world_size:
            raise ConfigError(f"rank {self.rank} of {self.world_size}: ranks go from 0 to {self.world_size - 1}")


class Team(Protocol):
    """Processes that run one stage together, each of them all of it (`training.parallel.World`)."""

    @property
    def leader(self) -> bool:
        """Whether this process is the one that writes."""

    def agree(self, flag: bool) -> bool:
        """The leader's flag, in every process."""


@dataclass
class Outputs:
    """Where a stage writes. Everything below it survives a kill and is there again when the stage is resumed."""

    stage: Stage
    root: Path
    config_digest: str
    parents: dict[str, str]
    progress: Progress
    report: Report
    metrics: dict[str, float] = field(default_factory=dict)
    finished: set[str] = field(default_factory=set)
    part: Part | None = None   # None: all jobs are this process's
    leader: bool = True   # of the processes that run the stage together; only it writes outputs

    def share(self, jobs: list[Job]) -> list[Job]:
        """The jobs of this rank; all of them where the stage is not shared."""
        return jobs if self.part is None else jobs[self.part.rank :: self.part.world_size]

    def end_share(self) -> None:
        """Call it when `share`'s jobs are done: what follows needs those of all ranks."""
        if self.part is not None:
            raise ShareDone

    @contextmanager
    def alone(self, name: str) -> Iterator[None]:
        """One rank at a time: for what the first to come does for all, and the others find done."""
        with (self.work / f"{name}.lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    @property
    def work(self) -> Path:
        """Scratch for resume state; removed when the stage is done."""
        return self._make(self.root / "work")

    def directory(self, name: str) -> Path:
        """The directory of output `name`."""
        if name not in self.stage.outputs:
            raise KeyError(f"{self.stage.name} has no output {name!r}, only {', '.join(self.stage.outputs)}")
        return self._make(self.root / name)

    def finish(self, name: str, kind: str, shards: Iterable[Shard], totals: Mapping[str, int | float | str]) -> None:
        """Write the manifest of output `name`; call it once per output, when all its files are there."""
        if kind != self.stage.outputs[name]:
            raise ValueError(f"{self.stage.name}.{name} is declared as {self.stage.outputs[name]!r}, not {kind!r}")
        remove_partials(self.directory(name))   # of processes that were killed
        write_manifest(
            self.directory(name),
            kind=kind,
            stage=self.stage.name,
            shards=shards,
            totals=totals,
            config_digest=self.config_digest,
            parents=self.parents,
        )
        self.finished.add(name)

    @staticmethod
    def _make(path: Path) -> Path:
        path.mkdir(parents=True, exist_ok=True)
        return path


@dataclass(frozen=True)
class Result:
    """A finished stage in the store."""

    directory: Path
    reused: bool

    def output(self, name: str) -> Path:
        return self.directory / name

    @property
    def metrics(self) -> dict[str, float]:
        return json.loads((self.directory / "metrics.json").read_text())

    @property
    def report(self) -> Path:
        return self.directory / "report.html"


def execute(
    stage_name: str,
    config: StageConfig | Mapping[str, Any],
    inputs: Mapping[str, str | Path],
    store: str | Path,
    team: Team | None = None,
) -> Result:
    """Run a stage, continue it, or find its finished result.

    Args:
        stage_name: a name in `registry.STAGES`.
        config: the stage's config, or its values.
        inputs: the directory of each input artifact; optional inputs may be left out.
        store: the directory that holds all results; shared by every run that should reuse them.
        team: the processes that call this together, of a stage that can be `distributed`; None: this one alone.

    Raises:
        ConfigError: wrong config or wrong inputs, before anything is written.
        ArtifactError: a damaged or wrong input.
    """
    leader = team is None or team.leader
    work = _prepare(stage_name, config, inputs, store, verify=leader)
    stage, final = work.stage, work.final
    if team is not None and not leader:
        if team.agree(False):
            return Result(final, reused=True)
        stage.run(work.config, work.inputs, work.outputs(leader=False))
        return Result(final, reused=not team.agree(False))
    with _lock(final.with_suffix(".lock"), fcntl.LOCK_EX):   # waits for ranks that are still at work
        complete = _is_complete(stage, final)
        if team is not None:
            team.agree(complete)
        if complete:
            return Result(final, reused=True)
        outputs = work.outputs()
        root = outputs.root
        stage.run(work.config, work.inputs, outputs)
        missing = set(stage.outputs) - outputs.finished
        if missing:
            raise ArtifactError(f"{stage.name}: ended without finishing output {', '.join(sorted(missing))}")
        write_json(root / "config.json", work.config.model_dump(mode="json"))
        write_json(root / "metrics.json", outputs.metrics)
        outputs.report.write(root / "report.html")
        shutil.rmtree(root / "work", ignore_errors=True)
        if final.exists():   # damaged, or _is_complete would have found it
            shutil.rmtree(final)
        root.replace(final)
        outputs.progress.finish()
        if team is not None:
            team.agree(True)
    return Result(final, reused=False)


def execute_part(
    stage_name: str,
    config: StageConfig | Mapping[str, Any],
    inputs: Mapping[str, str | Path],
    store: str | Path,
    part: Part,
) -> bool:
    """Do a rank's share of a stage's jobs, those that are not done yet; `execute` must follow.

    Returns: False where the whole result is there already.

    Raises:
        ConfigError: as `execute`, or a stage that cannot be shared.
    """
    work = _prepare(stage_name, config, inputs, store)
    if not work.stage.shared:
        able = ", ".join(name for name, stage in STAGES.items() if stage.shared)
        raise ConfigError(f"{stage_name}: cannot be shared by {part.world_size} processes; these can: {able}")
    with _lock(work.final.with_suffix(".lock"), fcntl.LOCK_SH):
        if _is_complete(work.stage, work.final):
            return False
        outputs = work.outputs(part)
        try:
            work.stage.run(work.config, work.inputs, outputs)
        except ShareDone:
            outputs.progress.finish()
            return True
    raise ArtifactError(f"{stage_name}: is declared as shared and never ended a rank's share")


@dataclass(frozen=True)
class _Work:
    """A checked stage, config and inputs, and where the result belongs."""

    stage: Stage
    config: StageConfig
    inputs: dict[str, Artifact]
    final: Path

    def outputs(self, part: Part | None = None, leader: bool = True) -> Outputs:
        root = self.final.with_suffix(".partial")
        root.mkdir(parents=True, exist_ok=True)
        name = self.stage.name
        parents = {key: artifact.fingerprint for key, artifact in self.inputs.items()}
        progress = Progress(name, silent=not leader)
        return Outputs(
            self.stage, root, self.config.digest(), parents, progress, Report(name), part=part, leader=leader
        )


def _prepare(
    stage_name: str, config: StageConfig | Mapping[str, Any], inputs: Mapping[str, str | Path], store: str | Path,
    verify: bool = True,
) -> _Work:  # fmt: skip
    stage = find_stage(stage_name)
    values = config if isinstance(config, StageConfig) else build(stage.config_type, config, stage_name)
    artifacts = _open_inputs(stage, inputs, verify)
    key = result_key(stage, values, {name: artifact.fingerprint for name, artifact in artifacts.items()})
    return _Work(stage, values, artifacts, Path(store) / stage.name / key)


def find_stage(name: str) -> Stage:
    if name not in STAGES:
        raise ConfigError(f"no stage {name!r}; stages: {', '.join(STAGES)}")
    return STAGES[name]


def result_key(stage: Stage, config: StageConfig, parents: Mapping[str, str]) -> str:
    """The name of a result: 16 hex digits over the stage's code, its config, the files that names, and its inputs."""
    values = config.result_values()
    return digest([stage.name, code_digest(stage), values, named_files(values), dict(parents)])[:16]


def named_files(values: Any) -> list[list[Any]]:
    """Name, size and time of the local files below every `path` in a config: pages added to a folder are new input.

    A path may be a file, a folder or a glob. What is not on this machine is left to its name.
    """
    if isinstance(values, Mapping):
        found = [file for value in values.values() for file in named_files(value)]
        path = values.get("path")
        return found + (_files(path) if isinstance(path, str) and path else [])
    if isinstance(values, list | tuple):
        return [file for value in values for file in named_files(value)]
    return []


def _files(pattern: str) -> list[list[Any]]:
    files: list[list[Any]] = []
    for name in sorted(glob.glob(pattern, recursive=True)):   # noqa: PTH207 - the pattern may be absolute
        path = Path(name)
        for file in [path] if path.is_file() else sorted(path.rglob("*")):
            if file.is_file():
                stat = file.stat()
                files.append([str(file), stat.st_size, stat.st_mtime_ns])
    return files


def code_digest(stage: Stage) -> str:
    """sha256 over the sources a stage may import: its own folder and every folder that is no other stage's.

    A folder that holds another stage's folder (evaluation/ holds gate/) is a shared room and always counts.
    """
    folders = {_folder(other) for other in STAGES.values()}
    rooms = {folder for folder in folders if any(folder in other.parents for other in folders)}
    foreign = folders - rooms - {_folder(stage)}
    hasher = hashlib.sha256()
    for path in sorted(path for path in COMPONENTS.rglob("*") if path.suffix in SOURCES):
        if path.name != "component.py" and foreign.isdisjoint(path.parents):
            hasher.update(path.relative_to(COMPONENTS).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return hasher.hexdigest()


def _folder(stage: Stage) -> Path:
    return COMPONENTS.joinpath(*stage.package.split(".")[1:])


def _open_inputs(stage: Stage, inputs: Mapping[str, str | Path], verify: bool) -> dict[str, Artifact]:
    unknown = set(inputs) - set(stage.inputs)
    if unknown:
        raise ConfigError(
            f"{stage.name}: no input {', '.join(sorted(unknown))}; it takes {', '.join(stage.inputs) or 'none'}"
        )
    artifacts = {}
    for name, kind in stage.inputs.items():
        if name in inputs:
            artifacts[name] = open_artifact(inputs[name], kind.rstrip("?"), verify=verify)
        elif not kind.endswith("?"):
            raise ConfigError(f"{stage.name}: input {name!r} ({kind}) is missing")
    return artifacts


def _is_complete(stage: Stage, directory: Path) -> bool:
    if not (directory / "metrics.json").is_file():
        return False
    try:
        for name in stage.outputs:
            read_manifest(directory / name)
    except ArtifactError:
        return False
    return True


@contextmanager
def _lock(path: Path, kind: int) -> Iterator[None]:
    """Two runs of the same result: the second waits and then finds the first one's work. Ranks share the lock."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        fcntl.flock(file, kind)
        yield
