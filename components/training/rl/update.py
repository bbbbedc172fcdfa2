"""The policy update: kept groups in, one optimiser step a mini-batch out.

Completions of a mini-batch are packed into rows with document masks; the log-probabilities of their response tokens
come from the chunked loss, so no row's logits are ever whole.

Shape suffixes: B rows, T tokens, N response tokens flattened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from components.model.losses import chunked_log_probabilities
from components.model.modeling import MiMoForCausalLM
from components.training.packing import pack
from components.training.rl.objective import grpo_loss


@dataclass(frozen=True)
class Sample:
    """One completion with a reward: its tokens, the sampler's log-probability of each, its group and advantage."""

    prompt: tuple[int, ...]
    response: tuple[int, ...]
    log_probs: tuple[float, ...]
    group: int
    advantage: float


@dataclass(frozen=True)
class Rows:
    """Packed samples. Position t of `target` arrays speaks of token t + 1, which position t predicts."""

    tokens_BT: Tensor
    segments_BT: Tensor
    is_target_BT: Tensor
    behaviour_BT: Tensor
    advantages_BT: Tensor
    groups_BT: Tensor

    def __len__(self) -> int:
        return len(self.tokens_BT)

    def micro_batches(self, rows: int) -> Iterator[Rows]:
        for start in range(0, len(self), rows):
            yield Rows(*(getattr(self, name)[start : start + rows] for name in self.__dataclass_fields__))

    def to(self, device: torch.device) -> Rows:
        return Rows(*(getattr(self, name).to(device) for name in self.__dataclass_fields__))


def build_rows(samples: Sequence[Sample], row_tokens: int) -> Rows:
    """Pack samples into rows of `row_tokens`; the row length shrinks to the fullest row."""
    lengths = [len(sample.prompt) + len(sample.response) for sample in samples]
    packed = pack(lengths, row_tokens)
    width = max(sum(lengths[index] for index in row) for row in packed)
    shape = (len(packed), width)
    tokens, segments, groups = (np.zeros(shape, dtype=np.int64) for _ in range(3))
    behaviour, advantages = (np.zeros(shape, dtype=np.float32) for _ in range(2))
    is_target = np.zeros(shape, dtype=bool)
    for row, members in enumerate(packed):
        start = 0
        for segment, index in enumerate(members, 1):
            sample, end = samples[index], start + lengths[index]
            tokens[row, start:end] = sample.prompt + sample.response
            segments[row, start:end] = segment
            targets = slice(start + len(sample.prompt) - 1, end - 1)
            is_target[row, targets] = True
            behaviour[row, targets] = sample.log_probs
            advantages[row, targets] = sample.advantage
            groups[row, targets] = sample.group
            start = end
    arrays = (tokens, segments, is_target, behaviour, advantages, groups)
    return Rows(*(torch.from_numpy(array) for array in arrays))


def policy_gradients(
    model: MiMoForCausalLM, samples: Sequence[Sample], *, row_tokens: int, rows_per_step: int, clip_low: float,
    clip_high: float, temperature: float,
) -> dict[str, float]:  # fmt: skip
    """Add the gradient of the objective over one mini-batch of groups to `model`; returns token means of metrics.

    `samples[i].group` counts the mini-batch's groups from 0. Samples without tokens or with advantage 0 belong in the
    list: their tokens count in the group's normalisation.
    """
    device = model.lm_head.weight.device
    rows = build_rows(samples, row_tokens)
    num_groups = 1 + max(sample.group for sample in samples)
    tokens_G = torch.bincount(rows.groups_BT[rows.is_target_BT], minlength=num_groups).to(device)
    sums: dict[str, float] = {}
    total = int(rows.is_target_BT.sum())
    for part in rows.to(device).micro_batches(rows_per_step):
        hidden_BTD = model(part.tokens_BT, part.segments_BT)
        mask_BT = part.is_target_BT
        targets_BT = torch.roll(part.tokens_BT, -1, 1)
        log_probs_N = chunked_log_probabilities(
            model.normed(hidden_BTD[mask_BT]), model.lm_head.weight, targets_BT[mask_BT], temperature
        )
        loss, metrics = grpo_loss(
            log_probs_N, part.behaviour_BT[mask_BT], part.advantages_BT[mask_BT], part.groups_BT[mask_BT],
            tokens_G=tokens_G, clip_low=clip_low, clip_high=clip_high,
        )  # fmt: skip
        loss.backward()
        sums["loss"] = sums.get("loss", 0.0) + loss.item()
        for name, value in metrics.items():
            sums[name] = sums.get(name, 0.0) + float(value) * len(log_probs_N) / total
    return {**sums, "tokens": float(total)}
