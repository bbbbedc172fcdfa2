"""Sampling from logits, for a whole batch at once, with each row's own randomness.

Shape suffixes: N rows, V vocabulary.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def uniforms(seed: int, count: int) -> np.ndarray:
    """`count` numbers in [0, 1) of a request: number i decides its token i, whatever batch it runs in (Philox)."""
    return np.random.Generator(np.random.Philox(key=seed)).random(count)


def sample(
    logits_NV: Tensor, temperature_N: Tensor, top_p_N: Tensor | None, uniform_N: Tensor, any_greedy: bool
) -> tuple[Tensor, Tensor]:
    """One token a row, by inverting the cumulative distribution at `uniform_N`.

    Args:
        temperature_N: 0 takes the most likely token (say so with `any_greedy`).
        top_p_N: nucleus mass (Holtzman et al. 2020), or None if it is 1 everywhere, which saves a sort.

    Returns:
        (tokens [N]; their log-probability [N] at the temperature, over the full distribution, in float32).
    """
    logits_NV = logits_NV.float()
    scale_N = temperature_N.where(temperature_N > 0, 1.0)
    log_probs_NV = (logits_NV / scale_N[:, None]).log_softmax(-1)
    # float64: summed over 150k tokens, float32 would give the last ones a wrong share
    probs_NV = log_probs_NV.double().exp()
    if top_p_N is None:
        tokens_N = _invert(probs_NV.cumsum(-1), uniform_N)
    else:
        sorted_NV, order_NV = probs_NV.sort(dim=-1, descending=True, stable=True)
        before_NV = sorted_NV.cumsum(-1) - sorted_NV
        nucleus_NV = sorted_NV.where(before_NV < top_p_N[:, None], 0.0)
        tokens_N = order_NV.gather(1, _invert(nucleus_NV.cumsum(-1), uniform_N)[:, None])[:, 0]
    if any_greedy:
        tokens_N = torch.where(temperature_N > 0, tokens_N, logits_NV.argmax(-1))
    return tokens_N, log_probs_NV.gather(1, tokens_N[:, None])[:, 0]


def _invert(cumulative_NV: Tensor, uniform_N: Tensor) -> Tensor:
    # `right`: a token of probability 0 is never the first whose cumulative mass exceeds the target
    target_N1 = (uniform_N * cumulative_NV[:, -1])[:, None]
    return torch.searchsorted(cumulative_NV, target_N1, right=True)[:, 0].clamp(max=cumulative_NV.shape[1] - 1)
