"""The optimizer's numbers; imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.config import StageConfig


class OptimizerConfig(StageConfig):
    """AdamW's numbers are the report's (section 2.3); its epsilon is not published."""

    name: Literal["adamw", "muon"] = Field(
        default="adamw", description="muon: Muon for matrices inside layers at AdamW's update size, AdamW for the rest"
    )
    beta_1: float = Field(default=0.9, ge=0, lt=1, description="AdamW's first-moment decay")
    beta_2: float = Field(default=0.95, ge=0, lt=1, description="AdamW's second-moment decay")
    epsilon: float = Field(default=1e-8, gt=0, description="AdamW's epsilon")
    weight_decay: float = Field(default=0.1, ge=0, description="decoupled decay of matrices")
    gradient_clip: float = Field(default=1.0, gt=0, description="largest norm of the whole gradient")
