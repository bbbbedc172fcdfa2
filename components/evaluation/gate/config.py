"""Configuration of the gate; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from components.config import StageConfig


class Config(StageConfig):
    """When the RL model is promoted."""

    seed: int = Field(default=0, ge=0, description="seed of the bootstrap")
    margin: float = Field(
        default=0.0, ge=0, lt=1, description="how far below the baseline (or SFT) RL's interval may reach, in avg@k"
    )
