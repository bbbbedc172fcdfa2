"""Test-difficulty rewards against ten-line references in exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config import ConfigError, build
from components.reward.config import RewardConfig
from components.reward.difficulty import Scores, all_or_nothing, levels, pass_rates, soft_reward, strict_reward

RATES = st.one_of(st.none(), st.floats(0, 1), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
TESTS = st.lists(st.tuples(st.booleans(), RATES), min_size=1, max_size=12)
SCORES = st.lists(st.integers(0, 10), min_size=3, max_size=3).filter(any).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)


def level(rate: float | None) -> int:
    return 1 if rate is None else 2 if rate < 0.3 else 1 if rate < 0.7 else 0


def reference(passed: list[bool], rates: list[float | None], scores: Scores, strict: bool) -> Fraction:
    groups = {n: [ok for ok, rate in zip(passed, rates, strict=True) if level(rate) == n] for n in range(3)}
    present = [n for n in range(3) if groups[n]]
    weight = {n: Fraction(scores[n]) for n in present}
    if not sum(weight.values()):
        weight = dict.fromkeys(present, Fraction(1))
    total = Fraction(0)
    for n in present:
        if not strict:
            total += weight[n] * Fraction(sum(groups[n]), len(groups[n]))
        elif all(all(groups[m]) for m in present if m <= n):
            total += weight[n]
    return total / sum(weight.values())


@given(TESTS, SCORES)
def test_both_schemes_are_their_references(tests: list[tuple[bool, float | None]], scores: Scores) -> None:
    passed, rates = [ok for ok, _ in tests], [rate for _, rate in tests]
    strict, soft = strict_reward(passed, rates, scores), soft_reward(passed, rates, scores)
    assert strict == pytest.approx(float(reference(passed, rates, scores, True)), abs=1e-12)
    assert soft == pytest.approx(float(reference(passed, rates, scores, False)), abs=1e-12)
    assert 0 <= strict <= soft + 1e-12 <= 1 + 1e-12
    if all(passed):
        assert strict == soft == all_or_nothing(passed) == 1.0   # exactly, or pass rates of 1 are never seen
    if not any(passed):
        assert strict == soft == all_or_nothing(passed) == 0.0


@given(TESTS, SCORES, st.data())
def test_passing_one_more_test_never_costs(
    tests: list[tuple[bool, float | None]], scores: Scores, data: st.DataObject
) -> None:
    passed, rates = [ok for ok, _ in tests], [rate for _, rate in tests]
    more = list(passed)
    more[data.draw(st.integers(0, len(passed) - 1))] = True
    for scheme in (strict_reward, soft_reward):
        assert scheme(more, rates, scores) >= scheme(passed, rates, scores)


def test_levels_by_the_reports_thresholds() -> None:
    rates = [0.0, 0.29999, 0.3, 0.5, 0.69999, 0.7, 1.0, None, 0.7]
    assert levels(rates) == ((5, 6, 8), (2, 3, 4, 7), (0, 1))
    assert levels([]) == ((), (), ())


def test_what_the_report_leaves_open() -> None:
    scores = (0.2, 0.3, 0.5)
    never_measured: list[float | None] = [None, None, None, None]
    assert strict_reward([True, True, True, False], never_measured, scores) == 0.0
    assert soft_reward([True, True, True, False], never_measured, scores) == 0.75
    # no medium tests: their score is shared 2 : 5 between easy and hard
    assert soft_reward([True, False], [0.9, 0.1], scores) == pytest.approx(2 / 7)
    # an unsolved easy level blocks what is harder, and ties fall together
    assert strict_reward([True, False, True, True], [0.9, 0.9, 0.5, 0.1], scores) == 0.0
    assert strict_reward([True, True, True, False], [0.9, 0.9, 0.5, 0.1], scores) == pytest.approx(0.5)
    for rate in (0.0, 0.5, 1.0, None):
        for scheme in (strict_reward, soft_reward):
            assert (scheme([True], [rate], scores), scheme([False], [rate], scores)) == (1.0, 0.0)
    # the only level present has no score
    assert soft_reward([True, False], [0.9, 0.9], (0.0, 0.5, 0.5)) == 0.5


VERDICTS = st.integers(1, 5).flatmap(
    lambda tests: st.lists(
        st.lists(
            st.sampled_from(["pass", "wrong", "timeout", "error", "infrastructure"]), min_size=tests, max_size=tests
        ),
        min_size=1,
        max_size=8,
    )
)


@given(VERDICTS)
def test_pass_rates_leave_out_what_could_not_be_judged(verdicts: list[list[str]]) -> None:
    judged = [tests for tests in verdicts if all(kind != "infrastructure" for kind in tests)]
    expected = [
        None if not judged else sum(tests[i] == "pass" for tests in judged) / len(judged)
        for i in range(len(verdicts[0]))
    ]
    assert list(pass_rates(verdicts)) == expected
    assert len(sum(levels(pass_rates(verdicts)), ())) == len(verdicts[0])


def test_pass_rates_need_verdicts_on_the_same_tests() -> None:
    for verdicts in ([], [["pass"], ["pass", "wrong"]]):
        with pytest.raises(ValueError, match="no pass rates"):
            pass_rates(verdicts)


def test_missing_verdicts_are_refused() -> None:
    for scheme in (strict_reward, soft_reward):
        with pytest.raises(ValueError, match="1 verdicts for 2 tests"):
            scheme([True], [0.5, 0.5], (0.2, 0.3, 0.5))
    with pytest.raises(ValueError, match="without tests"):
        all_or_nothing([])


def test_config_refuses_what_does_not_add_up() -> None:
    with pytest.raises(ConfigError, match=r"must sum to 1, not 0\.8"):
        build(RewardConfig, {"easy_score": 0.1}, "rl.reward")
    with pytest.raises(ConfigError, match="wall_s"):
        build(RewardConfig, {"wall_s": 1.0}, "rl.reward")
    base = RewardConfig()
    assert base.digest() == RewardConfig(slots=9, minimum_level="user", wall_s=99.0).digest()
    assert base.digest() != RewardConfig(scheme="strict").digest()
