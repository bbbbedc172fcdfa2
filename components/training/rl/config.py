"""Configuration of reinforcement learning; imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from components.config import StageConfig, execution
from components.reward.config import RewardConfig


class Config(StageConfig):
    """Modified GRPO. Defaults are the report's (section 3.3.3) or, where it is silent, DAPO's."""

    seed: int = Field(0, ge=0, description="seed of problem order and sampling")
    iterations: int = Field(150, ge=1, description="rollout-then-update rounds; the report's run is about 150")
    groups_per_iteration: int = Field(512, ge=1, description="valid groups (prompts) collected a round: train batch")
    groups_per_update: int = Field(32, ge=1, description="groups in one gradient update: actor mini-batch")
    group_size: int = Field(16, ge=2, description="completions sampled for each prompt")
    learning_rate: float = Field(1e-6, gt=0, le=1, description="constant after warm-up")
    warmup_updates: int = Field(10, ge=0, description="updates of linear warm-up")
    weight_decay: float = Field(0.1, ge=0, description="AdamW, on matrices")
    gradient_clip: float = Field(1.0, gt=0, description="largest gradient norm")
    clip_low: float = Field(0.2, gt=0, lt=1, description="lower clip of the ratio")
    clip_high: float = Field(0.28, gt=0, description="upper clip of the ratio, raised (clip-higher)")
    temperature: float = Field(1.0, gt=0, description="sampling temperature")
    top_p: float = Field(1.0, gt=0, le=1, description="nucleus sampling; 1 samples the full distribution")
    max_tokens: int = Field(32_000, ge=1, description="longest completion in tokens")
    easy_probability: float = Field(0.1, ge=0, lt=1, description="share of draws from the easy pool (alpha)")
    reward: RewardConfig = Field(default_factory=RewardConfig, description="how completions are judged")
    row_tokens: int = Field(32_768, ge=16, description="length of a packed training row; at least prompt + max_tokens")
    rows_per_step: int = execution(8, "packed rows in one forward and backward pass (micro-batch)", ge=1)
    engine: Literal["embedded", "vllm"] = execution("embedded", "what generates completions")
    slots: int = execution(256, "sequences generated at the same time by the embedded engine", ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Config:
        if self.groups_per_iteration % self.groups_per_update:
            raise ValueError(
                f"groups_per_iteration ({self.groups_per_iteration}) must be a multiple of "
                f"groups_per_update ({self.groups_per_update})"
            )
        if self.row_tokens <= self.max_tokens:
            raise ValueError(f"row_tokens ({self.row_tokens}) must exceed max_tokens ({self.max_tokens}) by a prompt")
        return self
