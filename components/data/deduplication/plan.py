"""How the shuffle is cut into tasks: groups of shards and parts of the key space, sized to fit in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.data.deduplication.components import Rows, empty
from components.data.deduplication.config import Config
from components.data.deduplication.index import Index
from components.data.deduplication.spill import Part, part_of_node, write_spill

ROW_ROOM = 96  # bytes that a row (key, node) needs while it is sorted, with the copies that takes


@dataclass(frozen=True)
class Plan:
    """What every task knows. `counts` are documents a shard; `base` is the number of the first one."""

    work: Path
    index: Path
    config: Config
    counts: tuple[int, ...]
    older: Index | None

    @property
    def base(self) -> int:
        return self.older.documents if self.older else 0

    @property
    def most_rows(self) -> int:
        """Rows in memory at once."""
        return max(1024, (self.config.memory_mb << 20) // ROW_ROOM)

    @property
    def bits(self) -> int:
        """Keys and nodes fall into 2^bits parts."""
        rows = (self.base + sum(self.counts)) * self.config.bands
        return max(0, -(-rows // self.most_rows) - 1).bit_length()

    @property
    def parts(self) -> int:
        return 1 << self.bits

    @property
    def groups(self) -> list[range]:
        """Shards in a row whose band keys fit in memory together."""
        groups, start, size = [], 0, 0
        for shard, count in enumerate(self.counts):
            if shard > start and (size + count) * self.config.bands > self.most_rows:
                groups.append(range(start, shard))
                start, size = shard, 0
            size += count
        return [*groups, range(start, len(self.counts))]

    def starts(self) -> NDArray[np.uint64]:
        """The number of each shard's first document, and of the document after the last."""
        return np.cumsum([self.base, *self.counts]).astype(np.uint64)

    @property
    def spills(self) -> Path:
        return self.work / "shuffle"

    def file(self, phase: str, job: int, chunk: int = 0) -> Path:
        """What a task of a phase writes, or one of the files it writes as rows come."""
        return self.spills / phase / f"{job:05d}-{chunk:05d}.rows"

    def marker(self, phase: str, job: int) -> Path:
        """Written last: its presence means that the task is done."""
        return self.spills / phase / f"{job:05d}.json"

    def _files(self, phases: Sequence[str]) -> list[Path]:
        return [path for phase in phases for path in sorted((self.spills / phase).glob("*.rows"))]

    def part(self, part: int, columns: int, *phases: str) -> Part:
        return Part(self._files(phases), part, self.parts, columns, self.most_rows)

    def of_group(self, group: int, columns: int, *phases: str) -> Part:
        return Part(self._files(phases), group, len(self.groups), columns, self.most_rows)

    def to_groups(self, path: Path, rows: Rows) -> None:
        """Spill rows (document, …) by the group that holds the document."""
        firsts = self.starts()[[group.start for group in self.groups]]
        write_spill(path, rows, np.searchsorted(firsts, rows[:, 0], side="right") - 1, len(self.groups))

    def to_nodes(self, path: Path, rows: Rows) -> None:
        """Spill rows (node, …) by node."""
        write_spill(path, rows, part_of_node(rows[:, 0], self.bits), self.parts)

    def key_range(self, part: int) -> tuple[int, int]:
        width = 64 - self.bits
        return part << width, ((part + 1) << width) - 1

    def documents(self, group: int) -> tuple[Rows, NDArray[np.uint64]]:
        """Rows (URL, quality, id) of a group's documents, and their numbers."""
        return self._load("documents", group, 3)

    def keys(self, group: int) -> tuple[Rows, NDArray[np.uint64]]:
        """Band keys of a group's documents, and their numbers."""
        return self._load("keys", group, self.config.bands)

    def _load(self, what: str, group: int, columns: int) -> tuple[Rows, NDArray[np.uint64]]:
        shards = self.groups[group]
        rows = [np.load(self.signature(what, shard)) for shard in shards]
        first, end = self.starts()[[shards.start, shards.stop]]
        return np.concatenate([empty(columns), *rows]), np.arange(first, end, dtype=np.uint64)

    def signature(self, what: str, shard: int) -> Path:
        """`keys` or `documents` of a shard, as `signatures.py` writes them."""
        return self.work / "signatures" / f"{what}-{shard:05d}.npy"

    def lost(self, shard: int) -> tuple[Rows, Rows]:
        """Of a shard, rows (row, document kept in its place, that one's id): lost by URL, and by near-duplicates."""
        group = next(number for number, shards in enumerate(self.groups) if shard in shards)
        first, end = self.starts()[[shard, shard + 1]]
        return self._lost(group, first, end, "urls-reduce"), self._lost(
            group, first, end, "choose-map.older", "choose-reduce"
        )

    def _lost(self, group: int, first: np.uint64, end: np.uint64, *phases: str) -> Rows:
        found = [empty(3)]
        for rows in self.of_group(group, 3, *phases):
            found.append(rows[(rows[:, 0] >= first) & (rows[:, 0] < end)])
        rows = np.concatenate(found)
        rows[:, 0] -= first
        return rows[np.argsort(rows[:, 0])]
