"""Causal attention inside documents: which tokens of a batch may see which, and the kernels for it.

- `Pattern.of`     the pattern of a batch of rows, found once a batch and used by every layer
- `attend`         attention with that pattern

Rows without segments are one document each and take the plain causal kernels. Packed rows take the variable-length
kernels on a GPU in half precision, which do no work across documents, and a dense mask anywhere else. Losses and
gradients are the same within rounding.

Shape suffixes: B rows, T tokens, H query heads, K key/value heads, E head dim, S documents of the batch.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.varlen import varlen_attn

HALF = (torch.bfloat16, torch.float16)
# torch 2.11 groups query heads by itself, later versions want to be told
GROUPED: dict[str, Any] = {"enable_gqa": True} if "enable_gqa" in inspect.signature(varlen_attn).parameters else {}
ATTENTION_OPS = [   # what selective activation checkpointing keeps
    torch.ops.torch_attn._varlen_attn.default,
    torch.ops.aten._scaled_dot_product_flash_attention.default,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu.default,
    torch.ops.aten._scaled_dot_product_cudnn_attention.default,
    torch.ops.aten._scaled_dot_product_efficient_attention.default,
]


class Pattern(NamedTuple):
    """Who may see whom. At most one field is set; none means that a row is one document."""

    mask_BTT: Tensor | None = None      # additive, [B, 1, T, T]: 0 inside a document's past, -inf elsewhere
    bounds_S: Tensor | None = None      # int32 [S + 1]: where documents begin in the flattened rows, then B · T

    @classmethod
    def of(cls, segments_BT: Tensor | None, dtype: torch.dtype) -> Pattern:
        """The pattern of rows whose documents are numbered in `segments_BT`, for queries of `dtype`."""
        if segments_BT is None:
            return cls()
        if segments_BT.is_cuda and dtype in HALF:
            bounds_S = document_bounds(segments_BT)
            return cls() if len(bounds_S) == len(segments_BT) + 1 else cls(bounds_S=bounds_S)
        return cls(mask_BTT=document_mask(segments_BT, dtype))


def document_starts(segments_BT: Tensor) -> Tensor:
    """True [B, T] where a document (or a row's padding) begins."""
    return F.pad(segments_BT[:, 1:] != segments_BT[:, :-1], (1, 0), value=True)


def document_positions(segments_BT: Tensor) -> Tensor:
    """Position of each token inside its document [B, T]: counts from 0 where the segment number changes."""
    index_T = torch.arange(segments_BT.shape[1], device=segments_BT.device)
    return index_T - torch.where(document_starts(segments_BT), index_T, 0).cummax(1).values


def document_bounds(segments_BT: Tensor) -> Tensor:
    """Where documents begin in the flattened rows, and their end: int32 [S + 1]. Waits for the GPU."""
    starts_S = document_starts(segments_BT).flatten().nonzero()[:, 0]
    bounds_S = F.pad(starts_S, (0, 1), value=segments_BT.numel()).int()
    torch._dynamo.maybe_mark_dynamic(bounds_S, 0)   # the number of documents must not recompile the layers
    return bounds_S


def document_mask(segments_BT: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive attention mask [B, 1, T, T]: 0 inside a document's past, -inf elsewhere."""
    T = segments_BT.shape[1]
    allowed_BTT = segments_BT[:, :, None] == segments_BT[:, None, :]
    allowed_BTT &= torch.ones(T, T, dtype=torch.bool, device=segments_BT.device).tril()
    mask_BTT = torch.zeros(allowed_BTT.shape, dtype=dtype, device=segments_BT.device)
    return mask_BTT.masked_fill_(~allowed_BTT, float("-inf"))[:, None]


def attend(query_BTHE: Tensor, key_BTKE: Tensor, value_BTKE: Tensor, pattern: Pattern) -> Tensor:
    """Attention output [B, T, H, E]; query heads share keys and values in groups of H / K."""
    if pattern.bounds_S is not None:
        longest = query_BTHE.shape[1]   # an upper bound that costs no look at the data
        query, key, value = (x.flatten(0, 1) for x in (query_BTHE, key_BTKE, value_BTKE))
        bounds = pattern.bounds_S
        out = varlen_attn(query, key, value, bounds, bounds, longest, longest, window_size=(-1, 0), **GROUPED)
        assert isinstance(out, Tensor)
        return out.view(query_BTHE.shape)
    query, key, value = (x.transpose(1, 2) for x in (query_BTHE, key_BTKE, value_BTKE))
    gqa = query_BTHE.shape[2] != key_BTKE.shape[2]
    mask = pattern.mask_BTT
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None, enable_gqa=gqa)
    return out.transpose(1, 2)
