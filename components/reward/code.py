"""Verdicts on programs: every test is run, every test reports, and only here is an output compared.

The program runs in the sandbox and sees one test's input at a time; what was expected never leaves this process, but to
the problem's own checker, which runs in processes that never held the program.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from components.problems import CheckerProgram, CodeProblem, TestCase
from components.reward.comparison import EXACT, read_value, same_output, same_value
from components.reward.sandbox import Execution, Limits, Run, SandboxPool

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
    tests = tuple((test.input, test.expected) for test in problem.tests)
    key = (program, problem.function, problem.checker, tests, limits)
    known = pool.memory.get(key)
    if known is not None:
        verdict: Future[CodeVerdict] = Future()
        verdict.set_result(known)
        return verdict

    def task(run: Run) -> CodeVerdict:
        result = CodeVerdict(tuple(_judge(program, problem, run, limits)))
        if not result.infrastructure:
            pool.memory.put(key, result)
        return result

    return pool.work(task)


def judge(program: str, problem: CodeProblem, pool: SandboxPool, limits: Limits | None = None) -> CodeVerdict:
    """Run a program on all tests of a problem."""
    return submit(program, problem, pool, limits).result()


def judge_many(
    jobs: Iterable[tuple[str, CodeProblem]], pool: SandboxPool, limits: Limits | None = None
) -> list[CodeVerdict]:
    """`judge` for many (program, problem) pairs, on all slots; verdicts in the order of the pairs."""
    return [future.result() for future in [submit(program, problem, pool, limits) for program, problem in jobs]]


def _judge(program: str, problem: CodeProblem, run: Run, limits: Limits | None) -> list[TestKind]:
    inputs = [test.input.encode("utf-8", "surrogatepass") for test in problem.tests]
    executions = run(program, inputs, problem.function, limits)
    if isinstance(problem.checker, CheckerProgram):
        return _checked(executions, problem, problem.checker.source, run)
    return [compare(execution, test, problem) for execution, test in zip(executions, problem.tests, strict=True)]


def compare(execution: Execution, test: TestCase, problem: CodeProblem) -> TestKind:
    """The verdict on one run, by the problem's tolerance."""
    if execution.status != "ok":
        return execution.status
    tolerance = EXACT if problem.checker is None or isinstance(problem.checker, CheckerProgram) else problem.checker
    if not problem.function:
        return (
            "pass"
            if same_output(execution.output, test.expected.encode("utf-8", "surrogatepass"), tolerance)
            else "wrong"
        )
    valid, value = read_value(execution.output)
    return "pass" if valid and same_value(value, json.loads(test.expected), tolerance) else "wrong"


def _checked(executions: list[Execution], problem: CodeProblem, checker: str, run: Run) -> list[TestKind]:
    """The verdicts of the problem's own checker, run on all outputs that there are."""
    kinds: list[TestKind] = ["wrong" if execution.status == "ok" else execution.status for execution in executions]
    asked: list[tuple[int, bytes]] = []
    for index, (execution, test) in enumerate(zip(executions, problem.tests, strict=True)):
        if execution.status == "ok" and (question := _for_checker(execution, test, bool(problem.function))):
            asked.append((index, question))
    answers = run(checker, [question for _, question in asked], "check", Limits()) if asked else []
    for (index, _), answer in zip(asked, answers, strict=True):
        if answer.status == "infrastructure":
            kinds[index] = "infrastructure"
        elif answer.status == "ok" and answer.output == b"true":
            kinds[index] = "pass"
    return kinds


def _for_checker(execution: Execution, test: TestCase, function: bool) -> bytes:
    """The checker's arguments as JSON; empty where the program's result is none that JSON knows."""
    arguments: list[Any] = [test.input, execution.output.decode(errors="replace"), test.expected]
    if function:
        valid, value = read_value(execution.output)
        if not valid:
            return b""
        arguments = [json.loads(test.input), value, json.loads(test.expected)]
    try:
        return json.dumps(arguments).encode()
    except RecursionError:  # just deep enough to be read
        return b""
