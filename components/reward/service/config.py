"""Configuration of the judge's server. None of it changes a verdict; it bounds what the server takes on."""

from __future__ import annotations

import os
from typing import Literal

from pydantic import Field, model_validator

from components.config import StageConfig


def _cores() -> int:
    return len(os.sched_getaffinity(0))


class ServiceConfig(StageConfig):
    """What `mimo judge serve --set KEY=VALUE` knows."""

    slots: int = Field(default_factory=_cores, ge=1, le=512, description="programs run at the same time")
    math_workers: int = Field(default=1, ge=1, le=512, description="processes that compare formulas")
    minimum_level: Literal["landlock", "user", "namespaces"] = Field(
        default="landlock", description="the weakest sandbox to accept; a weaker machine is refused at the start"
    )
    queue_items: int = Field(default=4096, ge=1, description="items accepted and not yet answered, before 429")
    queue_mb: int = Field(default=512, ge=1, description="MiB of requests accepted and not yet answered, before 429")
    batch_items: int = Field(default=256, ge=1, description="items in one request")
    request_mb: int = Field(default=32, ge=1, description="MiB of one request")
    tests: int = Field(default=1000, ge=1, description="tests of one problem")
    cpu_s: float = Field(default=30.0, gt=0, le=120, description="CPU seconds a request may grant to a test")
    wall_s: float = Field(default=120.0, gt=0, description="seconds on the clock a request may grant to a test")
    memory_mb: int = Field(default=2048, ge=64, description="MiB a request may grant to a test")
    request_s: float = Field(default=30.0, gt=0, description="seconds in which a request must have arrived whole")
    unread_s: float = Field(default=60.0, gt=0, description="seconds until a client that reads no reply is dropped")
    drain_s: float = Field(default=300.0, gt=0, description="seconds to answer accepted work after SIGTERM")

    @model_validator(mode="after")
    def _consistent(self) -> ServiceConfig:
        if self.batch_items > self.queue_items:
            raise ValueError(
                f"batch_items ({self.batch_items}) must not be above queue_items ({self.queue_items}): "
                "such a batch would be refused for ever"
            )
        if self.request_mb > self.queue_mb:
            raise ValueError(
                f"request_mb ({self.request_mb}) must not be above queue_mb ({self.queue_mb}): "
                "such a request would be refused for ever"
            )
        return self
