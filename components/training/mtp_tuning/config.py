"""Configuration of MTP tuning; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from components.training.config import TrainingConfig
from components.training.schedule import Piece


class Config(TrainingConfig):
    """Two more heads for speculative decoding. The report gives neither tokens nor rate for this step (section 2.2)."""

    seed: int = Field(default=0, ge=0, description="of the weights of new heads, where the model has none to copy")
    heads: int = Field(default=3, ge=1, le=8, description="MTP heads in the end; those the model lacks are trained")
    tokens: int = Field(default=1_000_000_000, ge=1, description="tokens to train on, from the stage-3 rows")
    batch_tokens: int = Field(default=4_194_304, ge=16, description="tokens a step")
    learning_rate: tuple[Piece, ...] = Field(
        default=(Piece(tokens=1, start=3e-5, end=3e-5), Piece(tokens=1, start=3e-5, end=1e-5, shape="cosine")),
        min_length=1,
        description="pieces of the schedule, stretched over the tokens",
    )
    micro_batch_tokens: int = Field(default=65_536, ge=16, description="tokens in one forward and backward pass")
