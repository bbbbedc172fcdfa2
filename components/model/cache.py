"""The static key/value cache of generation, and attention over it.

A slot is a row of the cache and holds one sequence. A step writes the keys and values of its new tokens, then attends:
position p of a slot sees the slot's positions 0 … p. What lies beyond a sequence's end (padding, the slot's former
tenant) is never seen, because it is overwritten before any query reaches its position.

Shape suffixes: N slots in the step, S slots of the cache, T new tokens, L attended length, H query heads, K key/value
heads, G query heads a key/value head, E head dim.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from components.model.config import MiMoConfig

# Attended lengths are rounded up to a multiple of this: the kernels then add up a row's scores in the same order
# whatever the other rows of the batch are, which keeps a sequence's tokens independent of its company.
LENGTH_STEP = 64


class Window(NamedTuple):
    """What one step attends to, the same for every layer."""

    rows: slice | Tensor       # of the cache; a slice where the slots are consecutive, which saves a copy
    length: int                # L
    mask: Tensor               # [N, T, L], additive: 0 for visible positions, -inf for others


class CacheLayer(NamedTuple):
    """One layer's keys and values [S, K, max_length, E] and the step's window."""

    key: Tensor
    value: Tensor
    window: Window


class KVCache:
    """Keys and values [layers, S, K, max_length, E] of `slots` sequences."""

    def __init__(
        self, config: MiMoConfig, slots: int, max_length: int, *,
        device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, layers: int | None = None,
    ) -> None:  # fmt: skip
        shape = (layers or config.num_hidden_layers, slots, config.num_key_value_heads, max_length, config.head_dim)
        self.max_length = max_length
        self.slots = slots
        # zeros, not empty: masked positions are multiplied by 0, and 0 times NaN is NaN
        self.key = torch.zeros(shape, device=device, dtype=dtype)
        self.value = torch.zeros(shape, device=device, dtype=dtype)
        self._positions: Tensor | None = None
        self._window: Window | None = None

    def write(self, layer: int, slots_N: Tensor, positions_NT: Tensor, key_NKTE: Tensor, value_NKTE: Tensor) -> None:
        """Store a step's keys and values. Layer 0 (or new positions) begins a step."""
        if layer == 0 or positions_NT is not self._positions:
            self._positions, self._window = positions_NT, self._make_window(slots_N, positions_NT)
        rows_N1 = slots_N[:, None]
        self.key[layer].transpose(1, 2)[rows_N1, positions_NT] = key_NKTE.transpose(1, 2)
        self.value[layer].transpose(1, 2)[rows_N1, positions_NT] = value_NKTE.transpose(1, 2)

    def layer(self, layer: int) -> CacheLayer:
        """One layer, with the window of the step that `write` began."""
        assert self._window is not None, "write a step's keys and values before attending"
        return CacheLayer(self.key[layer], self.value[layer], self._window)

    def copy(self, sources_M: Tensor, targets_M: Tensor, length: int) -> None:
        """Copy the first `length` positions of rows `sources_M` to rows `targets_M` (disjoint from them)."""
        for tensor in (self.key, self.value):
            tensor[:, targets_M, :, :length] = tensor[:, sources_M, :, :length]

    def _make_window(self, slots_N: Tensor, positions_NT: Tensor) -> Window:
        longest = int(positions_NT.max()) + 1
        length = min(-(-longest // LENGTH_STEP) * LENGTH_STEP, self.max_length)
        first = int(slots_N[0])
        consecutive = torch.equal(slots_N, torch.arange(first, first + len(slots_N), device=slots_N.device))
        hidden_NTL = torch.arange(length, device=slots_N.device) > positions_NT[..., None]
        mask_NTL = torch.zeros(hidden_NTL.shape, dtype=self.key.dtype, device=slots_N.device)
        mask_NTL.masked_fill_(hidden_NTL, float("-inf"))
        return Window(slice(first, first + len(slots_N)) if consecutive else slots_N, length, mask_NTL)


def cached_attention(query_NHTE: Tensor, layer: CacheLayer, slots_N: Tensor, positions_NT: Tensor) -> Tensor:
    """Attention of new tokens over their slots' prefixes -> [N, H, T, E]; grouped queries share keys and values."""
    window = layer.window
    key_NKLE = layer.key[window.rows][:, :, : window.length]
    value_NKLE = layer.value[window.rows][:, :, : window.length]
    N, H, T, E = query_NHTE.shape
    K = key_NKLE.shape[1]
    if T > 1:
        return F.scaled_dot_product_attention(
            query_NHTE, key_NKLE, value_NKLE, attn_mask=window.mask[:, None], enable_gqa=H != K
        )
    # One query a slot: the kernels made for long queries are 2-3 times slower here than two batched products, which
    # take the query heads that share keys as the rows of one product.
    G = H // K
    scores_NKGL = torch.matmul(query_NHTE.reshape(N, K, G, E) * E**-0.5, key_NKLE.transpose(2, 3))
    weights_NKGL = (scores_NKGL + window.mask[:, None]).softmax(-1, dtype=torch.float32).to(query_NHTE.dtype)
    return torch.matmul(weights_NKGL, value_NKLE).reshape(N, H, 1, E)
