"""What a step trains on: rows by number, shared out to the processes, as micro-batches with their labels.

A step's rows are fixed by the plan alone. Process r of n takes every n-th of them beginning with r, all processes make
the same number of micro-batches, and one that has no row left for its last takes an empty row, which has no targets.

Shape suffixes: B rows of a micro-batch, T tokens, L losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.model.losses import next_token_labels
from components.training.packing import TokenRows
from components.training.parallel import World


@dataclass(frozen=True)
class MicroBatch:
    """Rows `numbers` (none: an empty row), with the labels of each loss by how far ahead it looks."""

    numbers: tuple[int, ...]
    tokens_BT: Tensor
    segments_BT: Tensor
    labels: dict[int, Tensor]

    def to(self, device: torch.device) -> MicroBatch:
        tokens, segments, *labels = (
            tensor.to(device, non_blocking=True) for tensor in (self.tokens_BT, self.segments_BT, *self.labels.values())
        )
        return MicroBatch(self.numbers, tokens, segments, dict(zip(self.labels, labels, strict=True)))


def micro_batches(
    rows: TokenRows, numbers: NDArray[np.int64], micro_rows: int, shifts: Sequence[int],
    targets: NDArray[np.bool_] | None, world: World,
) -> list[MicroBatch]:  # fmt: skip
    """This process's micro-batches of a step, in memory.

    Args:
        numbers: the step's rows.
        micro_rows: most rows of a micro-batch.
        shifts: how far ahead each loss looks.
        targets: [rows, T], tokens that may be predicted; all when None.
    """
    mine = numbers[world.rank :: world.size]
    most = -(-len(numbers) // world.size)   # rows of the process that has most
    found = []
    for start in range(0, most, micro_rows):
        part = mine[start : start + micro_rows]
        if len(part):
            array = rows.batch(part)
            mask = None if targets is None else torch.from_numpy(targets[part])
        else:
            array, mask = np.zeros((1, 2, rows.sequence_length), dtype=np.uint32), None
        both = torch.from_numpy(array.astype(np.int64))
        tokens_BT, segments_BT = both[:, 0], both[:, 1]
        labels = {shift: next_token_labels(tokens_BT, segments_BT, shift, mask) for shift in shifts}
        found.append(MicroBatch(tuple(part.tolist()), tokens_BT, segments_BT, labels))
    return found


def count_targets(batches: Sequence[MicroBatch], world: World) -> list[int]:
    """Targets of each loss in the whole step, over all processes; at least 1."""
    counts_L = torch.tensor([[int((labels >= 0).sum()) for labels in batch.labels.values()] for batch in batches]).sum(
        0
    )
    return [max(1, int(count)) for count in world.sum(counts_L)]
