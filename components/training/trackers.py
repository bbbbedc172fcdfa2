"""Where each step's metrics go beside `metrics.jsonl`: TensorBoard, Weights & Biases, MLflow.

A tracker is a function that takes one step's metrics. The libraries are optional (extra `trackers`) and imported
when they are asked for. Where servers are and who may write to them is said by the libraries' own environment variables
(WANDB_PROJECT, WANDB_API_KEY, MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, …), never by a config.
A stage that was interrupted goes on in the same TensorBoard folder and the same W&B or MLflow run.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from components.artifacts import write_text
from components.config import ConfigError
from components.runner import Outputs

Tracker = Callable[[Mapping[str, float]], None]


@contextmanager
def open_trackers(names: Sequence[str], outputs: Outputs, steps: int) -> Iterator[Tracker]:
    """One tracker that passes each step's metrics to all of `names`.

    Args:
        steps: how many steps are done; what was told of later ones belongs to work that was lost.

    Raises:
        ConfigError: a library is not installed.
    """
    with ExitStack() as stack:
        opened = [stack.enter_context(_TRACKERS[name](outputs, steps)) for name in names]

        def track(line: Mapping[str, float]) -> None:
            for tracker in opened:
                tracker(line)

        yield track


@contextmanager
def _tensorboard(outputs: Outputs, steps: int) -> Iterator[Tracker]:
    library = _library("torch.utils.tensorboard", "tensorboard")
    with library.SummaryWriter(str(outputs.root / "tensorboard"), purge_step=steps + 1) as writer:

        def track(line: Mapping[str, float]) -> None:
            for name, value in _values(line).items():
                writer.add_scalar(name, value, int(line["step"]))

        yield track


@contextmanager
def _wandb(outputs: Outputs, steps: int) -> Iterator[Tracker]:
    name = _run_name(outputs)
    with _library("wandb").init(id=name, name=name, group=outputs.stage.name, resume="allow") as run:

        def track(line: Mapping[str, float]) -> None:
            run.log(_values(line), step=int(line["step"]))

        yield track


@contextmanager
def _mlflow(outputs: Outputs, steps: int) -> Iterator[Tracker]:
    library = _library("mlflow")
    known = outputs.root / "mlflow_run"
    if known.exists():
        opened = library.start_run(run_id=known.read_text())
    else:
        opened = library.start_run(run_name=_run_name(outputs), tags={"stage": outputs.stage.name})
        write_text(known, opened.info.run_id)
    with opened:

        def track(line: Mapping[str, float]) -> None:
            library.log_metrics(_values(line), step=int(line["step"]), synchronous=False)   # no step waits for a server

        yield track
        library.flush_async_logging()


_TRACKERS: dict[str, Callable[[Outputs, int], AbstractContextManager[Tracker]]] = {
    "tensorboard": _tensorboard, "wandb": _wandb, "mlflow": _mlflow,
}  # fmt: skip


def _library(module: str, package: str = "") -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = package or module
        raise ConfigError(
            f"trackers: {package} is not installed ({error}): pip install 'mimo-pipeline[trackers]', or {package} alone"
        ) from None


def _run_name(outputs: Outputs) -> str:
    """The stage and the key of its result: the same when it goes on."""
    return f"{outputs.stage.name}-{outputs.root.stem}"


def _values(line: Mapping[str, float]) -> dict[str, float]:
    return {name: value for name, value in line.items() if name != "step"}
