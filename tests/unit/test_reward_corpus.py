"""The first programs of the fixed corpus get the verdicts they always got; `benchmarks/endurance.py` runs all of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from components.reward.code import judge_many
from components.reward.sandbox import LEVELS, SandboxPool

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))
from corpus import COUNT, GOLDEN, LIMITS, corpus, digest

PART = min(GOLDEN)


@pytest.mark.parametrize(("level", "slots"), [(LEVELS[0], 1), (None, 3)], ids=["weakest level", "strongest level"])
def test_the_corpus_gets_its_golden_verdicts(level: str | None, slots: int) -> None:
    with SandboxPool(slots, level=level) as pool:
        verdicts = judge_many(corpus(PART), pool, LIMITS)
    assert digest(verdicts) == GOLDEN[PART]


def test_the_corpus_is_what_it_was() -> None:
    pairs = list(corpus())
    assert len(pairs) == len({program for program, _ in pairs}) == COUNT == max(GOLDEN)
    assert list(corpus(PART)) == pairs[:PART]
