"""Config of the problems stage."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from components.config import StageConfig
from components.reward.config import RewardConfig

MATH_GENERATORS = (
    "basic_arithmetic", "chain_sum", "complex_arithmetic", "count_bits", "count_primes", "decimal_chain_sum",
    "fraction_simplification", "gcd", "gsm_symbolic", "largest_island", "lcm", "leg_counting", "letter_counting",
    "number_sequence", "products", "simple_equations", "time_intervals",
)
CODE_FAMILIES = ("story", "formula", "branch", "two_numbers", "clamp", "loop", "numbers")
Share = Annotated[float, Field(ge=0, le=1)]


class MathGenerator(StageConfig):
    """One reasoning-gym generator of the allow-list."""

    generator: Literal[MATH_GENERATORS] = Field(description="name of the generator")  # type: ignore[valid-type]
    parameters: dict[str, Any] = Field(default={}, description="its parameters, as in reasoning-gym; no seed or size")
    weight: float = Field(default=1.0, gt=0, description="share of the generated math problems, relative to the others")


class CodeFamily(StageConfig):
    """One family of generated programming problems."""

    family: Literal[CODE_FAMILIES] = Field(description="name of the family")  # type: ignore[valid-type]
    weight: float = Field(default=1.0, gt=0, description="share of the generated code problems, relative to the others")


class FileSource(StageConfig):
    """Problems of one's own: JSON lines of this project's schema."""

    name: str = Field(min_length=1, description="kept as the problems' source")
    path: str = Field(min_length=1, description="a JSONL file, or a folder of them")
    evaluation_share: Share = Field(default=0.0, description="share held out for evaluation, chosen by prompt")


class DatasetSource(StageConfig):
    """A Hugging Face dataset with a mapping of its columns."""

    name: str = Field(min_length=1, description="kept as the problems' source")
    path: str = Field(min_length=1, description="a local folder or a hub name")
    subset: str | None = Field(default=None, description="the dataset's configuration, if it has several")
    split: str = Field(default="train", min_length=1, description="which split to read")
    kind: Literal["math", "code"] = Field(description="how answers are checked")
    prompt: str = Field(default="prompt", description="column with the question")
    answer: str = Field(default="answer", description="math: column with the gold answer")
    answer_pattern: str = Field(
        default="", description="math: regular expression whose first group is the answer; empty: the whole column"
    )
    tests: str = Field(
        default="tests",
        description="code: column with a list of {input, output} or with {inputs, outputs}; may be JSON text",
    )
    golden: str = Field(default="", description="code: column with a reference solution; empty: none")
    limit: int | None = Field(default=None, ge=1, description="read at most so many rows")
    evaluation_share: Share = Field(default=0.0, description="share held out for evaluation, chosen by prompt")


class Config(StageConfig):
    """Where problems come from and how many; train and evaluation never share a question."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="decides which problems are generated")
    math: tuple[MathGenerator, ...] = Field(default=(), description="generators of math problems")
    math_train: int = Field(default=0, ge=0, description="generated math problems to train on")
    math_evaluation: int = Field(default=0, ge=0, description="generated math problems to evaluate on")
    code: tuple[CodeFamily, ...] = Field(default=(), description="families of generated code problems")
    code_train: int = Field(default=0, ge=0, description="generated code problems to train on")
    code_evaluation: int = Field(default=0, ge=0, description="generated code problems to evaluate on")
    files: tuple[FileSource, ...] = Field(default=(), description="JSONL files of problems")
    datasets: tuple[DatasetSource, ...] = Field(default=(), description="Hugging Face datasets of problems")
    reward: RewardConfig = Field(default=RewardConfig(), description="limits and sandbox for golden solutions")

    @model_validator(mode="after")
    def _counts_have_sources(self) -> Config:
        for kind, sources, counts in (
            ("math", self.math, (self.math_train, self.math_evaluation)),
            ("code", self.code, (self.code_train, self.code_evaluation)),
        ):
            if any(counts) and not sources:
                raise ValueError(f"{kind}_train or {kind}_evaluation is set, but {kind} names no generator")
        if not (self.math_train or self.code_train or self.files or self.datasets):
            raise ValueError("no problems at all: set math_train, code_train, files or datasets")
        return self
