"""An n-gram index of prompts: which texts hold a prompt, or a long enough part of one.

A prompt of at least n words is found by any n consecutive ones; a shorter prompt only as a whole, and only if it is
long enough to mean something. Words are joined before they are compared, so `\\frac{1}{2}`, `\\frac 12` and `1/2` are
the same, as are `x^{2} + 3x` and `x ^ 2+3 x`. Operators are compared afterwards: `3 + 4` is not `3 - 4`, and a text
that has all words of a prompt with other operators holds another problem, whatever words they share.

Texts are searched many at once, without a Python step a word (`_Anchors`); only those that hold the beginning of an
n-gram are read closely.

Sources: 13-grams, Brown et al. 2020 (GPT-3), appendix C; 16-grams for SFT data, MiMo report, section 3.1.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from components.data.anchors import SHORT, Anchors
from components.data.prompt_text import Normalized, conflict, normalize, operators

MINIMUM_WORDS = 4
MINIMUM_CHARACTERS = SHORT


@dataclass(frozen=True)
class Match:
    """A prompt found in a text: by number, with the first n-gram found, and the share of its n-grams that are there."""

    prompt: int
    ngram: str
    coverage: float


class NgramIndex:
    """The n-grams of a set of prompts.

    Attributes:
        too_short: numbers of prompts that cannot be looked for: under 4 words or 12 letters and digits.
    """

    def __init__(self, prompts: Sequence[str], n: int) -> None:
        self._prompts: list[tuple[Normalized, dict[int, str]]] = []
        self._owners: dict[str, list[tuple[int, int]]] = defaultdict(list)  # n-gram -> prompts and places in them
        self._sizes: list[int] = []  # distinct n-grams of each prompt
        self.too_short: list[int] = []
        for number, prompt in enumerate(prompts):
            words, signs = operators(prompt)
            ngrams = _ngrams(words, n)
            self._prompts.append((words, signs))
            self._sizes.append(len({ngram for ngram, _ in ngrams}))
            if not ngrams:
                self.too_short.append(number)
            for ngram, place in ngrams:
                self._owners[ngram].append((number, place))
        self._anchors = Anchors(self._owners)

    def matches(self, text: str) -> list[Match]:
        """All prompts that the text holds, those with the largest share of their n-grams first."""
        return next(self.search([text]))

    def __contains__(self, text: str) -> bool:
        return bool(self.matches(text))

    def search(self, texts: Iterable[str]) -> Iterator[list[Match]]:
        """`matches` of each text."""
        for text, likely in self._anchors.likely(texts):
            yield self._read(text) if likely else []

    def _read(self, text: str) -> list[Match]:
        found = self._anchors.find(normalize(text))
        if not found:
            return []
        words, signs = operators(text)
        first: dict[int, tuple[int, str]] = {}
        held: dict[int, set[str]] = defaultdict(set)
        for ngram, start in found:
            for prompt, place in self._owners[ngram]:
                if self._agrees(prompt, place, ngram, words.stream, signs, start):
                    held[prompt].add(ngram)
                    first[prompt] = min(first.get(prompt, (start, ngram)), (start, ngram))
        matches = [
            Match(prompt, first[prompt][1], len(ngrams) / self._sizes[prompt]) for prompt, ngrams in held.items()
        ]
        return sorted(matches, key=lambda match: (-match.coverage, match.prompt))

    def _agrees(self, prompt: int, place: int, ngram: str, stream: str, signs: dict[int, str], start: int) -> bool:
        """Whether the text at `start` means the prompt's n-gram; where all of the prompt is there, whether it means
        that."""
        words, wanted = self._prompts[prompt]
        shift = start - place
        if conflict(wanted, signs, shift, words.stream, place, place + len(ngram)):
            return False
        whole = shift >= 0 and stream.startswith(words.stream, shift)
        return not whole or not conflict(wanted, signs, shift, words.stream, 0, len(words.stream))


def _ngrams(prompt: Normalized, n: int) -> list[tuple[str, int]]:
    """All runs of n words, joined, and where; of a shorter prompt the whole. Those too short to mean something are
    left out."""
    words = len(prompt.starts) - 1
    width = min(n, words)
    if width < min(n, MINIMUM_WORDS):
        return []
    bounds = zip(prompt.starts[: words - width + 1].tolist(), prompt.starts[width:].tolist(), strict=True)
    return [(prompt.stream[start:end], start) for start, end in bounds if end - start >= MINIMUM_CHARACTERS]
