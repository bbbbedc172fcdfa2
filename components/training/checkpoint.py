"""Resume state: model, optimizer, random state and any counters, in torch's DCP format, beside the HF checkpoint.

A state appears by rename when all its files are on disk; the newest two are kept. A damaged one (any file's sha256
differs) is passed over, saying so, and the one before it is taken.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from components.artifacts import file_sha256, write_json
from components.training.optimizer import Optimizer

KEPT = 2
STATE = "state.json"


class SaveError(OSError):
    """A state that could not be written: the disk is full or gone. Earlier states are untouched."""


def save_state(directory: Path, step: int, model: nn.Module, optimizer: Optimizer, counters: dict[str, Any]) -> None:
    """Save the state after `step` steps.

    Args:
        counters: JSON values to get back from `load_latest`.

    Raises:
        SaveError: nothing half-written is left behind.
    """
    final = directory / f"step-{step:08d}"
    partial = final.with_suffix(".partial")
    for torn in directory.glob("*.partial"):   # by a kill while saving
        shutil.rmtree(torn)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")   # DCP announces that there is only one process
            dcp.save(_state(model, optimizer), checkpoint_id=partial, no_dist=True)
        files = {path.name: file_sha256(path) for path in sorted(partial.iterdir())}
        write_json(partial / STATE, {"step": step, "counters": counters, "files": files})
    except (OSError, CheckpointException) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise SaveError(f"{final}: the state could not be saved: {_cause(error)}") from error
    shutil.rmtree(final, ignore_errors=True)
    partial.replace(final)
    for old in _states(directory)[:-KEPT]:
        shutil.rmtree(old)


def load_latest(directory: Path, model: nn.Module, optimizer: Optimizer) -> tuple[int, dict[str, Any]] | None:
    """Load the newest undamaged state into `model` and `optimizer` and set the random state.

    Returns: (steps done, counters), or None when there is nothing to resume.
    """
    for path in reversed(_states(directory)):
        damage = _damage(path)
        if damage:
            print(f"{path}: {damage}; taking the state before it", file=sys.stderr)
            continue
        state = _state(model, optimizer)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dcp.load(state, checkpoint_id=path, no_dist=True)
        set_state_dict(
            model, optimizer.parts, model_state_dict=state["model"], optim_state_dict=state["optimizer"]
        )
        torch.set_rng_state(state["rng"])
        record = json.loads((path / STATE).read_text())
        return record["step"], record["counters"]
    return None


def _state(model: nn.Module, optimizer: Optimizer) -> dict[str, Any]:
    model_state, optimizer_state = get_state_dict(model, optimizer.parts)
    return {"model": model_state, "optimizer": optimizer_state, "rng": torch.get_rng_state()}


def _states(directory: Path) -> list[Path]:
    if not directory.is_dir():
        return []
    return sorted(path for path in directory.iterdir() if path.name.startswith("step-") and not path.suffix)


def _damage(path: Path) -> str:
    """What is wrong with a state, empty if nothing is."""
    try:
        files = json.loads((path / STATE).read_text())["files"]
        wrong = [name for name, digest in files.items() if file_sha256(path / name) != digest]
    except (OSError, ValueError, KeyError) as error:
        return f"damaged ({error})"
    return f"damaged ({', '.join(wrong)})" if wrong else ""


def _cause(error: BaseException) -> str:
    """The first failure in words; DCP wraps it with the traceback of every process."""
    failures = getattr(error, "failures", {})
    first: Any = next(iter(failures.values()), error)
    return str(first[0] if isinstance(first, tuple) else first)
