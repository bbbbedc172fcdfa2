"""Trackers: TensorBoard's files read back; of W&B and MLflow what reaches their clients, which stand at the network."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from components.config import ConfigError
from components.registry import STAGES
from components.reporting import Progress, Report
from components.runner import Outputs
from components.training.metrics_log import open_log
from components.training.parallel import World


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    root = tmp_path / "0123456789abcdef.partial"
    root.mkdir()
    return Outputs(STAGES["pretraining"], root, "", {}, Progress("test"), Report("test"))


def run(outputs: Outputs, tracker: str, done: int, steps: range) -> list[dict[str, float]]:
    """Log `steps` of a run that continues after `done`."""
    with open_log(outputs, done, [tracker], World()) as log:
        for step in steps:
            log.write({"step": step, "loss": 8 / step, "tokens": 100 * step})
        return log.history


def test_tensorboard_shows_one_curve_of_an_interrupted_run(outputs: Outputs) -> None:
    run(outputs, "tensorboard", 0, range(1, 6))
    history = run(outputs, "tensorboard", 3, range(4, 8))   # killed after 5 steps, its last state was that of step 3
    assert [line["step"] for line in history] == list(range(1, 8))
    read = EventAccumulator(str(outputs.root / "tensorboard"))
    read.Reload()
    assert [(event.step, event.value) for event in read.Scalars("loss")] == [
        (step, pytest.approx(8 / step)) for step in range(1, 8)
    ]
    assert sorted(read.Tags()["scalars"]) == ["loss", "tokens"]


def test_wandb_goes_on_in_the_same_run(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    @contextmanager
    def init(**arguments: Any) -> Iterator[Any]:
        calls.append(arguments)
        yield SimpleNamespace(log=lambda values, step: calls.append((step, values)))
        calls.append("finished")

    monkeypatch.setitem(sys.modules, "wandb", SimpleNamespace(init=init))
    run(outputs, "wandb", 0, range(1, 3))
    run(outputs, "wandb", 1, range(2, 3))
    name = "pretraining-0123456789abcdef"
    opened = {"id": name, "name": name, "group": "pretraining", "resume": "allow"}
    second = (2, {"loss": 4.0, "tokens": 200})
    assert calls == [opened, (1, {"loss": 8.0, "tokens": 100}), second, "finished", opened, second, "finished"]


def test_mlflow_goes_on_in_the_same_run(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    class Run:
        info = SimpleNamespace(run_id="r1")

        def __enter__(self) -> None: ...

        def __exit__(self, *error: object) -> None: ...

    def start(**arguments: Any) -> Run:
        calls.append(arguments)
        return Run()

    fake = SimpleNamespace(
        start_run=start, log_metrics=lambda values, step, synchronous: calls.append((step, values["loss"])),
        flush_async_logging=lambda: calls.append("flushed"),
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    run(outputs, "mlflow", 0, range(1, 3))
    run(outputs, "mlflow", 1, range(2, 3))
    first = {"run_name": "pretraining-0123456789abcdef", "tags": {"stage": "pretraining"}}
    assert calls == [first, (1, 8.0), (2, 4.0), "flushed", {"run_id": "r1"}, (2, 4.0), "flushed"]


def test_a_missing_library_is_named(outputs: Outputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(ConfigError, match=r"trackers: wandb is not installed .*pip install 'mimo-pipeline"):
        run(outputs, "wandb", 0, range(1, 2))
