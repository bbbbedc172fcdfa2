"""Which texts overlap with evaluation prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from components.data.decontamination.config import Config
from components.data.ngrams import NgramIndex


@dataclass(frozen=True)
class Hit:
    """Text number `text` holds `ngram` (normalised, words joined) of prompt number `prompt`.

    `coverage` is the share of the prompt's n-grams that are in the text.
    """

    text: int
    prompt: int
    ngram: str
    coverage: float


def find_contamination(texts: Iterable[str], prompts: Sequence[str], config: Config | None = None) -> list[Hit]:
    """Every pair of a text and a prompt that it holds n consecutive words of, or all of a shorter prompt."""
    index = NgramIndex(prompts, (config or Config()).ngram)
    return [
        Hit(number, match.prompt, match.ngram, match.coverage)
        for number, matches in enumerate(index.search(texts))
        for match in matches
    ]
