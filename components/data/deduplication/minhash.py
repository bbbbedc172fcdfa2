"""MinHash signatures: which texts share most of their word n-grams, told from a few numbers a text.

- `signature_bands`    texts -> one 64-bit key a band; equal keys make two texts duplicates
- `find_duplicates`    texts -> cluster of each, in memory
- `shingles`           the hashes of one text's word n-grams, as a set: what signatures sample

Texts are hashed many at once, without a Python step a word: UTF-16 code units are folded by one table, words are
differences of a running sum c_i · B^i (a rolling polynomial hash), n-grams mix the hashes of their words, and each of
the hash functions is one multiplication and one minimum over runs. Deterministic, on any machine: the hash functions
come from the seed and a text's keys do not depend on the texts beside it.

Sources: Broder 1997 (MinHash), Indyk and Motwani 1998 (LSH), the FineWeb recipe (5-grams, 14 bands of 8).
"""

from __future__ import annotations

import threading
import unicodedata
from collections.abc import Iterable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from components.data.deduplication.components import Rows, bucket_edges, connect
from components.data.deduplication.config import Config

Keys = NDArray[np.uint64]

Hashes = NDArray[np.uint32]

BATCH = 1 << 18  # code units hashed at once: enough to forget what a call costs, and most of it stays in a core's cache
_BASE = 0x9E3779B1  # odd, so it has an inverse
_MIX = np.uint64(0xD6E8FEB86659FD93)  # odd: multiplying by it permutes 64-bit numbers
_SHIFT = np.uint64(32)
# Scripts written without spaces, where each character is a word: Thai to Burmese, Khmer, kana, Han.
_UNSPACED = ((0x0E00, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0xF900, 0xFAFF))


@lru_cache(maxsize=1)
def _tables() -> tuple[Hashes, NDArray[np.bool_], Hashes, Hashes]:
    """Code unit -> a number for its lower case, 0 if it is in no word; whether it is a word alone; powers, inverses.

    Letters, marks, numbers and the underscore make words; so do halves of pairs, characters beyond the basic plane.
    """
    fold = np.zeros(1 << 16, dtype=np.uint32)
    for code in range(1 << 16):
        character = chr(code)
        if character == "_" or unicodedata.category(character)[0] in "LMN" or 0xD800 <= code < 0xE000:
            lower = character.lower()
            fold[code] = ord(lower) if len(lower) == 1 and ord(lower) < 1 << 16 else code
    alone = np.zeros(1 << 16, dtype=bool)
    for first, last in _UNSPACED:
        alone[first : last + 1] = fold[first : last + 1] > 0
    size = 4 * BATCH
    return _mix(fold), alone, _powers(_BASE, size), _powers(pow(_BASE, -1, 2**32), size)


def _powers(base: int, count: int) -> Hashes:
    powers = np.full(count, base, dtype=np.uint32)
    powers[0] = 1
    return np.multiply.accumulate(powers, dtype=np.uint32)


def _mix(values: Hashes) -> Hashes:
    """A permutation of 32-bit numbers that keeps 0 and lets every bit depend on all, in place (MurmurHash3's)."""
    values ^= values >> np.uint32(16)
    values *= np.uint32(0x85EBCA6B)
    values ^= values >> np.uint32(13)
    values *= np.uint32(0xC2B2AE35)
    values ^= values >> np.uint32(16)
    return values


def _encode(text: str) -> bytes:
    return text.encode("utf-16-le", "surrogatepass")


class _Scratch(threading.local):
    """Arrays [units] that every batch of a thread uses again: memory fresh from the system costs more than the work."""

    size = 0

    def of(self, size: int) -> tuple[Hashes, Hashes, NDArray[np.bool_], NDArray[np.bool_]]:
        if size > self.size:
            self.size = size
            self.folded, self.sums = np.empty(size, dtype=np.uint32), np.empty(size, dtype=np.uint32)
            self.inside, self.change = np.empty(size, dtype=bool), np.empty(size, dtype=bool)
        return self.folded[:size], self.sums[:size], self.inside[:size], self.change[:size]


_scratch = _Scratch()


def _hash_words(units: NDArray[np.uint16]) -> tuple[Hashes, NDArray[np.int64]]:
    """Hash of each word, and the place before it. The first and the last unit must be in no word."""
    fold, alone, powers, inverses = _tables()
    folded, sums, inside, change = _scratch.of(len(units))
    np.take(fold, units, out=folded, mode="clip")  # the other modes copy
    np.not_equal(folded, 0, out=inside)
    np.multiply(folded, powers[: len(units)], out=folded)
    np.cumsum(folded, out=sums)
    np.greater_equal(units, _UNSPACED[0][0], out=change)
    change &= inside
    if change.any() and (single := alone.take(units)).any():
        begins, ends = inside[1:-1].copy(), inside[1:-1].copy()
        begins &= ~inside[:-2] | single[1:-1] | single[:-2]
        ends &= ~inside[2:] | single[1:-1] | single[2:]
        before, last = np.flatnonzero(begins), np.flatnonzero(ends) + 1
    else:
        np.not_equal(inside[1:], inside[:-1], out=change[1:])
        edges = np.flatnonzero(change[1:])
        before, last = edges[::2], edges[1::2]
    words = sums[last]
    words -= sums[before]
    words *= inverses[before]
    return _mix(words), before


def _hash_ngrams(pieces: list[bytes], ngram: int) -> tuple[Hashes, NDArray[np.int64]]:
    """Hashes of the word n-grams of each piece, end to end, and how many each has; a shorter piece is one n-gram."""
    units = np.frombuffer(b"\0\0".join([b"", *pieces, b""]), dtype=np.uint16)  # words end at the zeros between pieces
    sizes = np.fromiter(map(len, pieces), dtype=np.int64, count=len(pieces)) // 2 + 1
    words, places = _hash_words(units)
    bounds = np.searchsorted(places, np.concatenate([[0], np.cumsum(sizes)]))
    starts, counts = bounds[:-1], np.diff(bounds)
    padded = np.concatenate([words, np.zeros(ngram, dtype=np.uint32)])
    combined = np.zeros_like(words)
    short = []
    for offset in range(ngram):  # Σ w_i · B^i: order counts, and the length of shorter ones by what is added
        combined += padded[offset : offset + len(words)]
        combined *= np.uint32(_BASE)
        if offset + 1 < ngram:
            those = starts[counts == offset + 1]
            short.append((those, combined[those] + np.uint32(offset + 1)))
    for those, values in short:
        combined[those] = values
    kept = np.where(counts >= ngram, counts - ngram + 1, np.minimum(counts, 1))
    steps = np.zeros(len(words) + 1, dtype=np.int8)
    some = kept > 0
    np.add.at(steps, starts[some], 1)
    np.subtract.at(steps, (starts + kept)[some], 1)
    mask = np.cumsum(steps[:-1], dtype=np.int8).view(bool)
    return _mix(combined[mask]), kept


def shingles(text: str, ngram: int) -> Hashes:
    """Distinct hashes of a text's word n-grams, case and punctuation apart; a shorter text is one n-gram."""
    parts = [_hash_ngrams([_encode(piece)], ngram)[0] for piece in _cut(text)]
    return np.unique(np.concatenate(parts)) if parts else np.zeros(0, dtype=np.uint32)


def _cut(text: str) -> Iterator[str]:
    """A text in pieces of bounded length; of a longer one, a few n-grams at the cuts are lost."""
    return (text[start : start + BATCH] for start in range(0, len(text), BATCH))


class _Functions:
    """The hash functions of a config: x -> a·x modulo 2^32, a odd, of x that are well mixed already."""

    def __init__(self, config: Config) -> None:
        generator = np.random.default_rng(config.seed)
        count = config.bands * config.hashes
        self.config = config
        self.factors = generator.integers(0, 2**31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)

    def minima(self, pieces: list[bytes]) -> Hashes:
        """[functions, pieces]: each function's minimum over a piece's n-grams; all ones for a piece without words."""
        hashes, counts = _hash_ngrams(pieces, self.config.ngram)
        some = counts > 0
        minima = np.full((len(self.factors), len(pieces)), 2**32 - 1, dtype=np.uint32)
        if not len(hashes):
            return minima
        starts = np.concatenate([[0], np.cumsum(counts[some])[:-1]])
        found = np.empty((len(self.factors), len(starts)), dtype=np.uint32)
        values = np.empty_like(hashes)
        for row, factor in zip(found, self.factors, strict=True):
            np.multiply(hashes, factor, out=values)
            np.minimum.reduceat(values, starts, out=row)
        minima[:, some] = found
        return minima

    def keys(self, minima: Hashes) -> Keys:
        """Minima [functions, texts] -> keys [texts, bands]; 0 for a text without words."""
        bands, hashes = self.config.bands, self.config.hashes
        columns = minima.reshape(bands, hashes, -1).astype(np.uint64)
        keys = np.repeat(np.arange(1, bands + 1, dtype=np.uint64)[:, None], minima.shape[1], axis=1)  # bands differ
        for column in columns.swapaxes(0, 1):
            keys ^= column
            keys *= _MIX
            keys ^= keys >> _SHIFT
        keys[keys == 0] = 1
        keys[:, (minima == 2**32 - 1).all(axis=0)] = 0
        return keys.T


def signature_bands(texts: Iterable[str], config: Config) -> Keys:
    """Band keys of each text: [texts, bands]. A text without words has keys of 0, which equal no other's."""
    functions = _Functions(config)
    parts: list[Keys] = [np.zeros((0, config.bands), dtype=np.uint64)]
    batch: list[bytes] = []
    size = 0
    for text in texts:
        if len(text) > BATCH:
            if batch:
                parts.append(functions.keys(functions.minima(batch)))
            minima = [functions.minima([_encode(piece)]) for piece in _cut(text)]
            parts.append(functions.keys(np.minimum.reduce(minima)))
            batch, size = [], 0
            continue
        encoded = _encode(text)
        batch.append(encoded)
        size += len(encoded) // 2 + 1
        if size >= BATCH:
            parts.append(functions.keys(functions.minima(batch)))
            batch, size = [], 0
    if batch:
        parts.append(functions.keys(functions.minima(batch)))
    return np.concatenate(parts)


def key_rows(keys: Keys, numbers: Keys) -> Rows:
    """Keys [texts, bands] of the texts with these numbers -> rows (key, number), without those of wordless texts."""
    rows = np.stack([keys.ravel(), np.repeat(numbers, keys.shape[1])], axis=1)
    return rows[rows[:, 0] != 0]


def cluster(keys: Keys) -> NDArray[np.int64]:
    """The cluster of each row of `keys` [texts, bands]: the number of its first member."""
    clusters = np.arange(len(keys), dtype=np.uint64)
    _, edges = bucket_edges(key_rows(keys, clusters))
    members, firsts = connect(edges).T
    clusters[members.astype(np.int64)] = firsts
    return clusters.astype(np.int64)


def find_duplicates(texts: Iterable[str], config: Config | None = None) -> list[int]:
    """Cluster id of each text: the index of the first text it is a near-duplicate of, its own if there is none."""
    return cluster(signature_bands(texts, config or Config())).tolist()
