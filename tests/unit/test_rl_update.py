"""The policy update against one completion at a time, and what RL trains on."""

from __future__ import annotations

import copy
import math

import torch
import torch.nn.functional as F

from components.model import MiMoConfig, MiMoForCausalLM
from components.training.rl.update import Sample, build_rows, policy_gradients

TINY = MiMoConfig(
    vocab_size=37, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=8, max_position_embeddings=64, initializer_range=0.3,
)  # fmt: skip


def make_samples() -> list[Sample]:
    generator = torch.Generator().manual_seed(0)

    def draw(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(1, 37, (length,), generator=generator).tolist())

    prompts = [draw(5), draw(9), draw(3)]
    samples = []
    for group, prompt in enumerate(prompts):
        for length, advantage in ((4, 1.0), (11, -0.5), (7, 0.0)):
            response = draw(length)
            log_probs = tuple((-torch.rand(length, generator=generator) * 5).tolist())
            samples.append(Sample(prompt, response, log_probs, group, advantage))
    return samples


def reference_loss(model: MiMoForCausalLM, samples: list[Sample], temperature: float) -> torch.Tensor:
    """Equation 1 for every completion by itself, without packing or chunks."""
    groups = 1 + max(sample.group for sample in samples)
    tokens = [sum(len(s.response) for s in samples if s.group == group) for group in range(groups)]
    total = torch.zeros(())
    for sample in samples:
        sequence = torch.tensor([sample.prompt + sample.response])
        logits = model.logits(model(sequence))[0, len(sample.prompt) - 1 : -1] / temperature
        log_probs = F.log_softmax(logits, -1)[range(len(sample.response)), sample.response]
        ratio = (log_probs - torch.tensor(sample.log_probs)).exp().clamp(max=10.0)
        part = torch.minimum(ratio * sample.advantage, ratio.clamp(0.8, 1.28) * sample.advantage)
        total = total + part.sum() / tokens[sample.group]
    return -total / groups


def test_packed_micro_batched_update_equals_one_completion_at_a_time() -> None:
    torch.manual_seed(0)
    model = MiMoForCausalLM(TINY)
    plain = copy.deepcopy(model)
    samples = make_samples()
    reference = reference_loss(plain, samples, temperature=0.9)
    reference.backward()
    for rows_per_step in (1, 2, 100):
        model.zero_grad()
        metrics = policy_gradients(
            model, samples, row_tokens=24, rows_per_step=rows_per_step, clip_low=0.2, clip_high=0.28, temperature=0.9
        )
        assert math.isclose(metrics["loss"], reference.item(), rel_tol=1e-4, abs_tol=1e-6)
        assert metrics["tokens"] == sum(len(sample.response) for sample in samples)
        for (name, mine), theirs in zip(model.named_parameters(), plain.parameters(), strict=True):
            if "mtp_layers" in name:
                assert mine.grad is None   # the heads take no part in RL
            else:
                assert theirs.grad is not None and mine.grad is not None, name
                torch.testing.assert_close(mine.grad, theirs.grad, rtol=1e-3, atol=1e-5, msg=name)


def test_rows_hold_every_response_token_once_with_its_own_numbers() -> None:
    samples = make_samples()
    rows = build_rows(samples, 24)
    found = sorted(
        (int(group), int(token), round(float(behaviour), 5), float(advantage))
        for token, behaviour, advantage, group in zip(
            torch.roll(rows.tokens_BT, -1, 1)[rows.is_target_BT], rows.behaviour_BT[rows.is_target_BT],
            rows.advantages_BT[rows.is_target_BT], rows.groups_BT[rows.is_target_BT], strict=True,
        )
    )  # fmt: skip
    wanted = sorted(
        (sample.group, token, round(log_prob, 5), sample.advantage)
        for sample in samples for token, log_prob in zip(sample.response, sample.log_probs, strict=True)
    )  # fmt: skip
    assert [f[:2] for f in found] == [w[:2] for w in wanted]
    assert all(abs(f[2] - w[2]) < 1e-4 and f[3] == w[3] for f, w in zip(found, wanted, strict=True))
