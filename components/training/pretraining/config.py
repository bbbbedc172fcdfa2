"""Configuration of one pretraining stage; imports nothing heavy."""

from __future__ import annotations

from pydantic import Field, model_validator

from components.config import StageConfig
from components.training.config import TrainingConfig
from components.training.schedule import Piece


class Shape(StageConfig):
    """The model's shape, used by the stage that starts one. Defaults: MiMo-7B (report, section 2.3)."""

    hidden_size: int = Field(default=4096, ge=8, description="width of the residual stream")
    intermediate_size: int = Field(default=11008, ge=8, description="width inside the SwiGLU")
    num_hidden_layers: int = Field(default=36, ge=1, description="decoder layers")
    num_attention_heads: int = Field(default=32, ge=1, description="query heads")
    num_key_value_heads: int = Field(default=8, ge=1, description="key/value heads (GQA)")
    head_dim: int = Field(default=128, ge=2, multiple_of=2, description="size of a head")
    initializer_range: float = Field(default=0.02, gt=0, description="standard deviation of initial matrices")
    num_nextn_predict_layers: int = Field(default=1, ge=0, le=8, description="MTP heads; the report has 1")

    @model_validator(mode="after")
    def _heads_divide(self) -> Shape:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ValueError(
                f"num_attention_heads ({self.num_attention_heads}) must be a multiple of num_key_value_heads "
                f"({self.num_key_value_heads})"
            )
        return self


class Config(TrainingConfig):
    """One of the three stages: rows, schedule, context. Defaults: the report's stage 1 (section 2.3)."""

    seed: int = Field(default=0, ge=0, description="seed of the initial weights")
    shape: Shape = Field(default=Shape(), description="the model's shape; only the first stage reads it")
    rope_theta: float = Field(default=10_000.0, gt=1, description="RoPE base; stage 3 raises it")
    max_position_embeddings: int = Field(default=8_192, ge=16, description="context length of this stage")
    batch_tokens: int = Field(default=20_971_520, ge=16, description="tokens a step")
    first_batch_tokens: int = Field(default=0, ge=0, description="tokens of the first step of the ramp; 0: no ramp")
    ramp_share: float = Field(default=0.0, ge=0, le=1, description="share of the stage's tokens in the batch ramp")
    learning_rate: tuple[Piece, ...] = Field(
        default=(
            Piece(tokens=84e9, start=0.0, end=1.07e-4, shape="linear"),
            Piece(tokens=10.2e12, start=1.07e-4, end=1.07e-4),
            Piece(tokens=7.5e12, start=1.07e-4, end=3e-5, shape="cosine"),
        ),
        min_length=1,
        description="pieces of the schedule, stretched over the stage's tokens",
    )
    mtp_weight: float = Field(default=0.3, ge=0, description="weight of the MTP loss before the rate begins to fall")
    mtp_weight_decayed: float = Field(default=0.1, ge=0, description="weight of the MTP loss afterwards")
    micro_batch_tokens: int = Field(default=65_536, ge=16, description="tokens in one forward and backward pass")
