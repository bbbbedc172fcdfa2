"""Code verdicts, the program in a completion, and the rewards' common door."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from components.problems import CheckerProgram, CodeProblem, MathProblem, TestCase, Tolerance, parse_problem
from components.reward.code import CodeVerdict, _judge, extract_program, judge, judge_many
from components.reward.comparison import same_output, same_value
from components.reward.config import RewardConfig
from components.reward.rewards import Reward, Rewarder
from components.reward.sandbox import Execution, Limits, SandboxPool

LIMITS = Limits(cpu_s=0.5, wall_s=4.0, memory_bytes=192 << 20, output_bytes=4096)


def stdin_problem(*tests: tuple[str, str, float | None]) -> CodeProblem:
    return CodeProblem(id="stdin", source="test", prompt="p", tests=tuple(
        TestCase(input=given, expected=expected, pass_rate=rate) for given, expected, rate in tests
    ))


def function_problem(name: str, *tests: tuple[str, str]) -> CodeProblem:
    return CodeProblem(id="call", source="test", prompt="p", function=name, tests=tuple(
        TestCase(input=given, expected=expected) for given, expected in tests
    ))


SQUARE = stdin_problem(("3\n", "9\n", 0.9), ("-4\n", "16\n", 0.5), ("100000\n", "10000000000\n", 0.1))


@pytest.fixture(scope="module")
def pool() -> Iterator[SandboxPool]:
    with SandboxPool(2) as pool:
        yield pool


@pytest.mark.parametrize(("program", "expected"), [
    ("print(int(input()) ** 2)", ("pass", "pass", "pass")),
    ("print(int(input()) ** 2, end='')", ("pass", "pass", "pass")),
    ("import sys\nfor line in sys.stdin:\n    print(int(line) ** 2, ' ')\nprint()", ("pass", "pass", "pass")),
    ("import sys\nsys.stdout.write(str(int(open(0).read()) ** 2))\nexit()", ("pass", "pass", "pass")),
    ("if __name__ == '__main__':\n    print(int(input()) ** 2)", ("pass", "pass", "pass")),
    ("import numpy", ("error", "error", "error")),
    ("n = int(input())\nprint(n * n if n < 99 else 1 / 0)", ("pass", "pass", "error")),
    ("n = int(input())\nprint(n * abs(n))", ("pass", "wrong", "pass")),
    ("n = int(input())\nwhile n > 99: pass\nprint(n * n)", ("pass", "pass", "timeout")),
    ("n = int(input())\nx = bytearray(n << 20)\nprint(n * n)", ("pass", "error", "memory")),
    ("n = int(input())\nprint(n * n, 'x' * n)", ("wrong", "pass", "output_limit")),
    ("print(int(input()) ** 2); raise SystemExit(3)", ("error", "error", "error")),
    ("print(", ("error", "error", "error")),
    ("", ("wrong", "wrong", "wrong")),
    ("import os, sys\nprint(int(input()) ** 2)\nsys.stdout.flush()\nos.abort()", ("error", "error", "error")),
])
def test_every_test_reports_its_own_verdict(program: str, expected: tuple[str, ...], pool: SandboxPool) -> None:
    assert judge(program, SQUARE, pool, LIMITS).tests == expected


def test_function_calls_cross_as_strict_json(pool: SandboxPool) -> None:
    problem = function_problem(
        "f", ("[1]", "2"), ("[2.5]", "3.5"), ('["a"]', '["a", null]'), ("[true]", "true"),
        ('[{"k": [1]}]', '{"k": [1]}'),
    )
    program = """
def f(x):
    print("noise on stdout is not the answer")
    if isinstance(x, bool): return x
    if isinstance(x, (int, float)): return x + 1
    return (x, None) if isinstance(x, str) else x
"""
    assert judge(program, problem, pool).tests == ("pass",) * 5
    method = "class Solution:\n    def f(self, x):\n        return 1 if x is True else 2"
    assert judge(method, problem, pool).tests == ("pass", "wrong", "wrong", "wrong", "wrong")
    for wrong in ("{1}", "float('nan')", "object()", "{1: 2}", "2+0j", "b'x'"):
        assert set(judge(f"def f(x): return {wrong}", problem, pool).tests) == {"error"}, wrong
    assert judge("def g(x): return 2", problem, pool).tests == ("error",) * 5
    assert judge("def f(x): return x\nexit()", problem, pool).tests == ("error",) * 5


def test_a_corpus_gets_the_same_verdicts_on_any_number_of_slots() -> None:
    rng = random.Random(0)
    pieces = ["print(n * n)", "print(n)", "print(sorted({'b', 'a', str(n)}))", "print({'x', 'y', 'z'})", "1 / 0",
              "print(", "print(n ** 2 if n < 50 else 0)", "exit(n % 2)", "import heapq; print(n * n)"]
    programs = [f"n = int(input())\n# {index}\n{rng.choice(pieces)}" for index in range(120)]
    found: list[list[tuple[str, ...]]] = []
    for slots in (1, 3):
        with SandboxPool(slots) as pool:
            verdicts = judge_many([(program, SQUARE) for program in programs], pool, LIMITS)
            found.append([tuple(verdict.tests) for verdict in verdicts])
            sets = pool.submit("print({'x', 'y', 'z', 'w'})", [b""] * 3).result()
            found[-1].append(tuple(execution.output.decode() for execution in sets))
    assert found[0] == found[1]


def test_ordinary_python_works(pool: SandboxPool) -> None:
    program = """
import asyncio, collections, datetime, decimal, fractions, itertools, math, os, random, re, statistics, sys, threading
import dataclasses, enum, hashlib, json, string, tempfile, typing, zlib
sys.setrecursionlimit(10**6)
threading.stack_size(1 << 26)
def depth(n): return 0 if n == 0 else 1 + depth(n - 1)
result = []
thread = threading.Thread(target=lambda: result.append(depth(30000)))
thread.start(); thread.join()
with open("scratch.txt", "w") as file: file.write("x")
async def wait():
    await asyncio.sleep(0)
    return 5
print(result, open("scratch.txt").read(), asyncio.run(wait()), end=" ")
print("ü".encode("latin-1"), input().encode("idna"), os.getcwd() != "/")
"""
    tests = stdin_problem(("bücher\n", "[30000] x 5 b'\\xfc' b'xn--bcher-kva' True", None))
    assert judge(program, tests, pool).passed


@given(st.lists(st.text("ab \t", max_size=5), max_size=6), st.data())
def test_whitespace_at_ends_of_lines_is_all_that_is_forgiven(lines: list[str], data: st.DataObject) -> None:
    expected = "\n".join(lines).encode()
    padded = "\n".join(line + data.draw(st.text(" \t\r", max_size=2)) for line in lines)
    assert same_output((padded + data.draw(st.text("\n ", max_size=3))).encode(), expected)
    stripped = [line.rstrip() for line in lines]
    for index in range(len(lines)):
        changed = "\n".join([*stripped[:index], stripped[index] + "c", *stripped[index + 1 :]])
        assert not same_output(changed.encode(), expected)
        if stripped[index]:
            shifted = "\n".join([*stripped[:index], " " + stripped[index], *stripped[index + 1 :]])
            assert not same_output(shifted.encode(), expected)


@given(st.text("ab1.e- \n", max_size=12), st.text("ab1.e- \n", max_size=12))
def test_a_tolerance_forgives_numbers_only(left: str, right: str) -> None:
    loose = Tolerance(absolute=1e-3)
    output, expected = left.encode(), right.encode()
    if same_output(output, expected):
        assert same_output(output, expected, loose)
    elif same_output(output, expected, loose):  # then the words pair up, and those that differ are close
        pairs = [pair for pair in zip(left.split(), right.split(), strict=True) if pair[0] != pair[1]]
        assert pairs and all(abs(float(one) - float(other)) <= 1e-3 for one, other in pairs)


@pytest.mark.parametrize(
    ("output", "expected", "same"),
    [
        ("0.3333333\n", "0.333333333\n", True),
        ("yes 1.0000001 2\n1e3", "yes 1 2.0\n1000", True),
        ("1.1", "1.0", False),
        ("1000001", "1000000", True),  # relative
        ("nan", "1", False),
        ("inf", "1", False),
        ("1_0", "10", False),
        ("0x1", "1", False),
        ("1e999", "1e999 ", True),
        ("1e999", "1", False),
        ("1 1", "1", False),
        ("1\n1", "1 1", False),
        ("yes", "no", False),
        ("", "0", False),
        ("9" * 400, "9" * 400, True),
        ("9" * 400, "8" * 400, False),
    ],
)
def test_words_that_are_numbers_may_be_off(output: str, expected: str, same: bool) -> None:
    tolerance = Tolerance(absolute=1e-6, relative=1e-6)
    assert same_output(output.encode(), expected.encode(), tolerance) is same


def test_json_values_are_compared_by_type() -> None:
    near = Tolerance(absolute=0.01)
    for value, expected, exact, close in [
        (2, 2.0, True, True),
        (True, 1, False, False),
        (1, True, False, False),
        (None, None, True, True),
        (None, 0, False, False),
        ("1", 1, False, False),
        ([1.001], [1], False, True),
        ([1, 2], [1], False, False),
        ({"a": 1.001}, {"a": 1}, False, True),
        ({"b": 1}, {"a": 1}, False, False),
        ([], {}, False, False),
        (10**400, 10**400, True, True),
        (10**400, 1.5, False, False),
        ("a", "a", True, True),
        (True, True, True, True),
    ]:
        assert (same_value(value, expected), same_value(value, expected, near)) == (exact, close), (value, expected)


ENDINGS = [
    "print(input()); sys.stdout.close()",
    "print(input()); sys.stdout = None",
    "print(input()); os._exit(0)",
    "out = open(1, 'w'); out.write(input())",
    "out = os.fdopen(1, 'w'); print(input(), file=out)",
    "out = io.BufferedWriter(io.FileIO(1, 'w')); out.write(input().encode())",
    "sys.stdout = io.StringIO(); print(input()); sys.__stdout__.write(sys.stdout.getvalue())",
    "sys.stdout = io.TextIOWrapper(sys.stdout.buffer, write_through=False); print(input())",
    "atexit.register(print, input())",
    "t = threading.Timer(0.05, print, [input()]); t.start()",
    "t = threading.Thread(target=time.sleep, args=[9], daemon=True); t.start(); print(input())",
    "print(input()); sys.exit()",
    "print(input()); sys.exit(0)",
    "print(input()); sys.exit(None)",
    "print(input()); quit()",
    "print(input()); sys.exit('a message')",
    "print(input()); sys.exit(7)",
    "print(input()); raise KeyError",
    "print(input()); exit(256)",
    "print(input()); exit(True)",
    "print(input(), input())",
    "print(sys.stdin.read(), end='')",
    "os.write(1, os.read(0, os.fstat(0).st_size))",
    "print(*fileinput.input())",
    "print(sys.stdin.buffer.readline())",
    "print(input(), file=sys.stderr)",
    "f = open('f', 'w'); f.write(input()); f.flush(); print(open('f').read())",
    "atexit.register(sys.exit, 3); print(input())",
    "print(input()); os.close(1)",
    "del sys.stdout",
    "sys.stdin.close()",
]


@pytest.mark.parametrize("body", ENDINGS)
def test_programs_end_as_they_do_under_python(body: str, pool: SandboxPool, tmp_path: Path) -> None:
    program = f"import atexit, fileinput, io, os, sys, threading, time\n{body}\n"
    (tmp_path / "input").write_bytes(b"line one\n")
    with (tmp_path / "input").open() as given:
        command = [sys._base_executable, "-I", "-c", program]
        alone = subprocess.run(command, stdin=given, capture_output=True, cwd=tmp_path, check=False)
    (execution,) = pool.submit(program, [b"line one\n"], limits=LIMITS).result()
    assert (execution.status == "ok", execution.output) == (alone.returncode == 0, alone.stdout), alone.stderr


PERMUTATION = CheckerProgram(
    source="""
def check(input, output, expected):
    numbers = [int(word) for word in output.split()]
    return sorted(numbers) == list(range(1, int(input) + 1))
"""
)


def test_a_checker_of_the_problem_decides_among_several_right_answers(pool: SandboxPool) -> None:
    problem = stdin_problem(("3\n", "1 2 3\n", None), ("4\n", "1 2 3 4\n", None)).model_copy(
        update={"checker": PERMUTATION}
    )
    backwards = "print(*range(int(input()), 0, -1))"
    assert judge(backwards, problem, pool).tests == ("pass", "pass")
    assert judge(backwards, problem.model_copy(update={"checker": None}), pool).tests == ("wrong", "wrong")
    assert judge("print(*range(int(input())))", problem, pool).tests == ("wrong", "wrong")
    assert judge("print('what the checker fails on')", problem, pool).tests == ("wrong", "wrong")
    mixed = "n = int(input())\nprint(*range(1, n + 1)) if n == 3 else 1 / 0"
    assert judge(mixed, problem, pool).tests == ("pass", "error")
    for useless in ("return 1", "return 'true'", "return [True]", "while True: pass", "raise SystemExit(0)"):
        source, one = f"def check(input, output, expected):\n    {useless}", problem.tests[:1]
        verdict = judge(
            backwards, problem.model_copy(update={"tests": one, "checker": CheckerProgram(source=source)}), pool
        )
        assert verdict.tests == ("wrong",), useless


def test_checkers_and_tolerances_of_function_problems(pool: SandboxPool) -> None:
    problem = function_problem("roots", ("[4]", "[2, -2]"), ("[2]", "[1.4142135, -1.4142135]"))
    program = "def roots(n): return (-n ** 0.5, n ** 0.5)"
    checker = CheckerProgram(
        source="def check(arguments, result, expected):\n"
        "    return type(result) is list and len(result) == 2 and "
        "all(abs(x * x - arguments[0]) < 1e-9 for x in result)"
    )
    assert judge(program, problem, pool).tests == ("wrong", "wrong")
    assert judge(program, problem.model_copy(update={"checker": checker}), pool).tests == ("pass", "pass")
    tolerant = problem.model_copy(update={"checker": Tolerance(relative=1e-6)})
    assert judge("def roots(n): return (n ** 0.5, -n ** 0.5)", tolerant, pool).tests == ("pass", "pass")
    deep = "def roots(n):\n    x = []\n    for _ in range(900): x = [x]\n    return x"
    assert set(judge(deep, problem.model_copy(update={"checker": checker}), pool).tests) <= {"wrong", "error"}


def test_a_checker_that_cannot_be_run_masks(pool: SandboxPool) -> None:
    problem = stdin_problem(("3\n", "1 2 3\n", None)).model_copy(update={"checker": PERMUTATION})

    def run(program: str, inputs: list[bytes], function: str = "", limits: Limits | None = None) -> list[Execution]:
        return [Execution("infrastructure") if function else Execution("ok", b"3 2 1\n")] * len(inputs)

    assert _judge("", problem, run, None) == ["infrastructure"]


def test_a_checker_is_checked_when_the_problem_is_read() -> None:
    line = stdin_problem(("1", "1", None)).model_dump_json()
    assert parse_problem(line.replace('"checker":null', '"checker":{"kind":"tolerance","relative":1e-6}')).checker == (
        Tolerance(relative=1e-6)
    )
    for source, complaint in (("def check(", "does not compile"), ("def verify(a, b, c): pass", "defines no function")):
        broken = line.replace('"checker":null', f'"checker":{{"kind":"program","source":"{source}"}}')
        with pytest.raises(ValidationError, match=complaint):
            parse_problem(broken)


FENCED = "```python\nprint(1)\n```"


@pytest.mark.parametrize(("completion", "program"), [
    (FENCED, "print(1)\n"),
    (f"<think>```python\nprint(0)\n```</think>\n{FENCED}", "print(1)\n"),
    (f"thinking {FENCED}\n</think>\nno program", None),
    (f"<think>never ends\n{FENCED}", None),
    (f"{FENCED}\nbetter:\n```Python3\nprint(2)\n```\nDone.", "print(2)\n"),
    ("```py\r\nprint(1)\r\n```", "print(1)\r\n"),
    ("```python\nprint(1)\n", None),
    (f"{FENCED}\n```python\nprint('cut", "print(1)\n"),
    ("```\nprint(1)\n```", None),
    ("```cpp\nint x;\n```", None),
    ("text ```python\nprint(1)\n```", None),
    ("```python\n```", ""),
    ("```python\nx = '```'\n```", "x = '```'\n"),
    ("", None),
])
def test_the_program_of_a_completion(completion: str, program: str | None) -> None:
    assert extract_program(completion) == program


def test_rewarder_pays_both_kinds_by_the_configured_scheme() -> None:
    half = "```python\nn = int(input())\nprint(n * n if n < 99 else 0)\n```"
    with Rewarder(RewardConfig(scheme="strict", easy_score=0.2, medium_score=0.3, hard_score=0.5, slots=1)) as rewarder:
        assert rewarder.score(SQUARE, half) == Reward(0.5, "wrong", False, ("pass", "pass", "wrong"))
        assert rewarder.score(SQUARE, "```python\nprint(int(input())**2)\n```").passed
        assert rewarder.score(SQUARE, "no program") == Reward(0.0, "unparsable", False, ("error",) * 3)
        math = MathProblem(id="m", source="test", prompt="p", answer="\\frac{1}{2}")
        assert rewarder.score(math, "\\boxed{0.5}") == Reward(1.0, "correct", True)
        assert rewarder.score(math, "0.5") == Reward(0.0, "unparsable")

        async def gather() -> list[Reward]:
            futures = [rewarder.submit(math, f"\\boxed{{{n}/4}}") for n in range(4)]
            return await asyncio.gather(*map(asyncio.wrap_future, futures))

        assert [reward.value for reward in asyncio.run(gather())] == [0.0, 0.0, 1.0, 0.0]
    with Rewarder(RewardConfig(scheme="all_or_nothing", slots=1)) as rewarder:
        assert rewarder.score(SQUARE, half).value == 0.0


def test_verdicts_are_remembered_but_not_mixed_up(pool: SandboxPool) -> None:
    other = stdin_problem(("3\n", "27\n", None))
    program = "print(int(input()) ** 2)  # remembered"
    assert judge(program, SQUARE, pool) is judge(program, SQUARE, pool)
    assert judge(program, other, pool) == CodeVerdict(("wrong",))
