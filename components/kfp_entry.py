"""What the body of every `component.py` calls: from KFP's artifacts to `execute` and back.

On a cluster this runs a stage and links its outputs into KFP's artifacts. Under the local runner, which sets `MIMO_RUN`
to the run's directory, the task also keeps its own log and progress file there and dies with the runner:

    <run>/logs/<node>.log               everything the task prints
    <run>/nodes/<node>.progress.json    share done and time left
    <run>/nodes/<node>.json             when it is done: the result in the store; when it failed: the error
"""

from __future__ import annotations

import fcntl
import math
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from components.artifacts import ArtifactError, read_manifest, write_json, write_link
from components.config import ConfigError, build
from components.launch import launch
from components.reporting import PROGRESS_FILE
from components.runner import Part, execute_part, find_stage

RUN = "MIMO_RUN"   # environment: the local run's directory
NODE = "MIMO_NODE"   # environment: the node of the recipe that a task stands for
LOCK = "lock"   # file in the run's directory, locked as long as the runner lives


def run_stage(
    stage: str,
    config: Mapping[str, Any],
    store: str,
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any],
    metrics: Any,
    report: Any,
) -> None:
    """Run `stage` for a KFP task.

    Args:
        config: the stage's config as a JSON object.
        store: the directory of results, mounted by every task.
        inputs: input name -> KFP artifact; None for an optional one that is not there.
        outputs: output name -> KFP artifact, which becomes a link to the result in the store, with the manifest's kind,
            fingerprint and totals as metadata.
        metrics: KFP Metrics; gets the stage's flat metrics.
        report: KFP HTML; gets the stage's report.
    """
    with _task(os.environ.get(NODE, stage)) as record:
        artifacts = {name: artifact.path for name, artifact in inputs.items() if artifact is not None}
        result = launch(stage, _integers(config), artifacts, store)
        for name, artifact in outputs.items():
            write_link(Path(artifact.path), result.output(name))
            manifest = read_manifest(result.output(name))
            artifact.metadata.update(manifest.totals, kind=manifest.kind, fingerprint=manifest.fingerprint)
        for name, value in result.metrics.items():
            if math.isfinite(value):   # KFP's metadata is JSON
                metrics.log_metric(name, value)
        shutil.copyfile(result.report, report.path)
        record |= {"result": str(result.directory), "reused": result.reused}


def run_share(
    stage: str, config: Mapping[str, Any], store: str, inputs: Mapping[str, Any], rank: int, world_size: int
) -> None:
    """Do a rank's share of `stage` for a KFP task; arguments as for `run_stage`."""
    with _task(f"{os.environ.get(NODE, stage)}.{rank}"):
        artifacts = {name: artifact.path for name, artifact in inputs.items() if artifact is not None}
        execute_part(stage, _integers(config), artifacts, store, Part(rank, world_size))


def validate_configs(stages: Mapping[str, str], configs: Mapping[str, Mapping[str, Any] | None]) -> None:
    """Refuse a wrong config before anything else runs.

    Args:
        stages: node -> the stage it runs.
        configs: node -> its config; None where this run has no such node.

    Raises:
        ConfigError: every wrong key of every config, one a line.
    """
    with _task("validate"):
        problems = []
        for node, config in configs.items():
            if config is None:
                continue
            try:
                build(find_stage(stages[node]).config_type, _integers(config), node)
            except ConfigError as error:
                problems.append(str(error))
        if problems:
            raise ConfigError("\n".join(problems))


def _integers(value: Any) -> Any:
    """Whole numbers as integers again: KFP's parameters know only floating point, and 2.0 is no range's bound."""
    if isinstance(value, Mapping):
        return {key: _integers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@contextmanager
def _task(node: str) -> Iterator[dict[str, Any]]:
    """The border of a task: a known error ends it with its message and status 1, anything else with a traceback."""
    run = os.environ.get(RUN)
    if run:
        _attach(Path(run), node)
    record: dict[str, Any] = {}
    start = time.monotonic()
    try:
        yield record
    except (ConfigError, ArtifactError) as error:
        record["error"] = str(error)
        print(f"error: {error}", file=sys.stderr, flush=True)
        sys.exit(1)
    except Exception as error:
        record["error"] = f"{type(error).__name__}: {error}"
        raise
    finally:
        if run:
            record["seconds"] = round(time.monotonic() - start, 3)
            write_json(Path(run) / "nodes" / f"{node}.json", record)


def _attach(run: Path, node: str) -> None:
    """Make this process a task of a local run: own process group, own log, and an end when the runner ends."""
    for folder in ("logs", "nodes"):
        (run / folder).mkdir(parents=True, exist_ok=True)
    os.environ[PROGRESS_FILE] = str(run / "nodes" / f"{node}.progress.json")
    log = os.open(run / "logs" / f"{node}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.setpgid(0, 0)   # Ctrl-C reaches the runner alone; the task and its workers then end together
    threading.Thread(target=_die_with_runner, args=(run / LOCK,), daemon=True).start()


def _die_with_runner(lock: Path) -> None:
    """Wait until the runner's lock is free, which the kernel sees to however it ended; then kill the whole group."""
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        os.killpg(0, signal.SIGKILL)
