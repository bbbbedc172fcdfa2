"""The seamless policy against a brute-force reference on random event orders; the sampler's draws and their state."""

from __future__ import annotations

import json
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.rollout.sampler import ProblemSampler
from components.rollout.scheduler import SeamlessScheduler, ValidRate, is_valid

REWARDS = {
    "valid": [1.0, 0.0, 0.0], "zero": [0.0, 0.0], "one": [1.0, 1.0, 1.0], "masked": [None, 1.0], "half": [0.5, None, 1],
}  # fmt: skip


def reference_stop(outcomes: list[bool], finished: set[int], launched: int, batch: int, limit: int) -> list[int] | None:
    """The report's rule, by trying every prefix: stop when a fully finished one holds `batch` valid groups."""
    for end in range(launched + 1):
        prefix = range(end)
        if not finished.issuperset(prefix):
            return None
        valid = [group for group in prefix if outcomes[group]]
        if len(valid) == batch:
            return valid
    return [group for group in range(limit) if outcomes[group]] if launched == limit else None


@given(
    kinds=st.lists(st.sampled_from(sorted(REWARDS)), min_size=60, max_size=60), batch=st.integers(1, 6),
    prior=st.floats(0.0, 1.0), limit=st.integers(6, 60), seed=st.integers(0, 10**6),
)  # fmt: skip
@settings(max_examples=300, deadline=None)
def test_stops_when_the_report_says_and_takes_the_first_valid(kinds, batch, prior, limit, seed) -> None:
    rng = random.Random(seed)
    outcomes = [is_valid(REWARDS[kind]) for kind in kinds]
    scheduler = SeamlessScheduler(batch, ValidRate(prior=prior, weight=4), max_groups=limit)
    running: list[int] = []
    finished: set[int] = set()
    aborted: set[int] = set()
    launched = 0
    while True:
        expected = scheduler.rate.estimate
        valid = sum(outcomes[group] for group in finished)
        actions = scheduler.next_actions()
        if len(actions.launch):
            assert valid + expected * len(running) < batch
            assert actions.launch.start == launched
            launched = actions.launch.stop
        assert launched <= limit
        running = [group for group in [*running, *actions.launch] if group not in actions.abort]
        aborted |= set(actions.abort)
        stop = reference_stop(outcomes, finished, launched, batch, limit)
        assert actions.done == (stop is not None)
        if actions.done:
            break
        group = running.pop(rng.randrange(len(running)))   # IndexError here: nothing runs and nothing is launched
        finished.add(group)
        scheduler.on_group_rewarded(group, REWARDS[kinds[group]])
    # Whatever the order of events: the batch is the first valid groups of the stream, and nothing before it was cut.
    assert scheduler.selected == stop == [group for group in range(limit) if outcomes[group]][:batch]
    assert all(group >= scheduler.prefix for group in aborted)
    assert not running
    assert scheduler.prefix == (stop[-1] + 1 if len(stop) == batch else limit)


def test_late_rewards_of_aborted_groups_change_nothing_and_doubles_are_refused() -> None:
    scheduler = SeamlessScheduler(1, ValidRate(prior=0.5, weight=1), max_groups=8)
    assert list(scheduler.next_actions().launch) == [0, 1]
    scheduler.on_group_rewarded(0, [1.0, 0.0])
    assert scheduler.next_actions().abort == (1,)
    scheduler.on_group_rewarded(1, [1.0, 0.0])
    assert scheduler.selected == [0] and scheduler.finished_valid == [True]
    with pytest.raises(ValueError, match="group 0 was not running"):
        scheduler.on_group_rewarded(0, [1.0, 0.0])


def test_the_rate_is_carried_over_as_a_prior() -> None:
    rate = ValidRate(prior=0.5, weight=10)
    for _ in range(30):
        rate.count(False)
    assert rate.estimate == pytest.approx(5 / 40)
    rate.next_step()
    assert rate.estimate == pytest.approx(5 / 40)
    again = ValidRate()
    again.load_state_dict(json.loads(json.dumps(rate.state_dict())))
    assert again == rate
    # eight groups are wanted: at one valid in eight, 64 are launched at once
    assert len(SeamlessScheduler(8, rate, max_groups=1000).next_actions().launch) == 64


def test_an_epoch_holds_every_problem_once_and_easy_ones_leave_it() -> None:
    sampler = ProblemSampler(50, seed=3, alpha=0.0)
    first = [sampler.draw().problem for _ in range(50)]
    assert sorted(first) == list(range(50)) != first
    for problem in range(10):
        sampler.record(problem, perfect=True)
    second = [sampler.draw().problem for _ in range(40)]
    assert sorted(second) == list(range(10, 50))
    sampler.record(4, perfect=False)
    third = [sampler.draw().problem for _ in range(41)]
    assert sorted(third) == [4, *range(10, 50)]


def test_easy_draws_come_with_probability_alpha() -> None:
    sampler = ProblemSampler(100, seed=1, alpha=0.1)
    assert not any(sampler.draw().easy for _ in range(500))   # an empty pool gives nothing
    for problem in (3, 5, 8):
        sampler.record(problem, perfect=True)
    draws = [sampler.draw() for _ in range(4000)]
    easy = Counter(draw.problem for draw in draws if draw.easy)
    assert 0.08 < sum(easy.values()) / len(draws) < 0.12   # four standard deviations
    assert set(easy) == {3, 5, 8} and min(easy.values()) > 80
    everything_easy = ProblemSampler(2, seed=0, alpha=0.1)
    for problem in range(2):
        everything_easy.record(problem, perfect=True)
    assert all(everything_easy.draw().easy for _ in range(20))


@given(before=st.integers(0, 40), used=st.integers(0, 25), unused=st.integers(1, 25), easy=st.sets(st.integers(0, 12)))
@settings(max_examples=60, deadline=None)
def test_resumed_and_rewound_samplers_draw_the_same(before, used, unused, easy) -> None:
    def fresh() -> ProblemSampler:
        return ProblemSampler(13, seed=7, alpha=0.3)

    sampler = fresh()
    for _ in range(before):
        sampler.draw()
    for problem in easy:
        sampler.record(problem, perfect=True)
    resumed = fresh()
    resumed.load_state_dict(json.loads(json.dumps(sampler.state_dict())))
    expected = [sampler.draw() for _ in range(used + unused)]
    assert [resumed.draw() for _ in range(used + unused)] == expected
    sampler.rewind(expected[used])   # aborted launches are drawn again in the next step
    assert [sampler.draw() for _ in range(unused)] == expected[used:]


def test_state_of_another_problem_set_is_refused() -> None:
    with pytest.raises(ValueError, match="13 problems, seed 7"):
        ProblemSampler(14, seed=7).load_state_dict(ProblemSampler(13, seed=7).state_dict())
