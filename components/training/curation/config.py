"""Configuration of curation; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from components.config import StageConfig
from components.evaluation.engine_config import SamplingConfig
from components.reward.config import RewardConfig


class Config(StageConfig):
    """Which problems RL trains on (report, section 3.2). Defaults: the report's 16 rollouts and bounds."""

    seed: int = Field(default=0, ge=0, description="seed of sampling")
    math_problems: int = Field(default=200_000, ge=0, description="math problems measured at most, the first ones")
    code_problems: int = Field(default=60_000, ge=0, description="code problems measured at most, the first ones")
    sampling: SamplingConfig = Field(
        default=SamplingConfig(samples=16, temperature=1.0, top_p=1.0), description="rollouts that measure difficulty"
    )
    math_highest: float = Field(
        default=0.9, ge=0, le=1, description="math problems with a higher pass rate are left out: too easy"
    )
    code_highest: float = Field(
        default=0.999, ge=0, le=1, description="code problems with a higher pass rate are left out"
    )
    reward: RewardConfig = Field(default=RewardConfig(), description="limits of the judge; the scheme does not count")
