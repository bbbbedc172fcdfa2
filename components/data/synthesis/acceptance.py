"""Which answers are good enough to learn from, apart from being right (which the rewards decide).

Source: MiMo report 3.1: samples with mixed languages or incomplete responses out, at most 8 responses per query.

- `flaw`       why an answer is refused, or nothing
- `distinct`   which answers to one query are not near-copies of an earlier one
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from components.data.responses import foreign_letters, split_thought
from components.data.teacher import Generation
from components.model.chat_template import CONTROL_TOKENS, SPECIAL_TOKENS


def flaw(prompt: str, generation: Generation, mixing: float) -> tuple[str, str]:
    """Why an answer is refused: (reason, detail), both empty for a good one.

    Args:
        mixing: largest share of letters outside the script that most letters of the prompt are in.
    """
    if generation.refused:
        return "refused", generation.refused
    forged = [token for token in SPECIAL_TOKENS if token in prompt]
    forged += [token for token in CONTROL_TOKENS if token in generation.text]
    if forged:   # a page that writes chat markup would put words into another role's mouth
        return "control_token", forged[0]
    if not generation.finished:
        return "truncated", generation.text[-200:]
    parts = split_thought(generation.text)
    if parts is None:
        return "incomplete_thought", generation.text[:200]
    if not parts[1]:
        return "no_answer", generation.text[-200:]
    share, script = foreign_letters(prompt, generation.text)
    if share > mixing:
        return "language_mixing", f"{share:.0%} of the letters are {script}"
    return "", ""


def distinct(texts: Sequence[str], threshold: float) -> list[bool]:
    """For each text, whether its word 5-grams are below `threshold` Jaccard similarity to every earlier kept one."""
    kept: list[frozenset[tuple[str, ...]]] = []
    verdicts = []
    for text in texts:
        grams = _grams(text)
        new = all(_jaccard(grams, other) < threshold for other in kept)
        if new:
            kept.append(grams)
        verdicts.append(new)
    return verdicts


def _grams(text: str, size: int = 5) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    return frozenset(tuple(words[start : start + size]) for start in range(max(1, len(words) - size + 1)))


def _jaccard(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> float:
    return len(left & right) / len(left | right)
