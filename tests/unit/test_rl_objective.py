"""The GRPO variant against the formula written out with loops."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from components.training.rl.objective import group_advantages, grpo_loss

rewards = st.lists(st.one_of(st.none(), st.floats(0, 1)), min_size=1, max_size=8)


@given(rewards)
def test_advantages_are_standardised_and_masked(values: list[float | None]) -> None:
    advantages = group_advantages(values)
    known = [v for v in values if v is not None]
    if len(known) < 2 or len(set(known)) == 1:
        assert advantages is None
        return
    assert advantages is not None
    assert all(a == 0 for a, v in zip(advantages, values, strict=True) if v is None)
    mine = [a for a, v in zip(advantages, values, strict=True) if v is not None]
    assert sum(mine) == pytest.approx(0, abs=1e-6)
    assert sum(a * a for a in mine) / len(mine) == pytest.approx(1, rel=1e-6)


def reference(log_probs, behaviour, advantages, groups, low, high, cap):
    """Equation 1, with loops."""
    total = 0.0
    for g in set(groups):
        members = [i for i, group in enumerate(groups) if group == g]
        inner = 0.0
        for i in members:
            ratio = min(math.exp(log_probs[i] - behaviour[i]), cap)
            clipped = min(max(ratio, 1 - low), 1 + high)
            inner += min(ratio * advantages[i], clipped * advantages[i])
        total += inner / len(members)
    return -total / len(set(groups))


@given(st.data())
def test_loss_equals_the_written_out_formula(data: st.DataObject) -> None:
    n = data.draw(st.integers(1, 12))
    logs = st.lists(st.floats(-6, 0), min_size=n, max_size=n)
    log_probs, behaviour = data.draw(logs), data.draw(logs)
    advantages = data.draw(st.lists(st.floats(-2, 2), min_size=n, max_size=n))
    groups = sorted(data.draw(st.lists(st.integers(0, 2), min_size=n, max_size=n)))
    groups = [sorted(set(groups)).index(g) for g in groups]
    loss, metrics = grpo_loss(
        torch.tensor(log_probs, dtype=torch.float64), torch.tensor(behaviour, dtype=torch.float64),
        torch.tensor(advantages, dtype=torch.float64), torch.tensor(groups),
        tokens_G=torch.bincount(torch.tensor(groups)),
    )  # fmt: skip
    assert float(loss) == pytest.approx(reference(log_probs, behaviour, advantages, groups, 0.2, 0.28, 10.0), abs=1e-9)
    assert float(metrics["mismatch_kl"]) >= -1e-9


def test_clip_higher_stops_the_gradient_only_beyond_its_bounds() -> None:
    for ratio, advantage, flows in [(1.27, 1, True), (1.29, 1, False), (0.81, -1, True), (0.79, -1, False),
                                    (0.5, 1, True), (1.5, -1, True)]:  # fmt: skip
        log_prob = torch.tensor([math.log(ratio)], requires_grad=True)
        loss, _ = grpo_loss(
            log_prob, torch.zeros(1), torch.tensor([float(advantage)]), torch.zeros(1, dtype=torch.long),
            tokens_G=torch.ones(1),
        )  # fmt: skip
        loss.backward()
        assert log_prob.grad is not None and bool(log_prob.grad.abs() > 0) == flows, (ratio, advantage)
