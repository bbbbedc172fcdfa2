"""Config of the tagger stage."""

from __future__ import annotations

from pydantic import Field

from components.config import StageConfig, execution


class Folder(StageConfig):
    """A model to start from."""

    path: str = Field(
        min_length=1, description="a Hugging Face directory whose architecture transformers can classify with: an "
        "encoder (ModernBERT, XLM-R) or a small decoder (Qwen2, Qwen3)",
    )


class Config(StageConfig):
    """How a small language model learns to judge documents."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="of the head, the order of texts and dropout")
    base: Folder = Field(description="the model to fine-tune")
    epochs: int = Field(default=3, ge=1, description="passes over the labelled texts")
    learning_rate: float = Field(default=3e-5, gt=0, description="highest learning rate; rises for a tenth, then falls")
    weight_decay: float = Field(default=0.01, ge=0, description="AdamW's")
    batch: int = Field(default=32, ge=1, description="texts a step")
    max_tokens: int = Field(default=512, ge=8, description="of the beginning of a text that the tagger reads")
    evaluation_batch: int = execution(64, "texts at a time when measuring", ge=1)
