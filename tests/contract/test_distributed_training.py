"""Two processes on CPU (gloo): FSDP2 and HSDP train as one process does, and states go from any number to any other."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from training_world import PRETRAINING, curve, make_world

from components.artifacts import read_manifest, write_json
from components.config import ConfigError
from components.launch import PROCESSES, ProcessFailed, launch
from components.runner import Result, execute

SMALL_STEPS = {**PRETRAINING, "micro_batch_tokens": 128, "save_every_s": 0.0}   # several micro-batches a process
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    world = make_world(tmp_path_factory.mktemp("world"))
    return {name: world[name] for name in ("tokens", "held_out", "tokenizer")}


def train(processes: int, inputs: dict[str, str], store: Path, **changes: Any) -> Result:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROCESSES, str(processes))
        return launch("pretraining", {**SMALL_STEPS, **changes}, inputs, store)


@pytest.fixture(scope="module")
def alone(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train(1, inputs, tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def together(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Result:
    return train(2, inputs, tmp_path_factory.mktemp("together"))


def killed(processes: int, inputs: dict[str, str], folder: Path) -> Path:
    """A store with what `processes` processes left that were killed at a random instant after their third state."""
    request = folder / "request.json"
    store = folder / "store"
    write_json(request, {"stage": "pretraining", "config": SMALL_STEPS, "inputs": inputs, "store": str(store)})
    command = [*TORCHRUN, f"--nproc-per-node={processes}", "-m", "components.launch", str(request)]
    child = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    workers: list[int] = []
    try:
        while not list(store.glob("pretraining/*.partial/work/states/step-00000003")):
            assert child.poll() is None, "it ended before it could be killed"
            time.sleep(0.002)
        workers = [int(pid) for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()]
        time.sleep(random.random() * 0.1)
    finally:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert len(workers) >= processes
    deadline = time.monotonic() + 10
    while any(Path(f"/proc/{pid}/exe").exists() for pid in workers):   # they die with torchrun, so none still writes
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return store


def assert_close(one: Result, other: Result) -> None:
    """Equal but for rounding: losses, gradient norms, weights, held-out measures."""
    first, second = curve(one.directory), curve(other.directory)
    assert len(first) == len(second) >= 8
    for line, same in zip(first, second, strict=True):
        assert line == pytest.approx(same, rel=1e-4)
        assert (line["tokens"], line["rows"]) == (same["tokens"], same["rows"])
    for name, value in one.metrics.items():
        if name.startswith("held_out_") and name.endswith("loss"):
            assert value == pytest.approx(other.metrics[name], rel=1e-4), name
    assert read_manifest(one.output("model")).totals == read_manifest(other.output("model")).totals
    weights = load_file(other.output("model") / "model.safetensors")
    for name, tensor in load_file(one.output("model") / "model.safetensors").items():
        torch.testing.assert_close(tensor, weights[name], rtol=1e-3, atol=1e-4, msg=name)


def test_two_processes_train_as_one_does(alone: Result, together: Result) -> None:
    assert not alone.reused and not together.reused
    assert alone.directory.name == together.directory.name   # how many there were is no part of the result
    assert_close(together, alone)


def test_two_killed_and_continued_by_two_or_by_one(
    alone: Result, together: Result, inputs: dict[str, str], tmp_path: Path
) -> None:
    store = killed(2, inputs, tmp_path)
    shutil.copytree(store, tmp_path / "copy")
    again = train(2, inputs, store)
    assert curve(again.directory) == curve(together.directory)   # exactly
    one, other = (load_file(each.output("model") / "model.safetensors") for each in (again, together))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())
    assert_close(train(1, inputs, tmp_path / "copy"), alone)


def test_one_killed_and_continued_by_two_copies_of_the_model(
    alone: Result, inputs: dict[str, str], tmp_path: Path
) -> None:
    store = killed(1, inputs, tmp_path)
    assert_close(train(2, inputs, store, compute={"shard_group": 1}), alone)   # HSDP


def test_errors_come_through(inputs: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"compute\.shard_group is 3; it must divide the number of processes, 2"):
        train(2, inputs, tmp_path, compute={"shard_group": 3})
    with pytest.raises(ConfigError, match="PET_NPROC_PER_NODE is 'two'"), pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROCESSES, "two")
        launch("pretraining", SMALL_STEPS, inputs, tmp_path)


def test_a_broken_step_is_named_by_all_processes_together(inputs: dict[str, str], tmp_path: Path) -> None:
    exploding = [{"tokens": 1, "start": 1e30, "end": 1e30}]
    with pytest.raises(ProcessFailed, match=r"pretraining: NonFiniteError: step 2: .*; look at row 4 of rows-0"):
        train(2, inputs, tmp_path, learning_rate=exploding, save_every_s=100.0)
    record = json.loads(next(tmp_path.glob("pretraining/*.partial/non_finite.json")).read_text())
    assert {row["row"] for row in record["rows"]} == {4, 5, 6, 7, 8}   # of both


def test_float8_is_refused_where_it_is_of_no_use(inputs: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"compute\.float8: a CPU has no float8 matrix products; an H100"):
        execute("pretraining", {**PRETRAINING, "compute": {"float8": True}}, inputs, tmp_path)
