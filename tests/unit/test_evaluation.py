"""avg@k, pass@k and intervals against plain references; the gate's decision on hand-made results."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.artifacts import ArtifactError
from components.evaluation import metrics
from components.evaluation.gate.comparison import compare, decide
from components.evaluation.judged import Judged
from components.evaluation.metrics import avg_at_k, interval, paired_difference, pass_at_k
from components.evaluation.results import paired_tables, read_samples, score, table, write_samples

passes = st.integers(1, 8).flatmap(
    lambda samples: st.lists(st.lists(st.booleans(), min_size=samples, max_size=samples), min_size=1, max_size=6)
)


def judged(problem: str, passed: list[bool | None], kind: str = "math", tokens: int = 10) -> list[Judged]:
    """Samples of one problem; None could not be judged."""
    return [
        Judged(problem, kind, "source", number, "text", tokens, "stop",
               None if each is None else float(each), "infrastructure" if each is None else "correct", bool(each), ())
        for number, each in enumerate(passed)
    ]  # fmt: skip


@settings(deadline=None, max_examples=50)   # a busy machine is no mistake
@given(passes, st.data())
def test_pass_at_k_is_the_share_of_all_choices_of_k_samples(rows: list[list[bool]], data) -> None:
    k = data.draw(st.integers(1, len(rows[0])))
    wanted = [np.mean([any(choice) for choice in itertools.combinations(row, k)]) for row in rows]
    assert pass_at_k(np.array(rows, dtype=float), k) == pytest.approx(wanted, abs=1e-12)
    assert avg_at_k(np.array(rows, dtype=float)) == pytest.approx(np.mean(rows))


def test_pass_at_k_neither_overflows_nor_cancels() -> None:
    row = np.zeros((1, 10_000))
    row[0, 0] = 1
    assert pass_at_k(row, 1000) == pytest.approx([0.1], rel=1e-9)
    with pytest.raises(ValueError, match="pass@3 needs at least 3 samples"):
        pass_at_k(np.zeros((4, 2)), 3)


def reference_interval(values: list[float], chance: random.Random) -> tuple[float, float]:
    means = sorted(sum(chance.choices(values, k=len(values))) / len(values) for _ in range(4000))
    return means[100], means[3900]


def test_interval_agrees_with_a_plain_bootstrap() -> None:
    chance = random.Random(1)
    rows = [[chance.random() < rate for _ in range(8)] for rate in [chance.random() for _ in range(60)]]
    found = interval(np.array(rows, dtype=float).mean(1), seed=3)
    low, high = reference_interval([sum(row) / 8 for row in rows], chance)
    assert found.low == pytest.approx(low, abs=0.01)
    assert found.high == pytest.approx(high, abs=0.01)
    assert found == interval(np.array(rows, dtype=float).mean(1), seed=3)
    assert found != interval(np.array(rows, dtype=float).mean(1), seed=4)


def test_interval_covers_the_truth_as_often_as_it_says() -> None:
    chance = np.random.default_rng(0)
    worlds = [chance.beta(2, 3, 100) for _ in range(60)]   # difficulties of the problems a suite happened to draw
    runs = [(chance.random((100, 4)) < rates[:, None]).astype(float) for rates in worlds]
    covered = [each.low <= 0.4 <= each.high for each in (interval(run.mean(1)) for run in runs)]
    assert 0.86 <= np.mean(covered) < 1   # of 60: a wrong level or a wrong unit of resampling falls outside


def test_many_problems_are_resampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random(50)
    whole = interval(values)
    monkeypatch.setattr(metrics, "_AT_ONCE", 50 * 7)
    assert interval(values) == whole


def test_pairing_takes_out_how_hard_problems_are() -> None:
    chance = np.random.default_rng(0)
    hardness = chance.choice([0.0, 0.9], 200)
    worse = (chance.random((200, 8)) < hardness[:, None]).astype(float)
    better = (chance.random((200, 8)) < np.minimum(hardness + 0.1, 1)[:, None]).astype(float)
    paired = paired_difference(better, worse)
    assert 0 < paired.low < 0.1 < paired.high + 0.02
    one, other = interval(better.mean(1)), interval(worse.mean(1))
    assert one.low < other.high, "their own intervals overlap: only the pairs tell them apart"
    with pytest.raises(ValueError, match="200 and 3"):
        paired_difference(better, worse[:3])
    with pytest.raises(ValueError, match="no problems"):
        paired_difference(better[:0], worse[:0])


@settings(deadline=None, max_examples=30)
@given(st.text(), st.sampled_from(["\u2028", "\x85", "\r\n", "\x1e", '"\\', "\U0001f600"]))
def test_any_completion_survives_the_file(tmp_path_factory, text: str, separator: str) -> None:
    path = tmp_path_factory.mktemp("samples") / "samples.jsonl"
    text = text + separator + text
    samples = [Judged("p", "code", "s", 0, text, 3, "length", None, "infrastructure", False, ("pass",))]
    write_samples(path, samples)
    assert read_samples(path) == samples


def test_lines_that_are_no_samples_are_named(tmp_path) -> None:
    path = tmp_path / "samples.jsonl"
    write_samples(path, judged("p", [True]))
    good = path.read_text()
    for bad in ("[]", '{"problem": 1}', "{", good.replace('"kind"', '"sort"').strip()):
        path.write_text(good + bad + "\n")
        with pytest.raises(ArtifactError, match=r"samples\.jsonl:2: not a judged sample"):
            read_samples(path)


def test_what_could_not_be_judged_counts_for_nobody() -> None:
    samples = [*judged("a", [True, False, None, None]), *judged("b", [None] * 4), *judged("c", [False] * 4)]
    names, passes_PK = table(samples)
    assert names == ["a", "c"]
    assert avg_at_k(passes_PK) == pytest.approx(0.25)
    found = score(samples, [1, 2], seed=0)
    assert found is not None and (found.problems, found.samples, found.unjudged) == (2, 12, 6)
    assert score(judged("b", [None]), [1], seed=0) is None
    assert table([])[1].shape == (0, 0)


def test_pairs_are_made_by_problem_not_by_place() -> None:
    left = [*judged("a", [True]), *judged("b", [False]), *judged("only left", [True])]
    right = [*judged("b", [True, True]), *judged("only right", [False, False]), *judged("a", [False, False])]
    left_PK, right_PK = paired_tables(left, right)
    assert left_PK.tolist() == [[1], [0]]
    assert right_PK.tolist() == [[0, 0], [1, 1]]


def suite(math_rate: float, code_rate: float, problems: int = 40) -> list[Judged]:
    """Problems 0 … n-1, of which the first share is always right."""
    samples = []
    for kind, rate in (("math", math_rate), ("code", code_rate)):
        for number in range(problems):
            samples += judged(f"{kind}{number}", [number < rate * problems] * 4, kind)
    return samples


BASE, SFT = suite(0.0, 0.1), suite(0.5, 0.5)


@pytest.mark.parametrize(("results", "margin", "promote", "reason"), [
    ({"rl": suite(0.9, 0.9)}, 0.0, True, "RL − SFT, math: 40.0 ["),
    ({"rl": suite(0.9, 0.5)}, 0.0, True, "RL − SFT, code: 0.0 [0.0, 0.0]"),
    ({"rl": suite(0.5, 0.5)}, 0.0, False, "not better than SFT beyond the interval on anything"),
    ({"rl": suite(0.9, 0.4)}, 0.0, False, "worse than SFT on code"),
    ({"rl": suite(0.9, 0.4)}, 0.25, True, "RL − SFT, code: -10.0 ["),
    ({"rl": suite(0.9, 0.9), "baseline": suite(1.0, 1.0)}, 0.0, False, "worse than baseline on math and code"),
    ({"rl": judged("other", [True])}, 0.0, False, "no judged problem in common"),
])  # fmt: skip
def test_decision(results, margin: float, promote: bool, reason: str) -> None:
    comparisons = compare({"base": BASE, "sft": SFT, "rl_zero": SFT, **results}, seed=0)
    decision, reasons = decide(comparisons, "baseline" if "baseline" in results else "sft", margin)
    assert decision is promote
    assert any(reason in each for each in reasons), reasons


def test_comparisons_say_what_they_stand_on() -> None:
    rl = [*suite(0.9, 0.9)[4:], *judged("math-extra", [True] * 4)]   # one problem lost, one that SFT did not have
    comparisons = compare({"base": BASE, "sft": SFT, "rl_zero": SFT, "rl": rl}, seed=0)
    assert [each.title for each in comparisons] == [
        "SFT − Base, math", "SFT − Base, code", "RL − SFT, math", "RL − SFT, code", "RL-Zero − Base, math",
        "RL-Zero − Base, code",
    ]
    rl_math = comparisons[2]
    assert (rl_math.problems, rl_math.left_out) == (39, 2)
    assert rl_math.difference.value == pytest.approx(rl_math.left_avg - rl_math.right_avg)
    assert rl_math.better
