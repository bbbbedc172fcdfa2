"""The simulated world keeps its own laws, and the scheduler shows the report's tendencies in it."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

from components.rollout.scheduler import is_valid
from components.rollout.simulator import Strategy, Summary, World, _make_group, simulate

WORLD = World(decoders=16, judges=16)


@pytest.fixture(scope="module")
def runs() -> dict[str, Summary]:
    return {strategy: simulate(WORLD, strategy, batch_size=32, steps=8, seed=1) for strategy in get_args(Strategy)}


def test_the_tendencies_of_table_2(runs) -> None:
    naive = runs["naive"]
    assert 0.35 < naive.valid_rate < 0.47 and 0 < naive.waste < 0.6
    speed = {name: naive.rollout_s / run.rollout_s for name, run in runs.items()}
    assert speed["continuous"] > 1.5 and speed["asynchronous"] > speed["continuous"]
    assert speed["seamless"] > 0.95 * speed["asynchronous"] and speed["seamless"] > 2
    assert speed["one_round"] > 2
    assert naive.idle_ratio > runs["continuous"].idle_ratio > runs["asynchronous"].idle_ratio
    assert runs["seamless"].idle_s < 0.4 * naive.idle_s
    assert runs["seamless"].waste < min(runs["asynchronous"].waste, naive.waste)


def test_early_termination_in_launch_order_trains_on_exactly_the_offered_lengths(runs) -> None:
    assert runs["seamless"].length_bias == pytest.approx(0, abs=1e-9)
    assert runs["greedy"].length_bias < -0.02
    # the same batches whatever the hardware, the judges' speed or the number of slots
    other = simulate(replace(WORLD, decoders=3, slots=20, reward_s=60.0), "seamless", batch_size=32, steps=8, seed=1)
    assert other.trained_length == runs["seamless"].trained_length
    assert other.rollout_s > runs["seamless"].rollout_s


def test_one_decoder_without_rewards_takes_the_time_it_must() -> None:
    world = World(decoders=1, slots=10**6, judges=1, reward_s=0.0, group_size=4, base_step_s=1.0, sequence_step_s=0.5)
    lengths = np.sort([length for i in range(8) for length in _make_group(world, 0, i).lengths])
    # all 32 sequences run together; the one that is k-th to end leaves a batch of 32 - k
    running = len(lengths) - np.arange(len(lengths))
    expected = float((np.diff(lengths, prepend=0) * (1 + 0.5 * running)).sum())
    summary = simulate(world, "one_round", batch_size=8, steps=1, seed=0)
    assert summary.rollout_s == pytest.approx(expected)
    assert summary.idle_ratio == pytest.approx(0, abs=1e-9)


def test_naive_rounds_train_on_valid_groups_in_launch_order() -> None:
    world = replace(WORLD, log_length_hard=0.0)
    summary = simulate(world, "naive", batch_size=16, steps=1, seed=3)
    stream = [_make_group(world, 3, index) for index in range(160)]
    valid = [group for group in stream if is_valid(group.rewards)][:16]
    assert summary.trained_length == pytest.approx(np.mean([np.mean(group.lengths) for group in valid]))
