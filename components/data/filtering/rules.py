"""Heuristic rules, few, on prose only.

FineWeb's and Gopher's rules drop pages of short lines, symbols and repetition, which is what formulas and code look
like (MiMo report, section 2.1). Here each rule sees a page without them, and a page with a good share of them passes.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from components.data.filtering.config import Rules
from components.data.filtering.masking import CODE, FORMULA, Masked, prose_lines

CHARACTERS_A_WORD = 8   # of formulas and code, with the space after it
_LETTER = re.compile(r"[^\W\d_]")
_SENTENCE_END = re.compile(r"[.!?。！？…][\"'”’)\]*_⟧]*(?:\s|$)|[:;]$")


@dataclass(frozen=True)
class Measure:
    """What a rule measured, and the bound it must keep to."""

    rule: str
    value: float
    bound: float
    is_minimum: bool

    @property
    def holds(self) -> bool:
        return self.value >= self.bound if self.is_minimum else self.value <= self.bound


def is_protected(math_share: float, code_share: float, rules: Rules) -> bool:
    """A page with so much math or code is not judged by its prose."""
    return max(math_share, code_share) >= rules.protected_share


def measure(text: str, masked: Masked, rules: Rules) -> list[Measure]:
    """The rules that apply to a document, with their values; it passes if all hold.

    Args:
        text: the whole Markdown.
        masked: the same without formulas and code.
    """
    words_in_all = len(text.split())
    protected = is_protected(masked.math, masked.code, rules)
    if protected:   # a displayed formula is one word by its spaces, and may be a step of a derivation
        words_in_all = max(words_in_all, len(text) // CHARACTERS_A_WORD)
    found = [Measure("too_short", float(words_in_all), float(rules.minimum_words), True)]
    if protected:
        return found
    lines = prose_lines(masked)
    words = [line.split() for line in lines]
    total = sum(map(len, words))
    if total < rules.prose_words:
        return found
    others = [word for line in words for word in line if not word.isalpha()]
    letters = total - len(others) + sum(1 for word in others if _LETTER.search(word))
    sentences = sum(len(line) for line, row in zip(words, lines, strict=True) if _SENTENCE_END.search(row))
    # two lines that differ in their formulas only are the same once these are masked
    counts = Counter(line for line in lines if FORMULA not in line and CODE not in line)
    repeated = sum(len(line.split()) * (count - 1) for line, count in counts.items())
    return [
        *found,
        Measure("few_letters", letters / total, rules.minimum_letters, True),
        Measure("few_sentences", sentences / total, rules.minimum_sentences, True),
        Measure("repeated_lines", repeated / total, rules.maximum_repeated, False),
    ]
