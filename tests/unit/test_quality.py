"""Calibration and agreement against what they are defined by."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.quality import calibration
from components.data.quality.agreement import kappa, weighted_kappa
from components.data.quality.calibration import Calibration, calibration_error, fit, measured
from components.data.quality.labels import folds_of

SHARES = st.floats(0, 1, allow_nan=False)
PAIRS = st.lists(st.tuples(SHARES, SHARES), min_size=1, max_size=40)


def over_confident(count: int, seed: int) -> tuple[list[float], list[float]]:
    """Scores that are true probabilities pushed to the ends, and labels drawn from the true ones."""
    rng = random.Random(seed)
    true = [rng.random() for _ in range(count)]
    raw = [p**3 / (p**3 + (1 - p) ** 3) for p in true]
    return raw, [float(rng.random() < p) for p in true]


@pytest.mark.parametrize("count", [300, 3000])           # Platt's sigmoid, isotonic regression
def test_scores_are_right_on_average_after_calibration(count: int) -> None:
    raw, labels = over_confident(count, 1)
    new_raw, new_labels = over_confident(20_000, 2)
    before, after = calibration_error(new_raw, new_labels), calibration_error(fit(raw, labels)(new_raw), new_labels)
    assert before > 0.09 and after < 0.035
    found = measured(raw, labels, folds_of(range(count), 5))
    assert found["calibrated_error"] < found["error"] and 0.3 < found["kappa"] < 0.8


@pytest.mark.parametrize("least", [1, 10**6])
@given(PAIRS)
def test_a_calibration_keeps_the_order_and_the_range(least: int, pairs: list[tuple[float, float]]) -> None:
    original, calibration.ISOTONIC_FROM = calibration.ISOTONIC_FROM, least
    try:
        found = fit(*zip(*pairs, strict=True))
    finally:
        calibration.ISOTONIC_FROM = original
    scores = found(np.linspace(0, 1, 201))
    assert (np.diff(scores) >= 0).all() and scores[0] >= 0 and scores[-1] <= 1
    assert Calibration.from_dict(found.as_dict()) == found


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5)), min_size=1, max_size=30))
def test_isotonic_regression_is_the_monotone_fit_of_least_squares(pairs: list[tuple[int, int]]) -> None:
    """Against the min-max formula: the fit at a place is the max over starts of the min over ends of means between."""
    places = sorted({x for x, _ in pairs})
    mean = {(a, b): np.mean([y for x, y in pairs if a <= x <= b]) for a in places for b in places if a <= b}
    raw, score = calibration._isotonic(np.array([x / 10 for x, _ in pairs]), np.array([y / 5 for _, y in pairs]))
    pooled: dict[float, list[float]] = {}
    for x in places:
        best = max(min(mean[a, b] for b in places if b >= x) for a in places if a <= x) / 5
        pooled.setdefault(round(best, 9), []).append(x / 10)
    blocks = [(np.mean([x / 10 for x, _ in pairs if x / 10 in of]), value) for value, of in pooled.items()]
    for place, value in blocks:
        assert np.interp(place, raw, score) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("values", [{"raw": [0, 1], "score": [1, 0]}, {"raw": [0, 0], "score": [0, 1]},
                                    {"raw": [0], "score": [0]}, {"raw": [0, 1], "score": [0, 0.5, 1]}])
def test_what_is_no_monotone_map_is_refused(values: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="never falling"):
        Calibration.from_dict(values)


def test_kappa_is_cohen_s() -> None:
    # Cohen 1960's arithmetic on a small table: 50 subjects, 35 agreed, 0.5 expected by chance
    one = ["y"] * 25 + ["n"] * 25
    other = ["y"] * 20 + ["n"] * 5 + ["y"] * 10 + ["n"] * 15
    assert kappa(one, other) == pytest.approx(0.4)
    assert weighted_kappa([0, 1, 2, 3], [0, 1, 2, 3], 6) == 1
    assert weighted_kappa([0, 5], [5, 0], 6) == -1
    # with two levels the weights make no difference
    numbers = {"y": 1, "n": 0}
    assert weighted_kappa([numbers[x] for x in one], [numbers[x] for x in other], 2) == pytest.approx(0.4)
    # a near miss costs less than a far one
    assert weighted_kappa([0, 2, 4], [1, 2, 4], 5) > weighted_kappa([0, 2, 4], [4, 2, 4], 5)
    assert math.isnan(weighted_kappa([], [], 6)) and math.isnan(weighted_kappa([3, 3], [3, 3], 6))
    assert math.isnan(kappa(["a"], ["a"])) and math.isnan(kappa([], []))
    with pytest.raises(ValueError, match="same texts"):
        weighted_kappa([1], [1, 2], 6)


@given(st.lists(st.integers(0, 50), min_size=1), st.integers(1, 7))
def test_variants_of_a_text_are_in_one_fold(groups: list[int], count: int) -> None:
    folds = folds_of(groups, count)
    assert len({(group, fold) for group, fold in zip(groups, folds, strict=True)}) == len(set(groups))
    sizes = [len({g for g, f in zip(groups, folds, strict=True) if f == fold}) for fold in range(count)]
    assert max(sizes) - min(sizes) <= 1
