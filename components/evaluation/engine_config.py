"""How samples are drawn where a checkpoint is measured; imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.config import StageConfig, execution


class SamplingConfig(StageConfig):
    """Defaults: the report's post-training evaluation (section 3.5.1)."""

    samples: int = Field(default=8, ge=1, description="completions a problem (k of avg@k)")
    temperature: float = Field(default=0.6, ge=0, description="sampling temperature; 0 takes the most likely token")
    top_p: float = Field(default=0.95, gt=0, le=1, description="nucleus sampling")
    max_tokens: int = Field(default=32_000, ge=1, description="longest completion in tokens")
    engine: Literal["embedded", "vllm"] = execution("embedded", "what generates completions")
    slots: int = execution(256, "sequences generated at the same time by the embedded engine", ge=1)
