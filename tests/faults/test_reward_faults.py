"""Processes of the judge are killed in the middle: no verdict is lost, none is invented."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import components.reward.sandbox.levels as levels_module
from components.problems import CodeProblem, TestCase
from components.reward import code, math_processes
from components.reward.config import RewardConfig
from components.reward.math import MathPool
from components.reward.rewards import Rewarder
from components.reward.sandbox import LEVELS, SandboxError, SandboxPool
from components.reward.sandbox.slot import Slot

PROBLEM = CodeProblem(id="p", source="test", prompt="p", tests=tuple(
    TestCase(input=f"{n}\n", expected=f"{n + 1}\n") for n in range(4)
))
SLOW = "import time\ntime.sleep(0.05)\nprint(int(input()) + 1)  # "


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def keep_killing(victims: Callable[[], list[int]], stop: threading.Event, times: int) -> None:
    for _ in range(times):
        if stop.wait(0.12):
            return
        for pid in victims()[:1]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("victim", ["fork server", "program", "test"])
@pytest.mark.parametrize("level", LEVELS)
def test_killing_the_judges_processes_changes_no_verdict(victim: str, level: levels_module.Level) -> None:
    try:
        pool = SandboxPool(1, level=level)
    except SandboxError as error:
        pytest.skip(f"not granted here: {error}")

    def victims() -> list[int]:
        process = pool._slots[0]._process
        found = [process.pid] if process else []
        generations = ["fork server", "program", "test"].index(victim)
        if generations and level == "namespaces":            # the fork server proper is its stub's child
            generations += 1
        for _ in range(generations):
            found = [child for pid in found for child in children(pid)]
        return found

    with pool:
        stop = threading.Event()
        killer = threading.Thread(target=keep_killing, args=(victims, stop, 3))
        killer.start()
        verdicts = code.judge_many([(f"{SLOW}{n}", PROBLEM) for n in range(4)], pool)
        stop.set()
        killer.join()
        assert [verdict.tests for verdict in verdicts] == [("pass",) * 4] * 4


def test_a_slot_that_never_comes_back_masks_the_completion(monkeypatch: pytest.MonkeyPatch) -> None:
    with Rewarder(RewardConfig(slots=1)) as rewarder:
        assert rewarder.score(PROBLEM, "```python\nprint(int(input()) + 1)\n```").value == 1.0
        monkeypatch.setattr(Slot, "start", lambda self: (_ for _ in ()).throw(SandboxError("no more processes")))
        rewarder.judge.sandbox_pool()._slots[0].stop()
        reward = rewarder.score(PROBLEM, "```python\nprint(int(input()) + 1) # again\n```")
        assert reward.value is None and reward.kind == "infrastructure" and not reward.passed
        monkeypatch.undo()
        assert rewarder.score(PROBLEM, "```python\nprint(int(input()) + 1) # again\n```").value == 1.0


def test_killing_math_processes_changes_no_verdict() -> None:
    with MathPool(1) as pool:
        assert pool.submit("x+1", "\\boxed{1+x}").result().kind == "correct"
        parent = pool._parent._process
        assert parent is not None
        for worker in children(parent.pid):
            os.kill(worker, signal.SIGKILL)
        assert pool.submit("y+1", "\\boxed{1+y}").result().kind == "correct"
        parent.kill()
        assert pool.submit("z+1", "\\boxed{1+z}").result().kind == "correct"       # its worker still lives
        for victim in (parent, pool._parent._process):
            assert victim is not None
            victim.kill()
        pool.submit("1", "\\boxed{" + "(" * 300 + "2" + ")" * 300 + "}").result()   # the worker is killed: no parent
        assert pool.submit("w+1", "\\boxed{1+w}").result().kind == "correct"


def test_math_without_processes_is_infrastructure_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: math_processes.Parent, control: object) -> None:
        raise OSError("no more processes")

    monkeypatch.setattr(math_processes.Parent, "fork", refuse)
    with MathPool(1) as pool:
        verdict = pool.submit("x+1", "\\boxed{1+x}").result()
    assert (verdict.kind, verdict.reward) == ("infrastructure", None)


def test_an_unreachable_level_is_refused_with_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels_module.os, "geteuid", lambda: 1000)
    with pytest.raises(SandboxError, match="own users need a start as root") as refused:
        SandboxPool(1, level="user")
    assert "minimum_level" in str(refused.value)


def test_a_breach_in_the_self_test_refuses_the_level(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels_module, "_PROBE", "print('breaches: /etc/passwd user: 1')  # %(uid)d %(namespaces)r")
    with pytest.raises(SandboxError, match="the self-test got through: breaches: /etc/passwd"):
        SandboxPool(1)


def test_nothing_outlives_a_judge_that_is_killed(tmp_path: Path) -> None:
    script = (
        "import os, sys, time\n"
        "from components.reward.sandbox import SandboxPool\n"
        "pool = SandboxPool(2)\n"
        "for _ in range(2): pool.submit('while True: pass', [b''] * 99)\n"
        "time.sleep(0.5)\n"
        "print(*(slot._process.pid for slot in pool._slots), flush=True)\n"
        "time.sleep(60)\n"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    judge = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment)
    assert judge.stdout is not None
    servers = [int(pid) for pid in judge.stdout.readline().split()]
    family = servers + [pid for server in servers for child in children(server) for pid in (child, *children(child))]
    judge.kill()
    judge.wait()
    judge.stdout.close()
    deadline = time.monotonic() + 10
    while (alive := [pid for pid in family if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(family) >= 4 and not alive


def descriptors_of(pid: int) -> int:
    """How many files a process has open; to an ordinary user, who may not look into it, the size of their table."""
    try:
        return len(list(Path(f"/proc/{pid}/fd").iterdir()))
    except PermissionError:
        sizes = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("FDSize:")]
        return int(sizes[0].split()[1])   # doubles as it fills: 300 leaked files would show


def test_many_programs_leak_nothing() -> None:
    with SandboxPool(1) as pool:
        def footprint() -> tuple[int, int, int]:
            server = pool._slots[0]._process
            assert server is not None
            descriptors = len(list(Path("/proc/self/fd").iterdir()))
            inner = children(server.pid) if pool.level == "namespaces" else [server.pid]
            return descriptors, descriptors_of(inner[0]), threading.active_count()

        def some(start: int) -> None:
            programs = [f"open('f','w').close()\nprint(int(input()) + 1)  # {n}" if n % 9 == 0 else f"print(1)  # {n}"
                        for n in range(start, start + 60)]
            code.judge_many([(program, PROBLEM) for program in programs], pool)

        some(0)
        before = footprint()
        some(100)
        some(200)
        assert footprint() == before
