"""An n-gram index of prompts: which texts hold a prompt, or a long enough part of one.

- `normalize`     text -> its letters and digits, and where words begin; case, punctuation, spacing and LaTeX apart
- `NgramIndex`    looks texts up in a set of prompts

A prompt of at least n words is found by any n consecutive ones; a shorter prompt only as a whole, and only if it is
long enough to mean something. Words are joined before they are compared, so `\\frac{1}{2}`, `\\frac 12` and `1/2` are
the same, as are `x^{2} + 3x` and `x ^ 2+3 x`.

Sources: 13-grams, Brown et al. 2020 (GPT-3), appendix C; 16-grams for SFT data, MiMo report, section 3.1.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MINIMUM_WORDS = 4
MINIMUM_CHARACTERS = 12
ANCHORS = (32, MINIMUM_CHARACTERS)   # characters hashed at an n-gram's start, the longest that fits

# A word: one character of a script written without spaces, or a run of letters, or a run of digits.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+|\d+")
_COMMAND = re.compile(r"\\(?:(?:begin|end)\s*\{\w+\*?\}|[a-zA-Z]+)")
_GREEK_NAMES = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "omicron", "pi", "rho", "finalsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
_GREEK = {name: chr(ord("α") + number) for number, name in enumerate(_GREEK_NAMES)}
# Commands whose name is read aloud; all others (\frac, \left, \text, \cdot …) are layout or punctuation.
_SPOKEN = frozenset({
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log",
    "ln", "exp", "lim", "max", "min", "sup", "inf", "gcd", "lcm", "det", "dim", "ker", "deg", "arg", "mod",
    "bmod", "pmod",
})  # fmt: skip


@dataclass(frozen=True)
class Normalized:
    """`stream` is all words joined; `starts` holds where each begins in it, and last its length."""

    stream: str
    starts: NDArray[np.int64]


@dataclass(frozen=True)
class Match:
    """A prompt found in a text: by number, with the first n-gram found, and the share of its n-grams that are there."""

    prompt: int
    ngram: str
    coverage: float


def normalize(text: str) -> Normalized:
    """Letters and digits of a text in lower case, compatibility forms unified (x² is x2), LaTeX layout removed."""
    if "\\" in text:
        text = _COMMAND.sub(_speak, text)
    text = text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()
    words = _WORD.findall(text)
    starts = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, words), dtype=np.int64, count=len(words)), out=starts[1:])
    return Normalized("".join(words), starts)


def _speak(command: re.Match[str]) -> str:
    name = command.group(0)[1:]
    if name.lower() in _GREEK:
        return f" {_GREEK[name.lower()]} "
    return f" {name} " if name in _SPOKEN else " "


class NgramIndex:
    """The n-grams of a set of prompts.

    Attributes:
        too_short: numbers of prompts that cannot be looked for: under 4 words or 12 letters and digits.
    """

    def __init__(self, prompts: Sequence[str], n: int) -> None:
        self._ngrams: dict[int, dict[int, set[str]]] = {length: defaultdict(set) for length in ANCHORS}
        self._owners: dict[str, list[int]] = defaultdict(list)
        self._sizes: list[int] = []   # distinct n-grams of each prompt
        self.too_short: list[int] = []
        for number, prompt in enumerate(prompts):
            ngrams = dict.fromkeys(_ngrams(normalize(prompt), n))
            self._sizes.append(len(ngrams))
            if not ngrams:
                self.too_short.append(number)
            for ngram in ngrams:
                self._owners[ngram].append(number)
        for ngram in self._owners:
            length = next(length for length in ANCHORS if len(ngram) >= length)
            anchor = _hashes(ngram[:length], np.zeros(1, dtype=np.int64), length)[0]
            self._ngrams[length][int(anchor)].add(ngram)
        self._filters = {length: _filter(anchors) for length, anchors in self._ngrams.items()}

    def matches(self, text: str) -> list[Match]:
        """All prompts that the text holds, those with the largest share of their n-grams first."""
        first: dict[int, str] = {}
        counts: dict[int, int] = defaultdict(int)
        for ngram in self._find(normalize(text)):
            for prompt in self._owners[ngram]:
                first.setdefault(prompt, ngram)
                counts[prompt] += 1
        found = [Match(prompt, ngram, counts[prompt] / self._sizes[prompt]) for prompt, ngram in first.items()]
        return sorted(found, key=lambda match: (-match.coverage, match.prompt))

    def __contains__(self, text: str) -> bool:
        return bool(self._find(normalize(text)))

    def _find(self, text: Normalized) -> list[str]:
        """Distinct n-grams of the index in a text, in the order they appear."""
        found: dict[str, int] = {}
        for length, anchors in self._ngrams.items():
            starts = text.starts[text.starts + length <= len(text.stream)]
            if not anchors or not len(starts):
                continue
            hashes = _hashes(text.stream, starts, length)
            likely = self._filters[length][hashes >> _FILTER_SHIFT]
            ends = set(text.starts.tolist()) if likely.any() else set()
            for start, value in zip(starts[likely].tolist(), hashes[likely].tolist(), strict=True):
                for ngram in anchors.get(value, ()):
                    if start + len(ngram) in ends and text.stream.startswith(ngram, start):
                        found.setdefault(ngram, start)
        return sorted(found, key=lambda ngram: (found[ngram], ngram))


def _ngrams(prompt: Normalized, n: int) -> list[str]:
    """All runs of n words, joined; of a shorter prompt the whole. Those too short to mean something are left out."""
    words = len(prompt.starts) - 1
    width = min(n, words)
    if width < min(n, MINIMUM_WORDS):
        return []
    bounds = zip(prompt.starts[: words - width + 1], prompt.starts[width:], strict=True)
    return [prompt.stream[start:end] for start, end in bounds if end - start >= MINIMUM_CHARACTERS]


# Hashes of all windows of one length: differences of a running sum of c_i · B^i, divided by B^start, modulo 2^64.

_BASE = 0x9E3779B97F4A7C15                # odd, so it has an inverse
_INVERSE = pow(_BASE, -1, 2**64)
_FILTER_BITS = 22
_FILTER_SHIFT = np.uint64(64 - _FILTER_BITS)
_SPREAD = np.uint64(0xD6E8FEB86659FD93)   # the top bits of a hash must depend on all of it


def _powers(base: int, count: int) -> NDArray[np.uint64]:
    powers = np.full(count, base, dtype=np.uint64)
    powers[:1] = 1
    return np.multiply.accumulate(powers)


_TABLES = [_powers(_BASE, 1 << 12), _powers(_INVERSE, 1 << 12)]   # grown by need


def _hashes(stream: str, starts: NDArray[np.int64], length: int) -> NDArray[np.uint64]:
    """Hash of the `length` characters from each start."""
    characters = np.frombuffer(stream.encode("utf-32-le", "surrogatepass"), dtype=np.uint32)
    if len(characters) > len(_TABLES[0]):
        _TABLES[:] = [_powers(base, 2 * len(characters)) for base in (_BASE, _INVERSE)]
    sums = np.zeros(len(characters) + 1, dtype=np.uint64)
    np.cumsum(characters * _TABLES[0][: len(characters)], out=sums[1:])
    values = (sums[starts + length] - sums[starts]) * _TABLES[1][starts]
    values ^= values >> np.uint64(32)
    return values * _SPREAD


def _filter(anchors: dict[int, set[str]]) -> NDArray[np.bool_]:
    """A table over the top bits of a hash: False means that it is certainly no anchor."""
    table = np.zeros(1 << _FILTER_BITS, dtype=bool)
    table[np.fromiter(anchors, dtype=np.uint64, count=len(anchors)) >> _FILTER_SHIFT] = True
    return table
