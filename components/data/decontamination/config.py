"""Config of the decontamination stage."""

from __future__ import annotations

from pydantic import Field

from components.config import StageConfig, execution


class Config(StageConfig):
    """n-gram overlap with the evaluation problems' prompts."""

    ngram: int = Field(
        default=13, ge=4, le=64, description="words in a row that make a text contaminated; shorter prompts count whole"
    )
    workers: int = execution(2, "processes", ge=1)
