"""Every program in `programs/` tries to break the claim in its first line, at every level this machine grants.

A program prints `BREACH` where it gets through. After each one, an honest program gets its right verdict in the same
slot, and nothing of the attack is left: no process, no file, no change outside.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import components.reward
from components.problems import CodeProblem, TestCase
from components.reward.code import compare, judge
from components.reward.sandbox import LEVELS, Limits, SandboxError, SandboxPool

PROGRAMS = sorted((Path(__file__).parent / "programs").glob("*.py"))
LIMITS = Limits(cpu_s=2, wall_s=30, memory_bytes=160 << 20)
IMPATIENT = replace(LIMITS, cpu_s=0.5, wall_s=1.2)  # where running out of time is the expected end
HONEST = "import statistics, heapq, random\nprint(sum(map(int, input().split())))\n"
HONEST_PROBLEM = CodeProblem(
    id="sum", source="test", prompt="add", tests=(TestCase(input="1 2\n", expected="3\n"),
                                                  TestCase(input="20 22\n", expected="42"))
)
MARKER = "marker-7f3a"


class World:
    """What there is to steal and to break outside the sandbox."""

    def __init__(self, directory: Path) -> None:
        self.secret = directory / "secret.txt"
        self.secret.write_text("tests and tokens")
        self.secret.chmod(0o666)                             # what the sandbox denies, file modes must not
        directory.chmod(0o777)
        self.directory = directory
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.unix = socket.socket(socket.AF_UNIX)
        self.unix.bind(str(directory / "service"))
        (directory / "service").chmod(0o777)
        self.abstract = socket.socket(socket.AF_UNIX)
        self.abstract.bind(f"\0mimo-attack-{os.getpid()}")
        for one in (self.unix, self.abstract):
            one.listen()
        self.files = self._files()

    def input(self, number: int) -> str:
        return json.dumps({
            "secret_file": str(self.secret), "parent": os.getpid(), "port": self.listener.getsockname()[1],
            "unix_socket": str(self.directory / "service"), "abstract_socket": f"mimo-attack-{os.getpid()}",
            "judge_source": str(Path(components.reward.__file__).parent), "marker": MARKER, "number": number,
        })

    def problem(self, function: str = "", count: int = 1) -> CodeProblem:
        secret = f"{MARKER}-EXPECTED"
        tests = tuple(
            TestCase(input=json.dumps([number]) if function else self.input(number),
                     expected=json.dumps(secret) if function else secret)
            for number in range(count)
        )
        return CodeProblem(id="attacked", source="test", prompt="p", tests=tests, function=function)

    def _files(self) -> dict[str, tuple[int, bytes]]:
        return {
            path.name: (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
            for path in self.directory.iterdir()
        }

    def assert_untouched(self) -> None:
        assert self._files() == self.files
        for listener in (self.listener, self.unix, self.abstract):
            listener.setblocking(False)
            with pytest.raises(BlockingIOError):
                listener.accept()


@pytest.fixture(scope="module", params=LEVELS)
def pool(request: pytest.FixtureRequest) -> Iterator[SandboxPool]:
    before = os.environ.get("MIMO_TEST_SECRET")
    os.environ["MIMO_TEST_SECRET"] = "in the judge's environment"
    try:
        pool = SandboxPool(1, level=request.param)
    except SandboxError as error:
        pytest.skip(f"not granted here: {error}")
    yield pool
    pool.close()
    os.environ.pop("MIMO_TEST_SECRET") if before is None else os.environ.update(MIMO_TEST_SECRET=before)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with tempfile.TemporaryDirectory(prefix="mimo-attacked-") as directory:   # below a directory all may enter
        yield World(Path(directory))


def header(source: str, key: str) -> str:
    prefix = f"# {key}: "
    return next((line[len(prefix):] for line in source.splitlines() if line.startswith(prefix)), "")


def descendants(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children] + [deep for child in children for deep in descendants(int(child))]


def assert_nothing_left(pool: SandboxPool) -> None:
    """Only the fork server (in its own process space: below its stub) lives, and the scratch directory is empty."""
    slot = pool._slots[0]
    assert slot._end_program()
    assert slot._process is not None and slot._directory is not None
    assert len(descendants(slot._process.pid)) == (1 if pool.level == "namespaces" else 0)
    assert list((slot._directory / "scratch").iterdir()) == []


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_attack_fails_and_the_next_program_is_judged_right(path: Path, pool: SandboxPool, world: World) -> None:
    source = path.read_text()
    function, allowed = header(source, "Function"), header(source, "Verdict").split()
    assert header(source, "Claim") and allowed and "pass" not in allowed
    problem = world.problem(function, 1 if allowed == ["timeout"] else 2)

    limits = IMPATIENT if "timeout" in allowed else LIMITS
    executions = pool.submit(source, [test.input.encode() for test in problem.tests], function, limits).result()

    for execution, test in zip(executions, problem.tests, strict=True):
        assert b"BREACH" not in execution.output, execution.output[:2000]
        assert compare(execution, test, problem) in allowed, execution
    assert_nothing_left(pool)
    world.assert_untouched()
    pool.memory._entries.clear()                             # or it would only be remembered
    assert judge(HONEST, HONEST_PROBLEM, pool).tests == ("pass", "pass")


COMPILER_BOMBS = {
    "nested parentheses": "(" * 100_000 + ")" * 100_000,
    "nested lists": "x = " + "[" * 5_000 + "]" * 5_000,
    "endless sum": "x = " + "+".join(["1"] * 200_000),
    "power of constants": "x = " + "**".join(["9"] * 500),
    "long repetition": "x = ('a' * 4096) * 4096 * 4096 * 4096",
    "null bytes": "print(1)\0print(2)",
    "coding cookie": "# coding: utf-7\n+AG8-",
    "deep indentation": "\n".join(" " * depth + "if 1:" for depth in range(3_000)),
    "surrogates": "print('\udc80')",
}


@pytest.mark.parametrize("name", COMPILER_BOMBS)
def test_the_compiler_is_no_way_in(name: str, pool: SandboxPool, world: World) -> None:
    verdict = judge(COMPILER_BOMBS[name], world.problem(), pool, LIMITS)
    assert set(verdict.tests) <= {"error", "memory", "timeout", "wrong"}
    assert_nothing_left(pool)
    assert judge(HONEST, HONEST_PROBLEM, pool).tests == ("pass", "pass")


def test_there_are_enough_attacks() -> None:
    assert len(PROGRAMS) >= 30


def test_the_threat_model_names_every_attack() -> None:
    readme = (Path(components.reward.__file__).parent / "README.md").read_text()
    assert [path.stem for path in PROGRAMS if f"`{path.stem}`" not in readme] == []
