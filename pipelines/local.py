"""Runs the compiled pipeline on this machine, through `kfp.local`: each task a process, or a container of its image.

The pipeline that runs is the file that a cluster would get, images apart. KFP's cache skips what has run before; the
store below it finds results that KFP does not know, and continues what was interrupted. Tasks die with the runner.
"""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.console import Console

from components.artifacts import MANIFEST, ArtifactError, read_manifest
from components.kfp_entry import NODE, RUN
from pipelines.compile import compile_local, local_images
from pipelines.dag import NODES, Selection
from pipelines.display import Display
from pipelines.profile import Profile
from pipelines.runs import Run, list_runs, mark_latest, run_lock
from pipelines.stages import SHARE

if TYPE_CHECKING:
    from pipelines.containers import Engine


class StageError(RuntimeError):
    """A task of a run failed; holds the node, the task's own error, and where its log is."""

    def __init__(self, node: str, error: str, log: Path) -> None:
        super().__init__(error)
        self.node = node
        self.log = log


Runner = Literal["subprocess", "docker"]


def execute_run(
    run: Run, profile: Profile, selection: Selection, console: Console, runner: Runner = "subprocess"
) -> None:
    """Run `selection` into the record `run`, showing progress on `console`.

    Raises:
        StageError: a stage's own error.
        ConfigError: the run is in the hands of another process, or there is no container engine or image for it.
    """
    console.file = console.file   # the terminal of now: KFP's own output is redirected to a file below
    with run_lock(run), _engine(runner, run, profile, selection) as engine:
        run.status = "running"
        run.save()
        mark_latest(run)
        images = engine.stage_images() if engine else local_images()
        pipeline = compile_local(profile, selection, run.directory / "pipeline.yaml", images)
        for note in engine.notes if engine else ():
            console.print(note, soft_wrap=True)
        names = ["validate", *selection.nodes]
        with Display(console, run.directory, names, _expected_seconds(run)) as display:
            watcher = _Watcher(run, selection, display, engine)
            try:
                _run_pipeline(pipeline, run, watcher)
            except KeyboardInterrupt:
                watcher.interrupted()
                raise
        if watcher.failed:
            run.status = "failed"
            run.save()
            raise StageError(watcher.failed, watcher.error, run.log(watcher.failed))
        run.status = "finished"
        run.save()


@contextlib.contextmanager
def _engine(runner: Runner, run: Run, profile: Profile, selection: Selection) -> Iterator[Engine | None]:
    """The container engine that the tasks run in; None where they are processes."""
    if runner == "subprocess":
        yield None
        return
    mask = os.umask(0o002)   # containers of root share only their group with it
    try:
        from pipelines.containers import open_engine

        with open_engine(run, profile, selection) as engine:
            yield engine
    finally:
        os.umask(mask)


def _run_pipeline(path: Path, run: Run, watcher: _Watcher) -> None:
    from kfp import components, local

    kfp_root = run.store.resolve() / ".kfp"   # inside the store: who deletes results deletes what points at them
    with (
        (run.directory / "kfp.log").open("a", buffering=1) as log,
        contextlib.redirect_stdout(log),
        contextlib.redirect_stderr(log),
        warnings.catch_warnings(),
        _observed(watcher),
        watcher.engine.running() if watcher.engine else contextlib.nullcontext(),
    ):
        warnings.simplefilter("ignore")
        local.init(
            watcher.engine.runner() if watcher.engine else local.SubprocessRunner(use_venv=False),
            pipeline_root=str(kfp_root / run.id),
            workspace_root=str(kfp_root / "workspace" / run.id),   # KFP deletes this directory afterwards
            raise_on_error=False,
            enable_caching=True,
            cache_root=str(kfp_root / "cache"),
        )
        os.environ[RUN] = str(run.directory.resolve())
        speak = builtins.print   # the threads of a ParallelFor put KFP's indented one in its place and leave it there
        try:
            components.load_component_from_file(str(path))(store=str(run.store.resolve()))
        finally:
            builtins.print = speak
            del os.environ[RUN]


@contextlib.contextmanager
def _observed(watcher: _Watcher) -> Iterator[None]:
    """Let `watcher` see every task that kfp.local executes.

    kfp.local 2.17 has no hook for that, so the one function through which its orchestrator runs a task is wrapped.
    """
    from kfp.local.orchestrator import task_executor

    original = task_executor.execute_single_task

    def execute_single_task(**arguments: Any) -> tuple[dict[str, Any], Any]:
        return watcher.execute(original, arguments)

    task_executor.execute_single_task = execute_single_task
    try:
        yield
    finally:
        task_executor.execute_single_task = original


@dataclass
class _Watcher:
    """Follows the tasks of one run: keeps the record, tells the display, and stops the run at the first failure."""

    run: Run
    selection: Selection
    display: Display
    engine: Engine | None = None
    failed: str = ""
    error: str = ""

    def execute(self, original: Callable[..., Any], arguments: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        """Stand in for kfp.local's `execute_single_task`."""
        from kfp.local.status import Status

        if self.failed:
            return {}, Status.FAILURE   # KFP would go on with every task that does not depend on the failed one
        node = _node_of(arguments)
        if not node:
            return original(**arguments)   # an importer
        if self.engine:
            runner = self.engine.runner_for(arguments["runner"], node.removesuffix(SHARE))
            arguments = {**arguments, "runner": runner}
        if node.endswith(SHARE):
            return self._share(node, original, arguments)
        note = self.run.directory / "nodes" / f"{node}.json"
        for path in (note, note.with_suffix(".progress.json")):
            path.unlink(missing_ok=True)
        self._started(node)
        start = time.monotonic()
        outputs, status = original(**arguments)
        if status == Status.SUCCESS and not _links_hold(outputs):
            outputs, status = _without_cache(original, arguments)
        record = json.loads(note.read_text()) if note.exists() else {}
        if status == Status.SUCCESS:
            self._done(node, outputs, "done" if record and not record.get("reused") else "cached",
                       time.monotonic() - start)
        else:
            self._failed(node, record.get("error") or self._untold(node), time.monotonic() - start)
        return outputs, status

    def _untold(self, node: str) -> str:
        """Why a task ended that left no word itself."""
        if self.engine and self.engine.trouble:
            return self.engine.trouble
        if self.engine:
            return f"the task was killed; with more memory than {self.engine.memory(node)} that happens"
        return "the task was killed; a machine short of memory does that"

    def _share(
        self, node: str, original: Callable[..., Any], arguments: dict[str, Any]
    ) -> tuple[dict[str, Any], Any]:
        """A task that does part of a node's work: seen only when it fails."""
        from kfp.local.status import Status

        start = time.monotonic()
        outputs, status = original(**arguments)
        if status != Status.SUCCESS:
            notes = [json.loads(path.read_text()) for path in (self.run.directory / "nodes").glob(f"{node}.*.json")
                     if not path.name.endswith(".progress.json")]
            node = node.removesuffix(SHARE)
            error = next((note["error"] for note in notes if note.get("error")), self._untold(node))
            self._failed(node, error, time.monotonic() - start)
        return outputs, status

    def interrupted(self) -> None:
        """Ctrl-C: keep in the record how far it came."""
        for record in self.run.nodes.values():
            if record.status == "running":
                record.status = "interrupted"
        self.run.status = "interrupted"
        self.run.save()

    def _started(self, node: str) -> None:
        self.display.started(node)
        record = self.run.nodes.get(node)
        if record is not None:
            record.status, record.error = "running", ""
            record.inputs = {key: self.run.artifact(edge) for key, edge in self.selection.nodes[node].inputs.items()}
            self.run.save()

    def _done(self, node: str, outputs: Mapping[str, Any], status: Any, seconds: float) -> None:
        """Record, then tell: what was told to be done is done, should the run end here."""
        record = self.run.nodes.get(node)
        if record is not None:
            record.outputs = {name: _location(Path(outputs[f"{name}_out"].uri)) for name in NODES[node].stage.outputs}
            record.status = status
            if status == "done":
                record.seconds = round(seconds, 1)
            self.run.save()
        self.display.ended(node, status, seconds)

    def _failed(self, node: str, error: str, seconds: float) -> None:
        self.failed, self.error = node, error
        record = self.run.nodes.get(node)
        if record is not None:
            record.status, record.error = "failed", error
        self.run.save()
        self.display.ended(node, "failed", seconds)


def _node_of(arguments: Mapping[str, Any]) -> str:
    """The node a task stands for, which `placement` wrote into its environment; empty for an importer."""
    component = arguments["components"][arguments["task_spec"].component_ref.name]
    executor = arguments["executors"][component.executor_label]
    return next((item.value for item in executor.container.env if item.name == NODE), "")


def _location(link: Path) -> str:
    return read_manifest(link).location


def _links_hold(outputs: Mapping[str, Any]) -> bool:
    """Whether what the links of a cached task point at is still there."""
    links = [Path(artifact.uri) for name, artifact in outputs.items() if name.endswith("_out")]
    try:
        return all(
            read_manifest(Path(_location(link))).fingerprint == read_manifest(link).fingerprint
            for link in links if (link / MANIFEST).exists()
        )
    except ArtifactError:
        return False


def _without_cache(original: Callable[..., Any], arguments: dict[str, Any]) -> tuple[dict[str, Any], Any]:
    from kfp.local.config import LocalExecutionConfig

    LocalExecutionConfig.instance.enable_caching = False
    try:
        return original(**arguments)
    finally:
        LocalExecutionConfig.instance.enable_caching = True


def _expected_seconds(run: Run) -> dict[str, float]:
    """What each node took the last time it was computed under the same profile."""
    seconds: dict[str, float] = {}
    for other in list_runs(run.root):
        if other.profile == run.profile:
            seconds |= {name: node.seconds for name, node in other.nodes.items() if node.seconds}
    return seconds
