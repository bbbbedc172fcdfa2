"""Rows of numbers grouped by their first column, and connected components by nothing but such groups.

A round takes, for every node, the smallest of its neighbours and itself, and hangs its larger neighbours there (large
star); then the same with its smaller neighbours (small star). Components never change, edges only get shorter, and
after a number of rounds logarithmic in the size of a component each is a star around its smallest node. Both steps
need only the rows of one node at a time, so they work in memory (`connect`) as they do in a shuffle (`shuffle.py`).

Rows are uint64 [rows, columns]; column 0 is the key. An edge is (larger node, smaller node).

Source: Kiveris et al. 2014, Connected Components in MapReduce and Beyond.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.uint64]


def empty(columns: int) -> Rows:
    return np.zeros((0, columns), dtype=np.uint64)


def first_of_each(rows: Rows) -> Rows:
    """The smallest row of each key, by the columns from left to right; sorted by key."""
    if not len(rows):
        return rows
    if rows.shape[1] == 2:  # most rows there are: one sort is enough
        order = np.argsort(rows[:, 0])
        keys = rows[order, 0]
        starts = _starts(keys)
        return np.stack([keys[starts], np.minimum.reduceat(rows[order, 1], starts)], axis=1)
    ordered = rows[np.lexsort(rows.T[::-1])]
    return ordered[_starts(ordered[:, 0])]


def _starts(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Where runs of equal keys begin."""
    return np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]]))


def distinct(edges: Rows) -> Rows:
    """Edges, each once, sorted."""
    if not len(edges):
        return edges
    ordered = edges[np.lexsort((edges[:, 1], edges[:, 0]))]
    return ordered[np.concatenate([[True], (ordered[1:] != ordered[:-1]).any(axis=1)])]


def of_its_key(rows: Rows, first: Rows, column: int = 1) -> NDArray[np.uint64]:
    """For each row that column of its key's row in `first`, which has them all, sorted by key."""
    return first[np.searchsorted(first[:, 0], rows[:, 0]), column]


def both_ways(edges: Rows) -> Rows:
    """Each edge under both of its nodes."""
    return np.concatenate([edges, edges[:, ::-1]])


def large_star(rows: Rows, smallest: Rows) -> tuple[Rows, int]:
    """Rows (node, neighbour), all of a node's with `smallest` (node, its smallest neighbour) -> edges, and how many
    are new."""
    larger = rows[rows[:, 1] > rows[:, 0]]
    least = np.minimum(of_its_key(larger, smallest), larger[:, 0])
    return distinct(np.stack([larger[:, 1], least], axis=1)), int((least != larger[:, 0]).sum())


def small_star(rows: Rows, smallest: Rows) -> tuple[Rows, int]:
    """Rows (node, smaller neighbour) -> edges, and how many are new."""
    least = of_its_key(rows, smallest)
    moved = rows[:, 1] != least
    edges = np.concatenate([
        np.stack([rows[:, 0], least], axis=1), np.stack([rows[moved, 1], least[moved]], axis=1)
    ])  # fmt: skip
    return distinct(edges), int(moved.sum())


def connect(edges: Rows) -> Rows:
    """Edges -> (node, smallest node of its component), for every node that is not the smallest; sorted."""
    while True:
        rows = both_ways(edges)
        edges, longer = large_star(rows, first_of_each(rows))
        edges, wider = small_star(edges, first_of_each(edges))
        if not longer and not wider:
            return edges


def bucket_edges(rows: Rows) -> tuple[Rows, Rows]:
    """Rows (key, node) -> (key, its smallest node), and edges from its other nodes to that one."""
    smallest = first_of_each(rows)
    least = of_its_key(rows, smallest)
    other = rows[:, 1] != least
    return smallest, distinct(np.stack([rows[other, 1], least[other]], axis=1))
