"""Decontamination against evaluation problems.

`find_contamination(texts, prompts, config) -> list[Hit]` lists which text holds which prompt.
"""

from components.data.decontamination.overlap import Hit, find_contamination

__all__ = ["Hit", "find_contamination"]
