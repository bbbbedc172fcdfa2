"""Next-token losses that never hold the logits of a whole batch.

- `next_token_labels`          what each position must predict, within its own document
- `chunked_cross_entropy`      cross-entropy of several outputs through one head, gradients made chunk by chunk
- `chunked_log_probabilities`  log-probability of given tokens, recomputed chunk by chunk in the backward pass

A frozen head's gradient is not computed, nor any gradient where autograd is off.

Shape suffixes: B batch, T tokens, N positions (flattened), L losses, D hidden, V vocabulary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORE = -100
# Logits held at a time, whatever the vocabulary: few enough for a CPU's caches to matter less than its memory (64 MiB
# in float32), enough for a GPU's matrix products to outweigh adding up the head's gradient (2.5 GiB in bfloat16: 8,192
# positions of a vocabulary of 152k).
CHUNK_LOGITS = {"cpu": 1 << 24, "cuda": 5 << 28}


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


def chunked_cross_entropy(
    hidden_LND: Sequence[Tensor], weight_VD: Tensor, labels_LN: Sequence[Tensor],
    factors_L: Sequence[float | Tensor] = (1.0,),
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """(Σ factor · sum of cross-entropies, the sums [L]), float32, of L outputs that share one head.

    Each sum equals `F.cross_entropy(hidden @ weight.T, labels, ignore_index=IGNORE, reduction="sum")` within rounding;
    the total's gradients equal those of the plain losses. Unlabelled positions cost nothing. The total is what to
    differentiate; the sums are for the log.

    The factors are needed at once because the head's gradient is added up over all outputs during the forward pass:
    that keeps one [V, D] sum in float32 and computes every chunk of logits once.
    """
    factors = torch.stack([torch.as_tensor(f, dtype=torch.float32, device=weight_VD.device) for f in factors_L])
    total: Tensor
    total, sums_L = _CrossEntropy.apply(weight_VD, labels_LN, factors, torch.is_grad_enabled(), *hidden_LND)
    return total, sums_L


def chunked_log_probabilities(
    hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float = 1.0
) -> Tensor:
    """log softmax(hidden @ weight.T / temperature) at `targets_N`, float32 [N]."""
    result: Tensor = _LogProbabilities.apply(hidden_ND, weight_VD, targets_N, temperature)
    return result


def chunks(rows: int, weight_VD: Tensor) -> Iterator[slice]:
    """Slices of `rows` positions whose logits may be held at a time."""
    size = _chunk_size(rows, len(weight_VD), weight_VD.device.type)
    return (slice(start, min(start + size, rows)) for start in range(0, rows, size))


def _chunk_size(rows: int, vocabulary: int, device_type: str) -> int:
    size = max(1, CHUNK_LOGITS.get(device_type, CHUNK_LOGITS["cpu"]) // vocabulary)
    if size <= 256:
        return size
    size -= size % 256  # whole tiles of the matrix products
    if device_type == "cuda" and rows:  # chunks of equal size: the sums cost a short one as much time as a full one
        equal = math.ceil(rows / math.ceil(rows / size))
        size = math.ceil(equal / 256) * 256
    return size


def _softmax_gradient(logits_NV: Tensor, labels_N: Tensor, factor: Tensor) -> tuple[Tensor, Tensor]:
    """(sum of cross-entropies, factor · d sum / d logits in the logits' type); may overwrite the logits."""
    label_logits_N1 = logits_NV.gather(-1, labels_N[:, None]).float()
    scores_NV = logits_NV.float()
    log_z_N1 = scores_NV.logsumexp(-1, keepdim=True)
    losses_N1 = log_z_N1 - label_logits_N1
    gradient_NV = scores_NV.sub_(log_z_N1).exp_().mul_(factor).to(logits_NV.dtype)
    at_label_N1 = ((-losses_N1).exp() - 1) * factor
    gradient_NV.scatter_(-1, labels_N[:, None], at_label_N1.to(logits_NV.dtype))
    return losses_N1.sum(), gradient_NV


def _log_probability(logits_NV: Tensor, labels_N: Tensor, temperature: float = 1.0) -> Tensor:
    """[N], float32."""
    scores_NV = logits_NV.float() / temperature
    return scores_NV.gather(-1, labels_N[:, None])[:, 0] - scores_NV.logsumexp(-1)


@cache
def _fused(function: Callable[..., Any], device_type: str) -> Callable[..., Any]:
    """`function` of logits, labels and more, compiled on a GPU: otherwise each step of it reads and writes all logits.

    The number of positions may vary; with the vocabulary fixed, the kernels read whole vectors and take half the time.
    """
    if device_type != "cuda":
        return function
    compiled = torch.compile(function)

    def call(logits_NV: Tensor, labels_N: Tensor, *rest: Any) -> Any:
        for tensor in (logits_NV, labels_N):
            torch._dynamo.maybe_mark_dynamic(tensor, 0)
        return compiled(logits_NV, labels_N, *rest)

    return call


def _add_product(sum_VD: Tensor, gradient_NV: Tensor, hidden_ND: Tensor) -> None:
    """sum += gradient.T @ hidden, in float32 also where the factors are halves."""
    if gradient_NV.is_cuda and gradient_NV.dtype != torch.float32:
        torch.addmm(sum_VD, gradient_NV.T, hidden_ND, out_dtype=torch.float32, out=sum_VD)
    elif gradient_NV.dtype == sum_VD.dtype:
        sum_VD.addmm_(gradient_NV.T, hidden_ND)
    else:
        sum_VD += gradient_NV.T @ hidden_ND


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, weight_VD: Tensor, labels_LN: Sequence[Tensor], factors_L: Tensor, differentiate: bool,
        *hidden_LND: Tensor,
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        device = weight_VD.device
        to_weight = differentiate and ctx.needs_input_grad[0]
        to_hidden_L = [differentiate and needed for needed in ctx.needs_input_grad[4:]]
        head_VD = weight_VD.to(hidden_LND[0].dtype)
        sum_dtype = torch.promote_types(torch.float32, weight_VD.dtype)
        grad_weight_VD = torch.zeros_like(weight_VD, dtype=sum_dtype) if to_weight else None
        grads_LND = [torch.zeros_like(h) if needed else None for h, needed in zip(hidden_LND, to_hidden_L, strict=True)]
        sums_L = torch.zeros(len(hidden_LND), dtype=torch.float32, device=device)
        with torch.autocast(device.type, enabled=False):
            for index, (hidden_ND, labels_N, grad_ND) in enumerate(zip(hidden_LND, labels_LN, grads_LND, strict=True)):
                kept_M = (labels_N != IGNORE).nonzero()[:, 0]
                for part in chunks(len(kept_M), weight_VD):
                    rows = kept_M[part]
                    hidden_MD, labels_M = hidden_ND[rows], labels_N[rows]
                    logits_MV = hidden_MD @ head_VD.T
                    if not to_weight and grad_ND is None:
                        sums_L[index] -= _fused(_log_probability, device.type)(logits_MV, labels_M).sum()
                        continue
                    loss, gradient_MV = _fused(_softmax_gradient, device.type)(logits_MV, labels_M, factors_L[index])
                    sums_L[index] += loss
                    if grad_ND is not None:
                        grad_ND[rows] = gradient_MV @ head_VD
                    if grad_weight_VD is not None:
                        _add_product(grad_weight_VD, gradient_MV, hidden_MD)
                    del logits_MV, gradient_MV  # before the next chunk's are made
        ctx.save_for_backward(None if grad_weight_VD is None else grad_weight_VD.to(weight_VD.dtype), *grads_LND)
        ctx.mark_non_differentiable(sums_L)
        return (sums_L * factors_L).sum(), sums_L

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, *hiddens = (None if saved is None else saved * grads[0] for saved in ctx.saved_tensors)
        return weight, None, None, None, *hiddens


class _LogProbabilities(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, hidden_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, temperature: float) -> Tensor:
        out_N = torch.empty(len(targets_N), dtype=torch.float32, device=hidden_ND.device)
        compute = _fused(_log_probability, hidden_ND.device.type)
        for part in chunks(len(targets_N), weight_VD):
            out_N[part] = compute(hidden_ND[part] @ weight_VD.T, targets_N[part], temperature)
        ctx.save_for_backward(hidden_ND, weight_VD, targets_N)
        ctx.temperature = temperature
        return out_N

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        hidden_ND, weight_VD, targets_N = ctx.saved_tensors
        to_hidden, to_weight = ctx.needs_input_grad[:2]
        grad_hidden_ND = torch.empty_like(hidden_ND) if to_hidden else None
        sum_dtype = torch.promote_types(torch.float32, weight_VD.dtype)
        grad_weight_VD = torch.zeros_like(weight_VD, dtype=sum_dtype) if to_weight else None
        for part in chunks(len(targets_N), weight_VD):
            grad = (hidden_ND[part] @ weight_VD.T).float().div_(ctx.temperature).softmax(-1).neg_()
            grad.scatter_add_(-1, targets_N[part, None], torch.ones_like(grad[:, :1]))
            grad = (grad * (grads[0][part, None] / ctx.temperature)).to(hidden_ND.dtype)
            if grad_hidden_ND is not None:
                grad_hidden_ND[part] = grad @ weight_VD
            if grad_weight_VD is not None:
                _add_product(grad_weight_VD, grad, hidden_ND[part])
        return grad_hidden_ND, None if grad_weight_VD is None else grad_weight_VD.to(weight_VD.dtype), None, None
