"""Calibration: from what a tagger says to the label it should have said on average.

A calibrated 0.7 means that documents with this score had labels of 0.7 on average. The map is monotone, so the order of
documents stays. It is fitted on texts that the tagger did not learn from, and its error is measured on others again.

- `fit`       isotonic regression where there is enough to fit it, else Platt's sigmoid
- `measured`  what the scores of a tagger are worth, before and after
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from components.data.quality.agreement import weighted_kappa
from components.data.quality.taxonomy import LEVELS

ISOTONIC_FROM = 1000     # labelled texts; to fewer it fits steps that follow chance (Niculescu-Mizil, Caruana 2005)
BINS = 10
_GRID = np.linspace(0, 1, 101)
_EDGE = 1e-4
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """A monotone map from [0, 1] to [0, 1] through points, linear between them."""

    raw: tuple[float, ...] = (0.0, 1.0)
    score: tuple[float, ...] = (0.0, 1.0)

    def __call__(self, raw: Sequence[float] | Values) -> Values:
        return np.interp(np.asarray(raw, dtype=np.float64), self.raw, self.score)

    def as_dict(self) -> dict[str, list[float]]:
        return {"raw": list(self.raw), "score": list(self.score)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Sequence[float]]) -> Calibration:
        """Raises:
        ValueError: the points are no monotone map.
        """
        raw, score = np.array(values["raw"], dtype=float), np.array(values["score"], dtype=float)
        if len(raw) != len(score) or len(raw) < 2 or (np.diff(raw) <= 0).any() or (np.diff(score) < 0).any():
            raise ValueError("a calibration needs rising `raw` and never falling `score`, as many of each")
        return cls(tuple(raw.tolist()), tuple(score.tolist()))


def fit(raw: Sequence[float], labels: Sequence[float]) -> Calibration:
    """The map under which scores are right on average.

    Args:
        raw: what the tagger said, in [0, 1], of texts it did not learn from; at least one.
        labels: what is right, in [0, 1].
    """
    x, y = np.asarray(raw, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    points = _isotonic(x, y) if len(x) >= ISOTONIC_FROM else _platt(x, y)
    # digits that another processor would compute otherwise do not count
    return Calibration(tuple(np.round(points[0], 6).tolist()), tuple(np.round(points[1], 6).tolist()))


def _isotonic(x: Values, y: Values) -> tuple[Values, Values]:
    """Least squares under monotony: pool adjacent violators, a point in the middle of each block."""
    values, inverse, numbers = np.unique(x, return_inverse=True, return_counts=True)
    sums = np.bincount(inverse, weights=y)
    blocks: list[list[float]] = []          # sum of labels, number, sum of raw values
    for value, total, number in zip(values, sums, numbers, strict=True):
        blocks.append([total, number, value * number])
        while len(blocks) > 1 and blocks[-2][0] * blocks[-1][1] >= blocks[-1][0] * blocks[-2][1]:
            last = blocks.pop()
            blocks[-1] = [one + other for one, other in zip(blocks[-1], last, strict=True)]
    places = np.array([block[2] / block[1] for block in blocks])
    heights = np.array([block[0] / block[1] for block in blocks])
    places, first = np.unique(np.round(places, 6), return_index=True)
    heights = np.maximum.accumulate(heights[first])
    if places[0] > 0:
        places, heights = np.insert(places, 0, 0.0), np.insert(heights, 0, heights[0])
    if places[-1] < 1:
        places, heights = np.append(places, 1.0), np.append(heights, heights[-1])
    return places, heights


def _platt(x: Values, y: Values) -> tuple[Values, Values]:
    """A sigmoid of the logit, by maximum likelihood, as points on a grid.

    Labels are drawn in as if two more texts had been seen, one of each kind (Platt 1999): a sigmoid fitted to few texts
    that the tagger all got right must not promise certainty.
    """
    logit, grid = _logit(x), _logit(_GRID)
    targets = (y * len(y) + 1) / (len(y) + 2)
    slope, offset = 1.0, 0.0
    design = np.stack([logit, np.ones_like(logit)], 1)
    for _ in range(100):                    # Newton's steps with a little ridge, so that a flat likelihood has an end
        p = _sigmoid(slope * logit + offset)
        weights = p * (1 - p) + 1e-6
        gradient = design.T @ (p - targets) + 1e-3 * np.array([slope - 1, offset])
        hessian = design.T @ (design * weights[:, None]) + 1e-3 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        slope, offset = slope - step[0], offset - step[1]
        if np.abs(step).max() < 1e-9:
            break
    return _GRID, np.maximum.accumulate(_sigmoid(max(slope, 0.0) * grid + offset))


def _logit(p: Values) -> Values:
    p = np.clip(p, _EDGE, 1 - _EDGE)
    return np.log(p / (1 - p))


def _sigmoid(x: Values) -> Values:
    return 1 / (1 + np.exp(-np.clip(x, -50, 50)))


def measured(raw: Sequence[float], labels: Sequence[float], folds: Sequence[int]) -> dict[str, float]:
    """How good scores are on texts that neither the tagger nor the calibration saw.

    Args:
        raw: what the tagger said of each text when it had not learned from its fold.
        folds: the fold of each text; the calibration is fitted on the others in turn.

    Returns: `texts`, `error` and `calibrated_error` (expected calibration error, lower is better), `kappa` (quadratic
        weighted kappa of the calibrated score with the label, on levels 0 to 5).
    """
    x, y, fold = np.asarray(raw), np.asarray(labels), np.asarray(folds)
    calibrated = np.zeros_like(x)
    for one in sorted(set(folds)):
        own = fold == one
        calibrated[own] = fit(x[~own], y[~own])(x[own]) if (~own).any() else x[own]
    return {
        "texts": float(len(x)),
        "error": calibration_error(x, y),
        "calibrated_error": calibration_error(calibrated, y),
        "kappa": weighted_kappa(levels(calibrated), levels(y), LEVELS),
    }


def levels(scores: Sequence[float] | Values) -> list[int]:
    """Scores in [0, 1] as levels of the rubric."""
    return np.rint(np.asarray(scores) * (LEVELS - 1)).astype(int).tolist()


def calibration_error(scores: Sequence[float] | Values, labels: Sequence[float] | Values) -> float:
    """Expected calibration error: how far scores are from the mean label, over bins of equally many texts."""
    x, y = np.asarray(scores, dtype=np.float64), np.asarray(labels, dtype=np.float64)
    order = np.argsort(x, kind="stable")
    parts = np.array_split(order, min(BINS, len(order)))
    return float(sum(abs(x[part].mean() - y[part].mean()) * len(part) for part in parts) / len(x))
