"""The modified GRPO objective (report section 3.3, equations 1 and 2), as pure functions.

No KL term; clip-higher (the upper bound is wider than the lower one); advantages normalised in each group; each group's
token sum divided by the group's number of tokens. The ratio is per token (DAPO) against the sampler's own
log-probabilities, so a mismatch between sampler and trainer is corrected, not ignored.

Shape suffixes: N response tokens of all completions (flattened), G groups.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def group_advantages(rewards: Sequence[float | None]) -> list[float] | None:
    """(r - mean) / std over a group (equation 2); 0 for masked completions (None: infrastructure failure).

    Returns None for a group that teaches nothing: fewer than two rewards, or all equal (dynamic sampling drops it).
    """
    known = [reward for reward in rewards if reward is not None]
    if len(known) < 2 or max(known) == min(known):
        return None
    mean = sum(known) / len(known)
    std = (sum((reward - mean) ** 2 for reward in known) / len(known)) ** 0.5
    return [0.0 if reward is None else (reward - mean) / std for reward in rewards]


def grpo_loss(
    log_probs_N: Tensor,
    behaviour_log_probs_N: Tensor,
    advantages_N: Tensor,
    groups_N: Tensor,
    *,
    tokens_G: Tensor,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    ratio_cap: float = 10.0,
) -> tuple[Tensor, dict[str, Tensor]]:
    """Negated objective of a mini-batch of groups, and metrics.

    Args:
        log_probs_N: of the sampled tokens under the policy being trained, with gradient.
        behaviour_log_probs_N: of the same tokens as the sampler reported them.
        advantages_N: each token's completion's advantage.
        groups_N: index in [0, G) of each token's group.
        tokens_G: response tokens of each group in the whole optimiser step, so that micro-batches of a step add up.
        ratio_cap: bound on the ratio where a negative advantage leaves it unclipped (truncated importance sampling).

    Returns:
        (scalar loss; metrics `ratio`, `clipped`, `mismatch_kl`, `entropy` as tensors, means over tokens).
    """
    ratio_N = (log_probs_N - behaviour_log_probs_N).exp().clamp(max=ratio_cap)
    clipped_N = ratio_N.clamp(1 - clip_low, 1 + clip_high)
    objective_N = torch.minimum(ratio_N * advantages_N, clipped_N * advantages_N)
    loss = -(objective_N / tokens_G[groups_N]).sum() / len(tokens_G)
    with torch.no_grad():
        log_ratio_N = log_probs_N - behaviour_log_probs_N
        metrics = {
            "ratio": ratio_N.mean(),
            "clipped": (ratio_N * advantages_N > clipped_N * advantages_N).float().mean(),
            "mismatch_kl": (log_ratio_N.exp() - 1 - log_ratio_N).mean(),   # k3 estimator, Schulman 2020
            "entropy": -log_probs_N.mean(),
        }
    return loss, metrics
