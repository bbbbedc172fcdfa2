"""How far two labellers agree beyond chance."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np


def weighted_kappa(one: Sequence[int], other: Sequence[int], levels: int) -> float:
    """Cohen's kappa with quadratic weights (Cohen 1968): 1 for equal ratings, 0 for what chance gives.

    Args:
        one, other: ratings of the same texts, from 0 to `levels` - 1.

    Returns: nan where nothing can be said: no texts, or both gave one and the same level to all.
    """
    if len(one) != len(other):
        raise ValueError(f"{len(one)} ratings against {len(other)}: the two must rate the same texts")
    if not len(one):
        return float("nan")
    counts = np.zeros((levels, levels))
    np.add.at(counts, (np.asarray(one), np.asarray(other)), 1)
    distance = np.subtract.outer(np.arange(levels), np.arange(levels)) ** 2
    chance = np.outer(counts.sum(1), counts.sum(0)) / len(one)
    expected = float((distance * chance).sum())
    return 1 - float((distance * counts).sum()) / expected if expected else float("nan")


def kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Cohen's kappa of classes, which have no distance."""
    if len(one) != len(other):
        raise ValueError(f"{len(one)} classes against {len(other)}: the two must rate the same texts")
    if not len(one):
        return float("nan")
    agreed = sum(a == b for a, b in zip(one, other, strict=True)) / len(one)
    chance = sum(list(one).count(name) * list(other).count(name) for name in {*one, *other}) / len(one) ** 2
    return (agreed - chance) / (1 - chance) if chance < 1 else float("nan")
