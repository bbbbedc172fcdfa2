"""Run records: what was run, with which configs, from which inputs to which outputs. Plain files, readable forever.

    runs/store/                 results, shared by all runs (see components/runner.py)
    runs/latest                 link to the newest run
    runs/<id>/run.json          the record
    runs/<id>/pipeline.yaml     the pipeline that was executed
    runs/<id>/logs/<node>.log   what each task printed
    runs/<id>/report.html       the report of the whole run
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from components.artifacts import ArtifactError, read_manifest, write_text
from components.config import ConfigError, digest
from components.kfp_entry import LOCK
from components.registry import STAGES
from components.runner import code_digest, named_files
from pipelines.dag import NODES, Selection
from pipelines.profile import Profile

RECORD = "run.json"
Status = Literal["waiting", "running", "done", "cached", "given", "failed", "interrupted"]


class NodeRecord(BaseModel):
    """One node of a run. `inputs` and `outputs` are directories; `seconds` is what it took when it was computed."""

    model_config = ConfigDict(extra="forbid")

    stage: str
    status: Status = "waiting"
    config: dict[str, Any] = {}
    inputs: dict[str, str] = {}
    outputs: dict[str, str] = {}
    seconds: float = 0.0
    error: str = ""

    @property
    def result(self) -> Path | None:
        """The result's directory in the store, with metrics.json and report.html; None while there is none."""
        return Path(next(iter(self.outputs.values()))).parent if self.outputs else None


class Run(BaseModel):
    """The record of one run; `save` after every change."""

    model_config = ConfigDict(extra="forbid")

    id: str
    profile: str
    tree: dict[str, Any]
    key: str
    code: str
    created: str
    status: Literal["running", "finished", "failed", "interrupted"] = "running"
    rerun_of: str = ""
    given: dict[str, str] = {}
    nodes: dict[str, NodeRecord] = {}
    root: Path = Path()

    @property
    def directory(self) -> Path:
        return self.root / self.id

    @property
    def store(self) -> Path:
        return self.root / "store"

    @property
    def report(self) -> Path:
        return self.directory / "report.html"

    def log(self, node: str) -> Path:
        return self.directory / "logs" / f"{node}.log"

    def save(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        write_text(self.directory / RECORD, self.model_dump_json(indent=1, exclude={"root"}) + "\n")

    def artifact(self, edge: str) -> str:
        """The directory of `node.output` in this run.

        Raises:
            ConfigError: the run has no such result (yet).
        """
        name, _, output = edge.partition(".")
        directory = self.nodes[name].outputs.get(output) if name in self.nodes else None
        directory = directory or self.given.get(edge)
        if directory is None:
            raise ConfigError(f"run {self.id} has no {edge}: it has not got that far")
        return directory

    def is_complete(self) -> bool:
        """Whether every result of a finished run is still in the store."""
        if self.status != "finished":
            return False
        try:
            for node in self.nodes.values():
                for directory in node.outputs.values():
                    read_manifest(Path(directory))
        except ArtifactError:
            return False
        return True


def new_run(
    root: Path, profile: Profile, selection: Selection, rerun_of: Run | None = None
) -> Run:
    """Start a record. A rerun keeps the results of the nodes it does not run."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    base = f"{stamp}-{profile.name}"
    name, number = base, 1
    while (root / name).exists():
        number += 1
        name = f"{base}-{number}"
    nodes = {}
    if rerun_of is not None:
        kept = {key: node for key, node in rerun_of.nodes.items() if key not in selection.nodes and node.outputs}
        nodes = {key: node.model_copy(update={"status": "given"}) for key, node in kept.items()}
    for key, node in selection.nodes.items():
        config = profile.configs[key].model_dump(mode="json")
        nodes[key] = NodeRecord(stage=node.stage_name, config=config)
    return Run(
        id=name,
        profile=profile.name,
        tree=profile.tree,
        key=run_key(profile, selection),
        code=project_digest(),
        created=datetime.now().isoformat(timespec="seconds"),
        rerun_of=rerun_of.id if rerun_of else "",
        given=dict(selection.given),
        nodes={key: nodes[key] for key in NODES if key in nodes},
        root=root,
    )


def run_key(profile: Profile, selection: Selection) -> str:
    """What makes two runs the same: the values that decide the results, files they name, nodes, and what was given."""
    configs = {name: profile.configs[name].result_values() for name in selection.nodes}
    return digest([profile.name, configs, named_files(configs), selection.given])[:16]


def project_digest() -> str:
    """A digest of all stages' code."""
    return digest({name: code_digest(stage) for name, stage in STAGES.items()})[:16]


def list_runs(root: Path) -> list[Run]:
    """All runs below `root`, oldest first."""
    return [load_run(path.parent) for path in sorted(root.glob(f"*/{RECORD}")) if not path.parent.is_symlink()]


def find_run(root: Path, name: str = "latest") -> Run:
    """A run by id, or the newest by `latest`.

    Raises:
        ConfigError: no such run.
    """
    directory = root / name
    if not (directory / RECORD).is_file():
        known = ", ".join(run.id for run in list_runs(root)[-5:]) or "none yet: start one with mimo run"
        raise ConfigError(f"no run {name!r} in {root}; runs: {known}")
    return load_run(directory.resolve())


def load_run(directory: Path) -> Run:
    """Read a record. A run whose runner is gone without a word is `interrupted`."""
    path = directory / RECORD
    try:
        run = Run.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise ConfigError(f"{path}: not a run's record: {error}") from None
    run.root = directory.parent
    if run.status == "running" and not is_locked(directory):
        run.status = "interrupted"
        for node in run.nodes.values():
            if node.status == "running":
                node.status = "interrupted"
    return run


def find_same(root: Path, key: str) -> Run | None:
    """The newest run with this key."""
    return next((run for run in reversed(list_runs(root)) if run.key == key), None)


def mark_latest(run: Run) -> None:
    """Point `latest` at `run`."""
    partial = run.root / ".latest.partial"
    partial.unlink(missing_ok=True)
    partial.symlink_to(run.id)
    partial.replace(run.root / "latest")


def is_locked(directory: Path) -> bool:
    """Whether a runner works on this run now."""
    if not (directory / LOCK).exists():
        return False
    with (directory / LOCK).open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextmanager
def run_lock(run: Run, patience_s: float = 10) -> Iterator[None]:
    """Hold the run. Its tasks watch this lock and die when it is let go, however that happens.

    Raises:
        ConfigError: another process holds it.
    """
    run.directory.mkdir(parents=True, exist_ok=True)
    with (run.directory / LOCK).open("w") as file:
        deadline = time.monotonic() + patience_s   # tasks of a killed runner hold it for a moment as they die
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigError(f"run {run.id} is being run by another process") from None
                time.sleep(0.1)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def metrics_of(node: NodeRecord) -> Mapping[str, float]:
    """The flat metrics a node left, empty if it has none yet."""
    path = node.result / "metrics.json" if node.result else None
    return json.loads(path.read_text()) if path and path.is_file() else {}
