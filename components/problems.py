"""Problems with answers a rule can check: the records that curation, rewards, RL and evaluation share.

A problem set is an artifact of kind `problems`: JSON lines, one `MathProblem` or `CodeProblem` each.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, field_validator, model_validator

from components.artifacts import ArtifactError, write_text


class _Problem(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    source: str = Field(description="where it came from, for example reasoning_gym/chain_sum")
    prompt: str = Field(min_length=1)
    pass_rate: float | None = Field(
        default=None, ge=0, le=1, description="of the model it was curated with; None: unmeasured"
    )


class MathProblem(_Problem):
    """A question whose final answer is compared with `answer` by the math verifier."""

    kind: Literal["math"] = "math"
    answer: str = Field(min_length=1)


class TestCase(BaseModel):
    """One test: text on stdin and the expected stdout, or call arguments and the expected return value as JSON."""

    __test__ = False  # not a pytest class
    model_config = ConfigDict(frozen=True, extra="forbid")

    input: str
    expected: str
    pass_rate: float | None = Field(
        default=None, ge=0, le=1, description="over solutions of several models; None: unmeasured"
    )


class Tolerance(BaseModel):
    """Numbers of an output, or of a function's result, may be off: by `absolute`, or by `relative` to the expected."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: Literal["tolerance"] = "tolerance"
    absolute: float = Field(default=0.0, ge=0)
    relative: float = Field(default=0.0, ge=0)


class CheckerProgram(BaseModel):
    """A Python program that decides, for tasks with several right answers.

    `source` defines `check(input, output, expected)`, which returns True where the output is right: text for
    stdin/stdout tests, JSON values for function tests. It runs in the sandbox, in processes of its own. An output that
    it fails on, or is no bool for, is wrong.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["program"] = "program"
    source: str = Field(min_length=1)

    @field_validator("source")
    @classmethod
    def _defines_check(cls, source: str) -> str:
        try:
            module = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            raise ValueError(f"the checker does not compile: {error}") from None
        if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in module.body):
            raise ValueError("the checker defines no function check(input, output, expected)")
        return source


class CodeProblem(_Problem):
    """A programming task with tests; `function` names the function to call, empty means stdin/stdout."""

    kind: Literal["code"] = "code"
    tests: tuple[TestCase, ...] = Field(min_length=1)
    function: str = ""
    checker: Annotated[Tolerance | CheckerProgram, Field(discriminator="kind")] | None = Field(
        default=None, description="how an output is compared with the expected one; None: equal up to trailing space"
    )
    golden: str = Field(default="", description="a reference solution, empty if there is none; never shown to a policy")

    @model_validator(mode="after")
    def _function_tests_are_json(self) -> CodeProblem:
        if self.function:
            for test in self.tests:
                arguments = json.loads(test.input)
                json.loads(test.expected)
                if not isinstance(arguments, list):
                    raise ValueError(f"{self.id}: a function test's input is a JSON list of arguments")
        return self


Problem = Annotated[MathProblem | CodeProblem, Field(discriminator="kind")]
_ADAPTER: TypeAdapter[MathProblem | CodeProblem] = TypeAdapter(Problem)


def parse_problem(line: str | bytes) -> MathProblem | CodeProblem:
    return _ADAPTER.validate_json(line)


def read_problems(paths: Iterable[Path]) -> list[MathProblem | CodeProblem]:
    """All problems of the given JSON-lines files, in order.

    Raises:
        ArtifactError: a line that is no problem; names the file, the line number and the wrong key.
    """
    problems = []
    for path in paths:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    problems.append(parse_problem(line))
                except (ValidationError, ValueError) as error:
                    raise ArtifactError(f"{path}:{number}: not a problem: {error}") from None
    return problems


def write_problems(path: Path, problems: Iterable[MathProblem | CodeProblem]) -> int:
    """Write problems as JSON lines, atomically; returns their number."""
    lines = [problem.model_dump_json() for problem in problems]
    write_text(path, "".join(line + "\n" for line in lines))
    return len(lines)
