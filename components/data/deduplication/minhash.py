"""MinHash-LSH: which texts share most of their word n-grams, without comparing every pair.

- `shingles`           the hashes of a text's word n-grams
- `signature_bands`    texts -> one 64-bit key a band; equal keys in one band make two texts duplicates
- `cluster`            band keys -> cluster of each text, by union-find over equal keys
- `find_duplicates`    all of it

Everything is deterministic, on any machine: words are hashed by BLAKE2, hash functions come from the seed.

Sources: Broder 1997 (MinHash), Indyk and Motwani 1998 (LSH), the FineWeb recipe (5-grams, 14 bands of 8).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from components.data.deduplication.config import Config

Keys = NDArray[np.uint64]

_WORD = re.compile(r"\w+")
_CHUNK = 4096       # shingles hashed at once: 4 MB with 112 hash functions
_CACHE = 1 << 20    # words remembered
_MIX = np.uint64(0x9E3779B97F4A7C15)   # odd: multiplying by it permutes 64-bit numbers


class _WordHashes(dict[str, int]):
    """64-bit hash of a word, remembered."""

    def __missing__(self, word: str) -> int:
        if len(self) >= _CACHE:
            self.clear()
        value = int.from_bytes(blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "little")
        self[word] = value
        return value


_word_hashes = _WordHashes()


def shingles(text: str, ngram: int) -> Keys:
    """Distinct hashes of the word n-grams of a text, case and punctuation apart; a shorter text is one shingle."""
    words = _WORD.findall(text.lower())
    hashes = np.fromiter(map(_word_hashes.__getitem__, words), dtype=np.uint64, count=len(words))
    width = min(ngram, len(hashes))
    if not width:
        return hashes
    combined = np.zeros(len(hashes) - width + 1, dtype=np.uint64)
    for offset in range(width):
        combined = (combined ^ hashes[offset : offset + len(combined)]) * _MIX   # order counts
        combined ^= combined >> np.uint64(29)
    return np.unique(combined)


def signature_bands(texts: Iterable[str], config: Config) -> Keys:
    """Band keys of each text: [texts, bands]. A text without words gets keys that equal no other text's."""
    generator = np.random.default_rng(config.seed)
    functions = config.bands * config.hashes
    factors = generator.integers(0, 2**63, functions, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    offsets = generator.integers(0, 2**63, functions, dtype=np.uint64)
    rows = [_bands(shingles(text, config.ngram), factors, offsets, config.bands) for text in texts]
    return np.array(rows, dtype=np.uint64).reshape(-1, config.bands)


def _bands(hashes: Keys, factors: Keys, offsets: Keys, bands: int) -> Keys:
    """Multiply-shift hashing, minimum over shingles, then one key for each band's minima; 0 without shingles."""
    if not len(hashes):
        return np.zeros(bands, dtype=np.uint64)
    minima = np.full(len(factors), 2**64 - 1, dtype=np.uint64)
    for start in range(0, len(hashes), _CHUNK):
        values = hashes[start : start + _CHUNK, None] * factors + offsets
        np.minimum(minima, values.min(axis=0), out=minima)
    minima >>= np.uint64(32)   # the low bits of a product are weak
    keys = np.zeros(bands, dtype=np.uint64)
    for column in minima.reshape(bands, -1).T:
        keys = (keys ^ column) * _MIX
        keys ^= keys >> np.uint64(31)
    return keys | np.uint64(1)   # never 0


def cluster(keys: Keys) -> NDArray[np.int64]:
    """The cluster of each row of `keys` [texts, bands]: the number of its first member."""
    parents = np.arange(len(keys), dtype=np.int64)

    def root(text: int) -> int:
        while parents[text] != text:
            parents[text] = parents[parents[text]]
            text = int(parents[text])
        return text

    for band in keys.T:
        order = np.argsort(band, kind="stable")
        same = (band[order[1:]] == band[order[:-1]]) & (band[order[1:]] != 0)
        for left, right in zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True):
            first, second = sorted((root(left), root(right)))
            parents[second] = first
    return np.array([root(text) for text in range(len(keys))], dtype=np.int64)


def find_duplicates(texts: Iterable[str], config: Config | None = None) -> list[int]:
    """Cluster id of each text: the index of the first text it is a near-duplicate of, its own if there is none."""
    return cluster(signature_bands(texts, config or Config())).tolist()
