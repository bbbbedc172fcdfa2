"""Resume state: model, optimizer, random state and any counters, in torch's DCP format, beside the HF checkpoint.

A state is copied in memory and written in the background while training goes on. It appears by rename when all files of
all processes are on disk; the newest two are kept. A damaged one (any file's sha256 differs) is passed over, saying so,
and the one before it is taken. A state can be loaded by any number of processes, whatever the number that saved it.
"""

from __future__ import annotations

import json
import shutil
import sys
import warnings
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.checkpoint as dcp
from torch import nn
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

from components.artifacts import file_sha256, write_json
from components.training.optimizer import Optimizer
from components.training.parallel import this_world

warnings.filterwarnings("ignore", message="torch.distributed is disabled")   # DCP says that there is one process

KEPT = 2
STATE = "state.json"


class SaveError(OSError):
    """A state that could not be written: the disk is full or gone. Earlier states are untouched."""


class StateSaver:
    """Saves states one after another, in the background. All processes must make the same calls."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._world = this_world()
        # the writers' own channel: what they say must not mix with what the training says meanwhile
        self._group = dist.new_group(backend="gloo") if self._world.size > 1 else None
        self._thread = ThreadPoolExecutor(1, "states")
        self._running: Future[None] | None = None
        if self._world.leader:
            for torn in directory.glob("*.partial"):   # by a kill while saving
                shutil.rmtree(torn)
        self._world.wait()

    def save(self, step: int, model: nn.Module, optimizer: Optimizer, counters: dict[str, Any]) -> None:
        """Begin to save the state after `step` steps; what is saved are the values of now. Waits for the one before.

        Args:
            counters: JSON values to get back from `load_latest`.

        Raises:
            SaveError: the state before could not be written; nothing half-written is left of it.
        """
        self.wait()
        partial = self._directory / f"step-{step:08d}.partial"
        written = dcp.async_save(
            _state(model, optimizer), checkpoint_id=partial, process_group=self._group, no_dist=self._group is None
        )
        assert isinstance(written, Future)
        self._running = self._thread.submit(self._finish, written, step, counters, partial)

    def wait(self) -> None:
        """Until the last state is on disk.

        Raises:
            SaveError: it could not be written.
        """
        running, self._running = self._running, None
        if running is not None:
            running.result()

    def close(self) -> None:
        """Wait for the last state, whose failure no longer matters, and end the thread."""
        self._thread.shutdown()

    def _finish(self, written: Future[Any], step: int, counters: dict[str, Any], partial: Path) -> None:
        """Every process names its files' sha256, the leader writes them down and renames."""
        files: dict[str, str] = {}
        failure = ""
        try:
            written.result()
            mine = "*" if self._group is None else f"__{self._world.rank}_*"
            files = {path.name: file_sha256(path) for path in sorted(partial.glob(mine))}
            if self._world.leader:
                files[".metadata"] = file_sha256(partial / ".metadata")
        except (OSError, CheckpointException) as error:
            failure = _cause(error)
        reports = self._exchange((files, failure))
        failures = [text for _, text in reports if text]
        if self._world.leader and not failures:
            digests = {name: digest for found, _ in reports for name, digest in found.items()}
            try:
                self._publish(partial, {"step": step, "counters": counters, "files": digests})
            except OSError as error:
                failures = [str(error)]
        failures += [text for _, text in self._exchange(({}, failures[0] if failures else "")) if text]
        if failures:
            if self._world.leader:
                shutil.rmtree(partial, ignore_errors=True)
            raise SaveError(f"{partial.with_suffix('')}: the state could not be saved: {failures[0]}")

    def _publish(self, partial: Path, record: dict[str, Any]) -> None:
        write_json(partial / STATE, record)
        final = partial.with_suffix("")
        shutil.rmtree(final, ignore_errors=True)
        partial.replace(final)
        for old in _states(self._directory)[:-KEPT]:
            shutil.rmtree(old)

    def _exchange(self, value: tuple[dict[str, str], str]) -> list[tuple[dict[str, str], str]]:
        if self._group is None:
            return [value]
        values: list[Any] = [None] * self._world.size
        dist.all_gather_object(values, value, group=self._group)
        return values


def save_state(directory: Path, step: int, model: nn.Module, optimizer: Optimizer, counters: dict[str, Any]) -> None:
    """Save one state and wait until it is on disk.

    Raises:
        SaveError: nothing half-written is left behind.
    """
    saver = StateSaver(directory)
    try:
        saver.save(step, model, optimizer, counters)
        saver.wait()
    finally:
        saver.close()


def load_latest(directory: Path, model: nn.Module, optimizer: Optimizer) -> tuple[int, dict[str, Any]] | None:
    """Load the newest undamaged state into `model` and `optimizer` and set the random state.

    Returns: (steps done, counters), or None when there is nothing to resume.
    """
    world = this_world()
    for path in reversed(_states(directory)):
        damage = next((found for found in world.gather(_damage(path, world.rank, world.size)) if found), "")
        if damage:
            if world.leader:
                print(f"{path}: {damage}; taking the state before it", file=sys.stderr)
            continue
        state = _state(model, optimizer)
        dcp.load(state, checkpoint_id=path, no_dist=world.size == 1)
        set_state_dict(model, optimizer.parts, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
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


def _damage(path: Path, rank: int, size: int) -> str:
    """What is wrong with this process's share of a state's files, empty if nothing is."""
    try:
        files = json.loads((path / STATE).read_text())["files"]
        mine = sorted(files)[rank::size]
        wrong = [name for name in mine if file_sha256(path / name) != files[name]]
    except (OSError, ValueError, KeyError) as error:
        return f"damaged ({error})"
    return f"damaged ({', '.join(wrong)})" if wrong else ""


def _cause(error: BaseException) -> str:
    """The first failure in words; DCP wraps it with the traceback of every process."""
    failures = getattr(error, "failures", {})
    first: Any = next(iter(failures.values()), error)
    return str(first[0] if isinstance(first, tuple) else first)
