"""Next-token losses that never hold the logits of a whole batch.

- `next_token_labels`          what each position must predict, within its own document
- `chunked_cross_entropy`      summed cross-entropy of `hidden @ weight.T`, gradients made chunk by chunk
- `chunked_log_probabilities`  log-probability of given tokens, recomputed chunk by chunk in the backward pass

Shape suffixes: B batch, T tokens, N positions (flattened), D hidden, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100
CHUNK_LOGITS = 1 << 24   # logits held at a time: 64 MiB in float32, whatever the vocabulary


def next_token_labels(tokens_BT: Tensor, segments_BT: Tensor, shift: int = 1, mask_BT: Tensor | None = None) -> Tensor:
    """Labels [B, T]: the token `shift` places on, or IGNORE where that is padding or another document.

    Args:
        mask_BT: True for tokens that may be a target (responses in SFT); all when left out.
    """
    target_BT = F.pad(tokens_BT[:, shift:], (0, shift))
    valid_BT = F.pad(segments_BT[:, shift:], (0, shift)) == segments_BT
    valid_BT &= segments_BT > 0
    valid_BT[:, tokens_BT.shape[1] - shift :] = False
    if mask_BT is not None:
        valid_BT &= F.pad(mask_BT[:, shift:], (0, shift))
    return target_BT.masked_fill(~valid_BT, IGNORE)


def chunked_cross_entropy(hidden_ND: Tensor, weight_VD: Tensor, labels_N: Tensor) -> tuple[Tensor, Tensor]:
    """(sum of cross-entropies over labelled positions in float32, their number).

    Equal to `F.cross_entropy(hidden @ weight.T, labels, ignore_index=IGNORE, reduction="sum")` within rounding, in
    values and gradients. Unlabelled positions cost nothing.
    """
    kept_N = labels_N != IGNORE
    labels_N = labels_N[kept_N]
    loss: Tensor = _CrossEntropy.apply(hidden_ND[kept_N], weight_VD, labels_N)
    return loss, kept_N.sum()


def chunked_log_probabilities(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float = 1.0
) -> Tensor:
    """log softmax(hidden @ weight.T / temperature) at `targets_N`, float32 [N]."""
    result: Tensor = _LogProbabilities.apply(hidden_ND, weight_VD, targets_N, temperature)
    return result


def _chunks(rows: int, vocabulary: int) -> list[slice]:
    size = max(1, CHUNK_LOGITS // vocabulary)
    return [slice(start, min(start + size, rows)) for start in range(0, rows, size)]


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, labels_N: Tensor) -> Tensor:
        grad_hidden_ND = torch.empty_like(hidden_ND)
        grad_weight_VD = torch.zeros_like(weight_VD, dtype=torch.float32)
        total = torch.zeros((), dtype=torch.float32, device=hidden_ND.device)
        for part in _chunks(len(labels_N), len(weight_VD)):
            probability = (hidden_ND[part] @ weight_VD.T).float()
            log_z = probability.logsumexp(-1, keepdim=True)
            labels = labels_N[part, None]
            total += (log_z - probability.gather(-1, labels)).sum()
            probability = probability.sub_(log_z).exp_()
            probability.scatter_add_(-1, labels, torch.full_like(log_z, -1.0))
            probability = probability.to(hidden_ND.dtype)
            grad_hidden_ND[part] = probability @ weight_VD
            grad_weight_VD += probability.T @ hidden_ND[part]
        ctx.save_for_backward(grad_hidden_ND, grad_weight_VD.to(weight_VD.dtype))
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None]:
        grad_hidden_ND, grad_weight_VD = ctx.saved_tensors
        return grad_hidden_ND * grads[0], grad_weight_VD * grads[0], None


class _LogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float) -> Tensor:
        out_N = torch.empty(len(targets_N), dtype=torch.float32, device=hidden_ND.device)
        for part in _chunks(len(targets_N), len(weight_VD)):
            logits = (hidden_ND[part] @ weight_VD.T).float() / temperature
            out_N[part] = logits.gather(-1, targets_N[part, None])[:, 0] - logits.logsumexp(-1)
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N)
        ctx.temperature = temperature
        return out_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, None, None]:
        hidden_ND, weight_VD, targets_N = ctx.saved_tensors
        grad_hidden_ND = torch.empty_like(hidden_ND)
        grad_weight_VD = torch.zeros_like(weight_VD, dtype=torch.float32)
        for part in _chunks(len(targets_N), len(weight_VD)):
            grad = (hidden_ND[part] @ weight_VD.T).float().div_(ctx.temperature).softmax(-1).neg_()
            grad.scatter_add_(-1, targets_N[part, None], torch.ones_like(grad[:, :1]))
            grad = (grad * (grads[0][part, None] / ctx.temperature)).to(hidden_ND.dtype)
            grad_hidden_ND[part] = grad @ weight_VD
            grad_weight_VD += grad.T @ hidden_ND[part]
        return grad_hidden_ND, grad_weight_VD.to(weight_VD.dtype), None, None
