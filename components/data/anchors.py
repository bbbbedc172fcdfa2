"""Finds which of many texts hold the beginning of one of many strings of words, at the speed of numpy.

Texts are folded as `prompt_text.normalize` does, all of a batch in one array of UTF-16 units: a table folds them, and
sums of c_i · B^i give the hash of any stretch of letters and digits. Where a word begins, the hash of the next 12 is
looked up in a table of what may be the beginning of a string, and what passes is compared by hashes of 32.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.data.prompt_text import Normalized, fold, prepare

SHORT, LONG = 12, 32  # characters hashed where a string begins: LONG where it is that long
BATCH = 1 << 16  # units searched at once
MOST = 8 * BATCH  # a longer text is not searched but counts as likely
_BASE = 0x9E3779B1  # odd, so it has an inverse
_STEPS = (0, 10, LONG - SHORT)  # LONG is covered by SHORT from each
_LETTER, _DIGIT, _ALONE = 1, 2, 3  # a word is a run of one class, or one _ALONE
_OTHER = np.uint32(1 << 31)
_BEYOND = re.compile("[\U00010000-\U0010ffff]")

Hashes = NDArray[np.uint32]
Places = NDArray[np.int64]


@lru_cache(maxsize=1)
def _table() -> Hashes:
    """Unit -> its folded character and class, 0 if it is in no word.

    _OTHER is set where a text has to be folded as a whole: what becomes several characters, joins the one before it or
    lies beyond the basic plane.
    """
    table = np.zeros(1 << 16, dtype=np.uint32)
    for code in range(1 << 16):
        folded = fold(chr(code))
        joins = unicodedata.combining(chr(code)) or 0x1160 <= code < 0x1200
        if 0xD800 <= code < 0xE000 or len(folded) != 1 or joins:
            table[code] = _OTHER
        elif folded.isalnum():
            alone = 0x3040 <= ord(folded) <= 0x30FF or 0x3400 <= ord(folded) <= 0x9FFF
            table[code] = ord(folded) << 2 | (_ALONE if alone else _DIGIT if folded.isdecimal() else _LETTER)
    return table


@lru_cache(maxsize=1)
def _powers() -> tuple[Hashes, Hashes]:
    """Powers of the base, and of its inverse, modulo 2^32."""
    found = []
    for base in (_BASE, pow(_BASE, -1, 2**32)):
        powers = np.full(2 * MOST, base, dtype=np.uint32)
        powers[0] = 1
        found.append(np.multiply.accumulate(powers, dtype=np.uint32))
    return found[0], found[1]


def _encode(text: str) -> NDArray[np.uint16]:
    return np.frombuffer(text.encode("utf-16-le", "surrogatepass"), dtype=np.uint16)


class _Stream:
    """The letters and digits of some texts, joined, and where words begin in them.

    Args:
        folded: units as `_table` has them; `bounds`: where each text begins, and where the last ends.
    """

    def __init__(self, folded: Hashes, bounds: Places) -> None:
        classes = (folded & np.uint32(3)).astype(np.uint8)
        begins = classes == _ALONE
        begins[1:] |= classes[1:] != classes[:-1]
        begins[:1] = True
        inside = np.flatnonzero(classes != 0)
        stream = folded.take(inside)
        self.begins = np.flatnonzero(begins.take(inside))
        self.bounds = np.searchsorted(inside, bounds)
        stream *= _powers()[0][: len(stream)]
        self._sums = np.zeros(len(stream) + 1, dtype=np.uint32)
        np.cumsum(stream, out=self._sums[1:])

    def __len__(self) -> int:
        return len(self._sums) - 1

    def hashes(self, places: Places) -> Hashes:
        """Hash of SHORT characters from each place."""
        values = (self._sums[places + SHORT] - self._sums[places]) * _powers()[1][places]
        values ^= values >> np.uint32(15)
        return values * np.uint32(0x2C1B3C6D)

    def long_hashes(self, places: Places) -> NDArray[np.uint64]:
        """Hash of LONG characters from each place."""
        values = np.zeros(len(places), dtype=np.uint64)
        for step in _STEPS:
            values ^= self.hashes(places + step)
            values *= np.uint64(0x9E3779B97F4A7C15)
            values ^= values >> np.uint64(32)
        return values


class Anchors:
    """The beginnings of a set of strings of letters and digits, each at least SHORT long."""

    def __init__(self, strings: Iterable[str]) -> None:
        self._strings: dict[int, dict[str, list[str]]] = {SHORT: defaultdict(list), LONG: defaultdict(list)}
        for string in strings:
            length = LONG if len(string) >= LONG else SHORT
            self._strings[length][string[:length]].append(string)
        self._short = np.unique(_of_strings(self._strings[SHORT], _Stream.hashes))
        self._long = np.unique(_of_strings(self._strings[LONG], _Stream.long_hashes))
        begins = _of_strings((string[:SHORT] for string in self._strings[LONG]), _Stream.hashes)
        every = np.unique(np.concatenate([self._short, begins]))
        bits = min(24, max(16, (32 * len(every)).bit_length()))
        self._shift = np.uint32(32 - bits)
        maybe = np.zeros(1 << bits, dtype=bool)
        maybe[every >> self._shift] = True
        self._maybe = np.packbits(maybe, bitorder="little")  # small enough to stay in a core's cache

    def likely(self, texts: Iterable[str]) -> Iterator[tuple[str, bool]]:
        """Each text, and whether it may hold one of the strings; False is certain."""
        batch: list[str] = []
        size = 0
        for text in texts:
            batch.append(text)
            size += len(text)
            if size >= BATCH:
                yield from zip(batch, self._search(batch), strict=True)
                batch, size = [], 0
        yield from zip(batch, self._search(batch), strict=True)

    def _search(self, texts: list[str]) -> list[bool]:
        found = np.array([len(text) > MOST for text in texts], dtype=bool)
        units = [_encode(prepare(text)) if len(text) <= MOST else _encode("") for text in texts]
        folded, bounds = _fold(units)
        other = np.flatnonzero(folded >= _OTHER)
        if len(other):  # those texts again, folded as a whole
            folded[other] = 0
            again = np.unique(np.searchsorted(bounds, other, side="right") - 1)
            plain = [fold(prepare(texts[number])) for number in again]
            beyond = [_BEYOND.findall(text) for text in plain]
            found[again] = [any(map(str.isalnum, characters)) for characters in beyond]
            refolded, places = _fold([_encode(_BEYOND.sub(" ", text)) for text in plain])
            refolded[refolded >= _OTHER] = 0
            found[again[self._held(_Stream(refolded, places))]] = True
        found[self._held(_Stream(folded, bounds))] = True
        return found.tolist()

    def _held(self, stream: _Stream) -> Places:
        """Numbers of the texts of a stream that hold one of the beginnings."""
        places = stream.begins[: np.searchsorted(stream.begins, len(stream) - SHORT, side="right")]
        hashes = stream.hashes(places)
        bits = hashes >> self._shift
        bytes_ = self._maybe.take(bits >> np.uint32(3))
        passed = np.flatnonzero(bytes_ >> (bits & np.uint32(7)).astype(np.uint8) & np.uint8(1))
        places, hashes = places[passed], hashes[passed]
        held = _among(hashes, self._short)
        reach = places <= len(stream) - LONG
        held[reach] |= _among(stream.long_hashes(places[reach]), self._long)
        return np.searchsorted(stream.bounds, places[held], side="right") - 1

    def find(self, text: Normalized) -> list[tuple[str, int]]:
        """Every place where one of the strings is in a text and begins and ends with a word: the string and where."""
        found = []
        stream, starts = text.stream, text.starts.tolist()
        ends = set(starts)
        for start in starts:
            for length, strings in self._strings.items():
                for string in strings.get(stream[start : start + length], ()):
                    if start + len(string) in ends and stream.startswith(string, start):
                        found.append((string, start))
        return found


def _fold(units: list[NDArray[np.uint16]]) -> tuple[Hashes, Places]:
    """Texts, each followed by what is in no word, folded by the table; where each begins, and the end."""
    end = np.zeros(1, dtype=np.uint16)
    joined = np.concatenate([end, *(piece for text in units for piece in (text, end))])
    return _table().take(joined), np.cumsum([1, *(len(text) + 1 for text in units)])


def _of_strings(strings: Iterable[str], hashes: Callable[..., NDArray[Any]]) -> NDArray[Any]:
    """Hash of the beginning of each."""
    parts = [_encode(string) for string in strings if not _BEYOND.search(string)]  # texts with such are read anyway
    if not parts:
        return hashes(_Stream(np.zeros(1, dtype=np.uint32), np.zeros(1, dtype=np.int64)), np.zeros(0, dtype=np.int64))
    found = []
    for start in range(0, len(parts), 4096):
        some = parts[start : start + 4096]
        bounds = np.concatenate([[0], np.cumsum([len(part) for part in some])])
        found.append(hashes(_Stream(_table().take(np.concatenate(some)), bounds), bounds[:-1]))
    return np.concatenate(found)


def _among(values: NDArray[Any], known: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are in `known`, sorted."""
    if not len(known):
        return np.zeros(len(values), dtype=bool)
    return known[np.minimum(np.searchsorted(known, values), len(known) - 1)] == values
