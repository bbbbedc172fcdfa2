"""Configuration of the evaluation stage; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field, model_validator

from components.config import StageConfig
from components.evaluation.engine_config import SamplingConfig
from components.reward.config import RewardConfig


class Config(StageConfig):
    """avg@k and pass@k of one checkpoint."""

    seed: int = Field(default=0, ge=0, description="seed of sampling and of the bootstrap")
    sampling: SamplingConfig = Field(default=SamplingConfig(), description="how completions are drawn")
    pass_at: tuple[int, ...] = Field(default=(1, 4, 8), description="k of pass@k")
    reward: RewardConfig = Field(default=RewardConfig(), description="limits of the judge; the scheme does not count")

    @model_validator(mode="after")
    def _enough_samples(self) -> Config:
        if not all(1 <= k <= self.sampling.samples for k in self.pass_at):
            most = self.sampling.samples
            raise ValueError(f"pass_at {list(self.pass_at)}: each must be from 1 to sampling.samples ({most})")
        return self
