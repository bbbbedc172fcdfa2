"""Which engine generates: the embedded one, or vLLM where it is installed. One place, for RL, curation, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from components.model.modeling import MiMoForCausalLM
from components.rollout.embedded import EmbeddedEngine
from components.rollout.protocol import Engine

EngineName = Literal["embedded", "vllm"]


def open_engine(
    name: EngineName, checkpoint: Path, model: MiMoForCausalLM | None, *, slots: int, max_length: int
) -> Engine:
    """An engine that samples from `model` (embedded) or from `checkpoint` (vLLM).

    Args:
        slots: sequences generated at the same time.
        max_length: of prompt and completion together.
    """
    if name == "embedded":
        if model is None:
            raise ValueError("the embedded engine samples from a model in this process: give one")
        return EmbeddedEngine(model, slots, max_length)
    from components.rollout.vllm_engine import VLLMEngine

    return VLLMEngine(checkpoint, max_length=max_length, slots=slots)
