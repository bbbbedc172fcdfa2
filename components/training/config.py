"""What the configs of all training stages share; imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.config import StageConfig, execution
from components.training.optimizer_config import OptimizerConfig


class Compute(StageConfig):
    """How the arithmetic is done. Everything here may change results by rounding, float8 by more."""

    compile: bool = Field(default=True, description="compile the layers, where there is a GPU")
    recompute: Literal["none", "selective", "full"] = execution(
        "none", "what the backward pass computes again to save memory: nothing; all but matrix products and attention; "
        "whole layers",
    )  # fmt: skip
    float8: bool = Field(
        default=False, description="float8 matrix products: less memory; from a billion parameters, on H100 or later"
    )
    shard_group: int = execution(
        0, "processes that hold one copy of the model together, such groups holding copies (HSDP); 0: all", ge=0
    )


class TrainingConfig(StageConfig):
    """Keys of pretraining, mtp_tuning and sft alike."""

    optimizer: OptimizerConfig = Field(default=OptimizerConfig(), description="AdamW or Muon, and its numbers")
    compute: Compute = Field(default=Compute(), description="compilation, recomputation, float8, sharding")
    save_every_s: float = execution(20.0, "seconds of training between two saved states", ge=0)
    resume: Literal["auto", "never"] = execution(
        "auto", "auto: go on after the last whole state that an interrupted run left; never: start again"
    )
    trackers: tuple[Literal["tensorboard", "wandb", "mlflow"], ...] = execution(
        (), "where each step's metrics go beside metrics.jsonl; their own environment variables say how to reach them"
    )
