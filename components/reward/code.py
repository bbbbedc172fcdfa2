"""Verdicts on programs: every test is run, every test reports, and only here is an output compared.

The program runs in the sandbox and sees one test's input at a time; what was expected never leaves this process.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from components.problems import CodeProblem
from components.reward.sandbox import Execution, Limits, SandboxPool

TestKind = Literal["pass", "wrong", "error", "timeout", "memory", "output_limit", "infrastructure"]

_FENCE = re.compile(r"(?ims)^```[ \t]*(?:python3?|py)[ \t]*\r?\n(.*?)^```[ \t]*\r?$")


@dataclass(frozen=True)
class CodeVerdict:
    """What each test said, in the problem's order."""

    tests: tuple[TestKind, ...]

    @property
    def passed(self) -> bool:
        return all(kind == "pass" for kind in self.tests)

    @property
    def infrastructure(self) -> bool:
        """The sandbox failed on some test: nothing can be said about the program."""
        return "infrastructure" in self.tests


def extract_program(completion: str) -> str | None:
    """The program a completion answers with.

    The answer is what follows the last `</think>` (everything, if there is none; nothing, if `<think>` was opened and
    never closed). In it, the last closed block fenced by ```` ```python ```` (or `py`, `python3`) at the start of a
    line and by ```` ``` ```` alone on a line is the program. None if there is no such block.
    """
    _, closed, answer = completion.rpartition("</think>")
    if not closed and "<think>" in answer:
        return None
    blocks = _FENCE.findall(answer)
    return blocks[-1] if blocks else None


def submit(
    program: str, problem: CodeProblem, pool: SandboxPool, limits: Limits | None = None
) -> Future[CodeVerdict]:
    """`judge` without waiting. The same program on the same tests is run once as long as the pool remembers it."""
    key = (program, problem.function, tuple((test.input, test.expected) for test in problem.tests), limits)
    known = pool.memory.get(key)
    verdict: Future[CodeVerdict] = Future()
    if known is not None:
        verdict.set_result(known)
        return verdict
    inputs = [test.input.encode("utf-8", "surrogatepass") for test in problem.tests]

    def compare(done: Future[list[Execution]]) -> None:
        if verdict.cancelled():
            return
        try:
            kinds = [
                _compare(execution, test.expected, bool(problem.function))
                for execution, test in zip(done.result(), problem.tests, strict=True)
            ]
            result = CodeVerdict(tuple(kinds))
        except BaseException as error:
            verdict.set_exception(error)
            return
        if not result.infrastructure:
            pool.memory.put(key, result)
        verdict.set_result(result)

    verdict.set_running_or_notify_cancel()
    pool.submit(program, inputs, problem.function, limits).add_done_callback(compare)
    return verdict


def judge(program: str, problem: CodeProblem, pool: SandboxPool, limits: Limits | None = None) -> CodeVerdict:
    """Run a program on all tests of a problem."""
    return submit(program, problem, pool, limits).result()


def judge_many(
    jobs: Iterable[tuple[str, CodeProblem]], pool: SandboxPool, limits: Limits | None = None
) -> list[CodeVerdict]:
    """`judge` for many (program, problem) pairs, on all slots; verdicts in the order of the pairs."""
    return [future.result() for future in [submit(program, problem, pool, limits) for program, problem in jobs]]


def _compare(execution: Execution, expected: str, function: bool) -> TestKind:
    if execution.status != "ok":
        return execution.status
    same = _same_value(execution.output, expected) if function else same_output(execution.output, expected.encode())
    return "pass" if same else "wrong"


def same_output(output: bytes, expected: bytes) -> bool:
    """Equal up to whitespace at the ends of lines and empty lines at the end."""
    return _lines(output) == _lines(expected)


def _lines(text: bytes) -> list[bytes]:
    return [line.rstrip() for line in text.rstrip().split(b"\n")]


def _same_value(output: bytes, expected: str) -> bool:
    try:
        value = json.loads(output)
    except (ValueError, RecursionError):         # the program may have written anything
        return False
    return _equal(value, json.loads(expected))


def _equal(left: Any, right: Any) -> bool:
    """Equality of JSON values: a number is a number (2 equals 2.0), but true is not 1."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    return bool(left == right)
