"""Config of the extraction stage."""

from __future__ import annotations

from pydantic import Field

from components.config import StageConfig, execution


class Config(StageConfig):
    """Limits per page; everything else follows from the page."""

    least_characters: int = Field(default=100, ge=1, description="shortest text kept; shorter pages are set aside")
    seconds: float = Field(default=10.0, gt=0, le=600, description="CPU time one page may take")
    megabytes: int = Field(default=2000, ge=500, le=64_000, description="address space for one page, program included")
    workers: int = execution(1, "shards extracted at once, a process each", ge=1, le=512)
