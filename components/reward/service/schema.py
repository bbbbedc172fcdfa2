"""The records of the judge's HTTP interface. What is too large or too long is refused with the field's path."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from components.problems import CodeProblem
from components.reward.code import TestKind
from components.reward.math import Kind as MathKind
from components.reward.sandbox import Limits

_LIMITS = Limits()


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ProgramLimits(_Record):
    """What one test of a program may use."""

    cpu_s: float = Field(default=_LIMITS.cpu_s, gt=0, le=120, description="seconds of CPU time")
    wall_s: float = Field(default=_LIMITS.wall_s, gt=0, le=600, description="seconds on the clock, not below cpu_s")
    memory_bytes: int = Field(default=_LIMITS.memory_bytes, ge=64 << 20, le=1 << 40, description="address space")
    output_bytes: int = Field(default=_LIMITS.output_bytes, ge=1024, le=64 << 20, description="standard output")

    @model_validator(mode="after")
    def _consistent(self) -> ProgramLimits:
        if self.wall_s < self.cpu_s:
            raise ValueError(f"wall_s ({self.wall_s:g}) must not be below cpu_s ({self.cpu_s:g})")
        return self

    def limits(self) -> Limits:
        """As the sandbox takes them."""
        return Limits(**self.model_dump())


class MathItem(_Record):
    """The last boxed answer of a completion, to be compared with the right one."""

    kind: Literal["math"]
    gold: str = Field(min_length=1, max_length=1 << 16, description="LaTeX, a number or words, with or without a box")
    completion: str = Field(description="only its last 4,096 characters count")


class CodeItem(_Record):
    """A Python program, to be run on every test of a problem."""

    kind: Literal["code"]
    program: str = Field(description="the source itself, without fences")
    problem: CodeProblem
    limits: ProgramLimits = ProgramLimits()


Item = Annotated[MathItem | CodeItem, Field(discriminator="kind")]


class Batch(_Record):
    """Items to be judged. Each is judged by itself; the batch is accepted or refused as a whole."""

    items: list[Item] = Field(min_length=1)
    priority: int = Field(default=0, ge=-10, le=10, description="higher goes first, strictly")
    rules: str = Field(default="", description="digest of the rules the client expects (see /v1/about); empty: any")


class Outcome(_Record):
    """One line of the reply: the verdict on one item."""

    index: int = Field(ge=0, description="of the item in the batch")
    kind: MathKind = Field(description="code: correct if every test passes. infrastructure: could not be judged")
    tests: list[TestKind] = Field(default=[], description="code: what each test said, in the problem's order")


class About(_Record):
    """What this judge is and takes."""

    level: str = Field(description="the sandbox's level, as the self-test found it")
    reports: dict[str, str] = Field(description="what each level that was tried said")
    slots: int
    math_workers: int
    batch_items: int
    request_bytes: int
    rules: dict[str, str] = Field(description="what verdicts depend on: versions, and a digest of the code")
    rules_digest: str


class Status(_Record):
    """Alive or ready."""

    status: Literal["alive", "ready", "starting", "draining"]


class Refusal(_Record):
    """Why a request was refused, each line with the path of the field where there is one."""

    errors: list[str]


KINDS: tuple[str, ...] = get_args(MathKind)
