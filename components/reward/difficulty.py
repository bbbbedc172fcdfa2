"""The test-difficulty-driven reward (report, section 3.2 and figure 5): pure functions.

- `pass_rates`                      of each test, over completions of several models
- `levels`                          of the tests, by pass rate
- `strict_reward`, `soft_reward`    what a level of passed tests pays; `all_or_nothing` is the baseline

Tests are put into levels by how many solutions of several models pass them: hard below 0.3, medium below 0.7, easy
above. The report defines the schemes in words; what it leaves open is defined here:

- A test that was never measured counts as medium. A problem without any measurement therefore has one level, for
  which strict is all-or-nothing and soft is the share of tests passed.
- A level without tests pays nothing and its score is shared among the others in proportion to theirs, so that
  passing everything is always 1.0 exactly. If no level that has tests has a score, they share equally.
- Tests of equal pass rate are in the same level. With one test only, every scheme is that test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

HARD_BELOW, MEDIUM_BELOW = 0.3, 0.7
_UNMEASURED = 0.5

Scores = tuple[float, float, float]      # of the levels, easiest first, summing to 1


def pass_rates(verdicts: Sequence[Sequence[str]]) -> tuple[float | None, ...]:
    """Each test's pass rate over completions, of whichever models, given what every test said of every completion.

    A completion that could not be judged (a test said `infrastructure`) is left out whole; None where none is left.

    Raises:
        ValueError: completions were judged on different numbers of tests, or there is none.
    """
    if len({len(tests) for tests in verdicts}) != 1:
        raise ValueError(f"no pass rates of completions with {sorted({len(tests) for tests in verdicts})} tests each")
    judged = [tests for tests in verdicts if "infrastructure" not in tests]
    if not judged:
        return (None,) * len(verdicts[0])
    return tuple(sum(kind == "pass" for kind in kinds) / len(judged) for kinds in zip(*judged, strict=True))


def levels(pass_rates: Sequence[float | None]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Indices of the (easy, medium, hard) tests, given each test's pass rate."""
    found: tuple[list[int], list[int], list[int]] = ([], [], [])
    for index, rate in enumerate(pass_rates):
        value = _UNMEASURED if rate is None else rate
        found[2 if value < HARD_BELOW else 1 if value < MEDIUM_BELOW else 0].append(index)
    return tuple(found[0]), tuple(found[1]), tuple(found[2])


def strict_reward(passed: Sequence[bool], pass_rates: Sequence[float | None], scores: Scores) -> float:
    """A level pays its score if all its tests and all tests of easier levels pass."""
    earned, solved = [], True
    shares = _shares(passed, pass_rates, scores)
    for tests, score in shares:
        solved = solved and all(passed[index] for index in tests)
        earned.append(score if solved else 0.0)
    return math.fsum(earned) / math.fsum(score for _, score in shares)


def soft_reward(passed: Sequence[bool], pass_rates: Sequence[float | None], scores: Scores) -> float:
    """A level pays its score times the share of its tests that pass."""
    shares = _shares(passed, pass_rates, scores)
    earned = [score * (sum(passed[index] for index in tests) / len(tests)) for tests, score in shares]
    return math.fsum(earned) / math.fsum(score for _, score in shares)


def all_or_nothing(passed: Sequence[bool]) -> float:
    """1.0 if every test passes."""
    if not passed:
        raise ValueError("a problem without tests has no reward")
    return float(all(passed))


def _shares(
    passed: Sequence[bool], pass_rates: Sequence[float | None], scores: Scores
) -> list[tuple[tuple[int, ...], float]]:
    """The levels that have tests, easiest first, with their scores."""
    if not passed or len(passed) != len(pass_rates):
        raise ValueError(f"{len(passed)} verdicts for {len(pass_rates)} tests")
    present = [(tests, score) for tests, score in zip(levels(pass_rates), scores, strict=True) if tests]
    return present if any(score for _, score in present) else [(tests, 1.0) for tests, _ in present]
