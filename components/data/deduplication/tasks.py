"""The tasks of the shuffle. Each reads files, writes files and returns a few numbers; `shuffle.py` says in which order.

A task is called with the plan, the name of its phase, and the number of a group of shards (map) or of a part (reduce).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.data.deduplication.components import (
    Rows,
    both_ways,
    bucket_edges,
    distinct,
    empty,
    large_star,
    of_its_key,
    small_star,
)
from components.data.deduplication.index import write_keys
from components.data.deduplication.minhash import key_rows
from components.data.deduplication.plan import Plan
from components.data.deduplication.spill import part_of_key, write_spill

Stats = dict[str, Any]


def urls_map(plan: Plan, phase: str, group: int) -> Stats:
    """Documents -> rows (URL, quality, id, document) by URL."""
    rows, numbers = plan.documents(group)
    rows = np.column_stack([rows, numbers])[rows[:, 0] != 0]
    write_spill(plan.file(phase, group), rows, part_of_key(rows[:, 0], plan.bits), plan.parts)
    return {}


def urls_reduce(plan: Plan, phase: str, part: int) -> Stats:
    """Rows of a range of URLs -> losers (document, kept document, its id) by group; the range's part of the index."""
    rows = plan.part(part, 4, "urls-map")
    best = rows.first_of_each()
    seen = plan.older.keys("urls", *plan.key_range(part)) if plan.older else empty(2)
    winners, ids = best[:, 3].copy(), best[:, 2].copy()
    known, old = _look_up(best[:, 0], seen)
    if plan.older and known.any():
        winners[known] = plan.older.kept(old)
        ids[known] = plan.older.ids(winners[known])
    table = np.column_stack([best[:, 0], winners, ids])
    for number, chunk in enumerate(rows):
        winner = of_its_key(chunk, table)
        lost = np.column_stack([chunk[:, 3], winner, of_its_key(chunk, table, 2)])
        plan.to_groups(plan.file(phase, part, number), lost[winner != chunk[:, 3]])
    write_keys(plan.index / f"urls-{part:05d}.npy", seen, best[:, [0, 3]])
    return {}


def bands_map(plan: Plan, phase: str, group: int) -> Stats:
    """Signatures of those that no URL lost -> rows (band key, document) by key, one a key; edges to the others."""
    keys, numbers = plan.keys(group)
    remaining = np.ones(len(numbers), dtype=bool)
    for lost in plan.of_group(group, 3, "urls-reduce"):
        remaining[(lost[:, 0] - numbers[0]).astype(np.int64)] = False
    rows, edges = bucket_edges(key_rows(keys[remaining], numbers[remaining]))
    plan.to_nodes(plan.file(f"{phase}.edges", group), both_ways(edges))
    write_spill(plan.file(phase, group), rows, part_of_key(rows[:, 0], plan.bits), plan.parts)
    return {}


def bands_reduce(plan: Plan, phase: str, part: int) -> Stats:
    """Rows of a range of band keys -> edges by node; the range's part of the index."""
    rows = plan.part(part, 2, "bands-map")
    smallest = rows.first_of_each()
    for number, chunk in enumerate(rows, 1):
        least = of_its_key(chunk, smallest)
        other = least != chunk[:, 1]
        edges = distinct(np.stack([chunk[other, 1], least[other]], axis=1))
        plan.to_nodes(plan.file(phase, part, number), both_ways(edges))
    seen = plan.older.keys("bands", *plan.key_range(part)) if plan.older else empty(2)
    known, old = _look_up(smallest[:, 0], seen)
    if plan.older and known.any():  # an older document is smaller than any new one
        edges = distinct(np.stack([smallest[known, 1], plan.older.kept(old)], axis=1))
        plan.to_nodes(plan.file(phase, part), both_ways(edges))
    write_keys(plan.index / f"bands-{part:05d}.npy", seen, smallest)
    return {}


def _look_up(keys: NDArray[np.uint64], seen: Rows) -> tuple[NDArray[np.bool_], NDArray[np.uint64]]:
    """Which keys are among `seen` (sorted), and the documents of those."""
    if not len(seen):
        return np.zeros(len(keys), dtype=bool), np.zeros(0, dtype=np.uint64)
    places = np.minimum(np.searchsorted(seen[:, 0], keys), len(seen) - 1)
    known = seen[places, 0] == keys
    return known, seen[places[known], 1]


def large(plan: Plan, phase: str, part: int, sources: Sequence[str]) -> Stats:
    """The large star of a part's nodes: edges by their larger node."""
    return _star(plan, phase, part, sources, large_star)


def small(plan: Plan, phase: str, part: int, sources: Sequence[str]) -> Stats:
    """The small star of a part's nodes: edges by both nodes."""

    def star(chunk: Rows, smallest: Rows) -> tuple[Rows, int]:
        edges, count = small_star(chunk, smallest)
        return both_ways(edges), count

    return _star(plan, phase, part, sources, star)


def _star(
    plan: Plan, phase: str, part: int, sources: Sequence[str], star: Callable[[Rows, Rows], tuple[Rows, int]]
) -> Stats:
    rows = plan.part(part, 2, *sources)
    smallest = rows.first_of_each()
    new = 0
    for number, chunk in enumerate(rows):
        edges, count = star(chunk, smallest)
        plan.to_nodes(plan.file(phase, part, number), edges)
        new += count
    return {"new": new}


def settle(plan: Plan, phase: str, part: int, sources: Sequence[str]) -> Stats:
    """Stars by node -> rows (document, first document of its component) by group, the first ones themselves too."""
    for number, chunk in enumerate(plan.part(part, 2, *sources)):
        down = chunk[:, 0] > chunk[:, 1]
        firsts = np.unique(chunk[~down, 0])
        rows = distinct(np.concatenate([chunk[down], np.stack([firsts, firsts], axis=1)]))
        plan.to_groups(plan.file(phase, part, number), rows[rows[:, 0] >= plan.base])
    return {}


def choose_map(plan: Plan, phase: str, group: int) -> Stats:
    """A group's documents in components -> rows (component, quality, id, document) by component.

    What is in a component with an older document is lost at once.
    """
    members = distinct(plan.of_group(group, 2, "settle").all())
    rows, numbers = plan.documents(group)
    old = members[members[:, 1] < plan.base]
    lost = np.column_stack([old, plan.older.ids(old[:, 1])]) if plan.older else empty(3)
    plan.to_groups(plan.file(f"{phase}.older", group), lost)
    members = members[members[:, 1] >= plan.base]
    places = (members[:, 0] - numbers[:1]).astype(np.int64)
    plan.to_nodes(plan.file(phase, group), np.column_stack([members[:, 1], rows[places, 1:], members[:, 0]]))
    return {}


def choose_reduce(plan: Plan, phase: str, part: int) -> Stats:
    """Rows of some components -> losers (document, kept document, its id) by group; how many clusters of each size."""
    rows = plan.part(part, 4, "choose-map")
    best = rows.first_of_each()
    counts = np.zeros(len(best), dtype=np.int64)
    for number, chunk in enumerate(rows):
        winner = of_its_key(chunk, best, 3)
        lost = np.column_stack([chunk[:, 3], winner, of_its_key(chunk, best, 2)])
        plan.to_groups(plan.file(phase, part, number), lost[winner != chunk[:, 3]])
        np.add.at(counts, np.searchsorted(best[:, 0], chunk[:, 0]), 1)
    return {"sizes": dict(Counter(counts.tolist()))}
