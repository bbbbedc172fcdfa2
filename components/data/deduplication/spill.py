"""Rows on disk between the two halves of a shuffle: written by one task, sorted by part, read part by part by others.

A file holds the parts' offsets (parts + 1 numbers) and then the rows, all uint64; it appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.artifacts import partial_name
from components.data.deduplication.components import Rows, empty, first_of_each

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # odd


def part_of_key(keys: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """The part of each key, a hash: its top bits. Parts are ranges, in order."""
    return np.zeros(len(keys), dtype=np.int64) if not bits else (keys >> np.uint64(64 - bits)).astype(np.int64)


def part_of_node(nodes: NDArray[np.uint64], bits: int) -> NDArray[np.int64]:
    """The part of each node, spread evenly."""
    return part_of_key(nodes * _SPREAD, bits)


def write_spill(path: Path, rows: Rows, parts: NDArray[np.int64], count: int) -> None:
    """Write rows, each to one of `count` parts."""
    order = np.argsort(parts, kind="stable")
    offsets = np.searchsorted(parts[order], np.arange(count + 1)).astype(np.uint64)
    partial = partial_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as file:
        offsets.tofile(file)
        rows[order].tofile(file)
    partial.replace(path)


class Part:
    """One part of a set of spill files, read in chunks, as often as wanted, so that no part must fit in memory."""

    def __init__(self, paths: Sequence[Path], part: int, count: int, columns: int, most_rows: int) -> None:
        self._slices: list[tuple[Path, int, int]] = []
        self._columns = columns
        self._most_rows = max(1, 2 * most_rows // columns)  # counted for rows of two columns
        for path in paths:
            with path.open("rb") as file:
                file.seek(8 * part)
                start, end = map(int, np.fromfile(file, dtype=np.uint64, count=2))
            if end > start:
                self._slices.append((path, (count + 1) + start * columns, (end - start)))

    def __iter__(self) -> Iterator[Rows]:
        """Rows, at most `most_rows` at once; small slices are put together."""
        waiting: list[Rows] = []
        size = 0
        for path, offset, rows in self._slices:
            for start in range(0, rows, self._most_rows):
                count = min(self._most_rows, rows - start)
                if size + count > self._most_rows:
                    yield np.concatenate(waiting)
                    waiting, size = [], 0
                waiting.append(self._read(path, offset + start * self._columns, count))
                size += count
        if waiting:
            yield np.concatenate(waiting)

    def _read(self, path: Path, offset: int, count: int) -> Rows:
        values = np.fromfile(path, dtype=np.uint64, count=count * self._columns, offset=8 * offset)
        return values.reshape(count, self._columns)

    def all(self) -> Rows:
        return np.concatenate([empty(self._columns), *self])

    def first_of_each(self) -> Rows:
        """The smallest row of each key, in memory for as many rows as there are keys."""
        found = empty(self._columns)
        for chunk in self:
            found = first_of_each(np.concatenate([found, chunk]))
        return found
