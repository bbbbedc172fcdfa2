"""Configuration of the rewards; imports nothing heavy."""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from components.config import StageConfig, execution


class RewardConfig(StageConfig):
    """How completions are judged and what they are paid. A table inside the configs of the stages that judge."""

    scheme: Literal["strict", "soft", "all_or_nothing"] = Field(
        default="soft",
        description="code: how passed tests pay. strict: a level of difficulty pays if it and all easier ones "
        "pass whole; soft: a level's score is spread over its tests; all_or_nothing: 1 if every test passes",
    )
    easy_score: float = Field(
        default=0.3, ge=0, le=1, description="what tests of pass rate 0.7 and more pay together"
    )
    medium_score: float = Field(
        default=0.3, ge=0, le=1, description="what tests of pass rate 0.3 to 0.7 pay together"
    )
    hard_score: float = Field(
        default=0.4, ge=0, le=1, description="what tests of pass rate below 0.3 pay together"
    )
    cpu_s: float = Field(default=2.0, gt=0, le=120, description="CPU seconds one test of a program may use")
    memory_mb: int = Field(default=512, ge=64, description="MiB of address space one test of a program may use")
    output_kb: int = Field(default=1024, ge=1, le=65536, description="KiB a program may print, or write to one file")
    wall_s: float = execution(8.0, "seconds one test may take on the clock, well above cpu_s", gt=0)
    slots: int = execution(2, "programs judged at the same time", ge=1, le=512)
    math_workers: int = execution(1, "processes that compare formulas", ge=1, le=512)
    minimum_level: Literal["landlock", "user", "namespaces"] = execution(
        "landlock", "the weakest sandbox to accept; a weaker machine is refused"
    )
    judge_url: str = execution(
        "", "http://host:port of a judge started by `mimo judge serve`; empty: judge in this process",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
    )
    judge_priority: int = execution(0, "of this stage's work at a shared judge: higher goes first", ge=-10, le=10)
    judge_patience_s: float = execution(
        300.0, "seconds to wait for a judge that does not answer before completions are masked", gt=0
    )

    @property
    def scores(self) -> tuple[float, float, float]:
        """Level scores, easiest first."""
        return self.easy_score, self.medium_score, self.hard_score

    @model_validator(mode="after")
    def _consistent(self) -> RewardConfig:
        if not math.isclose(sum(self.scores), 1.0, abs_tol=1e-6):
            raise ValueError(f"easy_score, medium_score and hard_score must sum to 1, not {sum(self.scores):g}")
        if self.wall_s < self.cpu_s:
            raise ValueError(f"wall_s ({self.wall_s:g}) must not be below cpu_s ({self.cpu_s:g})")
        return self
