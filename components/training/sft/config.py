"""Configuration of supervised fine-tuning; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field

from components.training.config import TrainingConfig


class Config(TrainingConfig):
    """Defaults are the report's (section 3.1): constant 3e-5, 128 packed sequences of 32,768 tokens."""

    seed: int = Field(default=0, ge=0, description="order of the rows in each epoch")
    sequence_length: int = Field(default=32_768, ge=16, description="tokens a packed row")
    rows_per_step: int = Field(default=128, ge=1, description="packed rows a step")
    epochs: float = Field(default=3.0, gt=0, description="passes over the conversations; not published, 3 is usual")
    learning_rate: float = Field(default=3e-5, gt=0, le=1, description="constant after warm-up")
    warmup_share: float = Field(default=0.01, ge=0, lt=1, description="share of the steps with linear warm-up")
    mtp_weight: float = Field(default=0.1, ge=0, description="weight of the MTP loss: the head is trained along")
    responses_per_query: int = Field(default=8, ge=1, description="more responses to one query are left out")
    contamination_ngram: int = Field(
        default=16, ge=5, description="queries that share so many words in a row with an evaluation problem are out"
    )
    foreign_letters: float = Field(default=0.05, ge=0, le=1, description="largest share of letters of another script")
    micro_rows: int = Field(default=1, ge=1, description="packed rows in one forward and backward pass")
