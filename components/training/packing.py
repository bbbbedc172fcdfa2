"""Packing: token sequences into rows of one length, each row with its documents numbered.

- `cut`           a long sequence -> pieces that fit a row
- `pack`          lengths -> which sequences share a row (best fit, longest first)
- `fill`          sequences and their rows -> an array [rows, 2, sequence_length]
- `write_rows`    one shard `rows-00000.npy`; `TokenRows` reads shards without loading them

A row holds token ids in `[0]` and segment numbers in `[1]`: 1, 2, … for its documents, 0 for padding. Attention and
positions start again with each segment. Beside a shard may lie the ids of its documents. Imports numpy only.

Source of the method: Ding et al. 2024, "Fewer Truncations Improve Language Modeling" (best-fit-decreasing packing).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.artifacts import ArtifactError, write_text

TokenArray = NDArray[np.uint32]


def cut(length: int, capacity: int) -> list[tuple[int, int]]:
    """(start, end) of the pieces of a sequence: full ones, then the rest."""
    return [(start, min(start + capacity, length)) for start in range(0, length, capacity)]


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Group sequences into rows of at most `capacity` tokens, best fit decreasing.

    The longest unplaced sequence goes into the fullest row that still has room, the newest of equals. Rows come in
    order of their first sequence, the longest; ties keep the order of `lengths`. Takes n log n time.

    Returns: per row the indices of its sequences.

    Raises:
        ValueError: a sequence is empty or longer than a row.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    if order and not 1 <= lengths[order[-1]] <= lengths[order[0]] <= capacity:
        wrong = next(index for index in range(len(lengths)) if not 1 <= lengths[index] <= capacity)
        raise ValueError(f"sequence {wrong} has {lengths[wrong]} tokens; a row takes 1 to {capacity}")
    rows: list[list[int]] = []
    open_rows: dict[int, list[int]] = {}   # free tokens -> rows with so many, oldest first
    free_values = 0   # bit n is set while open_rows[n] is not empty
    for index in order:
        length = int(lengths[index])
        roomy = free_values >> length
        if roomy:
            free = length + (roomy & -roomy).bit_length() - 1
            row = open_rows[free].pop()
            if not open_rows[free]:
                free_values ^= 1 << free
            rows[row].append(index)
        else:
            free, row = capacity, len(rows)
            rows.append([index])
        rest = free - length
        if rest:
            open_rows.setdefault(rest, []).append(row)
            free_values |= 1 << rest
    return rows


def fill(
    sequences: Sequence[Sequence[int] | TokenArray], rows: Sequence[Sequence[int]], sequence_length: int, padding: int
) -> TokenArray:
    """Lay sequences out in their rows; an array [rows, 2, sequence_length]."""
    array = np.zeros((len(rows), 2, sequence_length), dtype=np.uint32)
    array[:, 0] = padding
    for number, members in enumerate(rows):
        start = 0
        for segment, index in enumerate(members, 1):
            end = start + len(sequences[index])
            array[number, 0, start:end] = sequences[index]
            array[number, 1, start:end] = segment
            start = end
    return array


def efficiency(rows: TokenArray) -> float:
    """Share of positions that are no padding."""
    return float((rows[:, 1] > 0).mean()) if rows.size else 0.0


def write_rows(directory: Path, index: int, rows: TokenArray, documents: Sequence[Sequence[str]] | None = None) -> Path:
    """Write shard `index` so that it appears whole or not at all; returns its path.

    Args:
        documents: for each row the ids of its segments' documents, in order; they go to `documents_path(path)` first.
    """
    path = directory / f"rows-{index:05d}.npy"
    if documents is not None:
        write_text(documents_path(path), "".join(json.dumps(list(ids)) + "\n" for ids in documents))
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        np.save(file, np.ascontiguousarray(rows, dtype=np.uint32))
    partial.replace(path)
    return path


def documents_path(shard: Path) -> Path:
    """Where the ids of the documents in a shard's rows are: JSON lists, a line a row."""
    return shard.with_suffix(".documents.jsonl")


class TokenRows:
    """The rows of several shards as one sequence, memory-mapped.

    Attributes:
        sequence_length: positions a row.

    Raises:
        ArtifactError: no shard, a file that is no array of rows, or rows of different lengths.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        if not paths:
            raise ArtifactError("no rows: the artifact lists no data shard")
        self._paths = list(paths)
        self._shards = [_open_rows(path) for path in paths]
        self.sequence_length = self._shards[0].shape[2]
        for path, shard in zip(paths, self._shards, strict=True):
            if shard.shape[2] != self.sequence_length:
                raise ArtifactError(
                    f"{path}: rows of {shard.shape[2]} tokens, {paths[0].name} has {self.sequence_length}"
                )
        self._ends = np.cumsum([len(shard) for shard in self._shards])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> TokenArray:
        """Row `index`: [2, sequence_length]."""
        shard, row = self._find(index)
        return self._shards[shard][row]

    def batch(self, indices: Sequence[int] | NDArray[np.integer]) -> TokenArray:
        """Rows by number, in the order asked: [len(indices), 2, sequence_length]."""
        return np.stack([self[int(index)] for index in indices])

    def shard(self, index: int) -> str:
        """The name of the file that row `index` is in."""
        return self._paths[self._find(index)[0]].name

    def documents(self, index: int) -> list[str]:
        """The ids of the documents in row `index`, in order; empty where nobody wrote them down."""
        shard, row = self._find(index)
        path = documents_path(self._paths[shard])
        if not path.is_file():
            return []
        with path.open(encoding="utf-8") as file:
            ids: list[str] = json.loads(next(islice(file, row, None)))
        return ids

    def _find(self, index: int) -> tuple[int, int]:
        """Row `index`'s shard and its number there."""
        if not 0 <= index < len(self):
            raise IndexError(f"row {index} of {len(self)}")
        shard = int(np.searchsorted(self._ends, index, side="right"))
        return shard, index - int(self._ends[shard]) + len(self._shards[shard])


def _open_rows(path: Path) -> TokenArray:
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ArtifactError(f"{path}: not an array of rows: {error}") from None
    if rows.dtype != np.uint32 or rows.ndim != 3 or rows.shape[1] != 2:
        raise ArtifactError(f"{path}: {rows.dtype} {list(rows.shape)}; rows are uint32 [rows, 2, sequence_length]")
    return rows
