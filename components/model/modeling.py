"""MiMo in plain PyTorch (report section 2.2; tensor names and numerics as in the released checkpoints).

Pre-RMSNorm decoder with SwiGLU, grouped-query attention, RoPE, biases on q, k and v, untied embeddings, and MTP
layers `final_norm(layer(input_proj([hidden_norm(h), token_norm(e)])))` that share embedding and output head. h is the
residual stream before the main model's final norm; heads are parallel: each takes the main model's h.

Shape suffixes: B batch, T tokens, N cache slots, D hidden, H query heads, K key/value heads, E head dim, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts

from components.model.attention import ATTENTION_OPS, Pattern, attend, document_positions
from components.model.cache import KVCache, cached_attention
from components.model.config import MiMoConfig
from components.model.losses import chunked_cross_entropy

Rope = tuple[Tensor, Tensor]   # cos and sin [B, T, 1, E], float32
Checkpointing = Literal["none", "selective", "full"]

_MATRIX_OPS = [torch.ops.aten.mm.default, torch.ops.aten.addmm.default]


class RMSNorm(nn.Module):
    """Root-mean-square norm in float32, scaled by a learned weight; the output has the input's type."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        return (F.rms_norm(x.float(), (x.shape[-1],), eps=self.eps).to(x.dtype) * self.weight).to(x.dtype)


class Attention(nn.Module):
    """Grouped-query self-attention with rotary positions."""

    def __init__(self, config: MiMoConfig) -> None:
        super().__init__()
        self.head_dim = config.head_dim
        query, key_value = (n * config.head_dim for n in (config.num_attention_heads, config.num_key_value_heads))
        self.q_proj = nn.Linear(config.hidden_size, query)
        self.k_proj = nn.Linear(config.hidden_size, key_value)
        self.v_proj = nn.Linear(config.hidden_size, key_value)
        self.o_proj = nn.Linear(query, config.hidden_size, bias=False)

    def project(self, x_BTD: Tensor, rope: Rope) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries [B, T, H, E], rotated keys and values [B, T, K, E]."""
        split = (*x_BTD.shape[:2], -1, self.head_dim)
        q, k, v = (proj(x_BTD).view(split) for proj in (self.q_proj, self.k_proj, self.v_proj))
        return rotate(q, rope), rotate(k, rope), v

    def forward(self, x_BTD: Tensor, rope: Rope, pattern: Pattern) -> Tensor:
        return self.o_proj(attend(*self.project(x_BTD, rope), pattern).flatten(2))


class MLP(nn.Module):
    """SwiGLU."""

    def __init__(self, config: MiMoConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up_proj = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down_proj = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class DecoderLayer(nn.Module):
    """Attributes:
        checkpointing: what the backward pass computes again: nothing; all but matrix products and attention; the layer.
    """

    def __init__(self, config: MiMoConfig) -> None:
        super().__init__()
        self.checkpointing: Checkpointing = "none"
        self.input_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = Attention(config)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = MLP(config)

    def forward(self, x_BTD: Tensor, rope: Rope, pattern: Pattern) -> Tensor:
        if self.checkpointing == "none" or not torch.is_grad_enabled():
            return self._forward(x_BTD, rope, pattern)
        kept: dict[str, Any] = {} if self.checkpointing == "full" else {"context_fn": _keep_products}
        return checkpoint(self._forward, x_BTD, rope, pattern, use_reentrant=False, preserve_rng_state=False, **kept)

    def _forward(self, x_BTD: Tensor, rope: Rope, pattern: Pattern) -> Tensor:
        x_BTD = x_BTD + self.self_attn(self.input_layernorm(x_BTD), rope, pattern)
        return x_BTD + self.mlp(self.post_attention_layernorm(x_BTD))

    def step(
        self, x_NTD: Tensor, rope: Rope, positions_NT: Tensor, cache: KVCache, layer: int, slots_N: Tensor
    ) -> Tensor:
        """Decode: write this step's keys and values into the cache, attend over each slot's own prefix."""
        q, k, v = (x.transpose(1, 2) for x in self.self_attn.project(self.input_layernorm(x_NTD), rope))
        cache.write(layer, slots_N, positions_NT, k, v)
        out_NHTE = cached_attention(q, cache.layer(layer), slots_N, positions_NT)
        x_NTD = x_NTD + self.self_attn.o_proj(out_NHTE.transpose(1, 2).flatten(2))
        return x_NTD + self.mlp(self.post_attention_layernorm(x_NTD))


_keep_products = partial(create_selective_checkpoint_contexts, [*_MATRIX_OPS, *ATTENTION_OPS])


class MTPLayer(DecoderLayer):
    """One multi-token-prediction head. The input projection takes the hidden state FIRST, the embedding second."""

    def __init__(self, config: MiMoConfig) -> None:
        super().__init__(config)
        self.token_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.hidden_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.input_proj = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.final_layernorm = RMSNorm(config.hidden_size, config.rms_norm_eps)

    def forward(self, hidden_BTD: Tensor, embedded_BTD: Tensor, rope: Rope, pattern: Pattern) -> Tensor:  # type: ignore[override]
        """Normed output [B, T, D] from the main model's hidden states and the embeddings of the tokens to come."""
        return self.final_layernorm(super().forward(self.join(hidden_BTD, embedded_BTD), rope, pattern))

    def join(self, hidden_BTD: Tensor, embedded_BTD: Tensor) -> Tensor:
        return self.input_proj(torch.cat([self.hidden_layernorm(hidden_BTD), self.token_layernorm(embedded_BTD)], -1))


class MiMoModel(nn.Module):
    def __init__(self, config: MiMoConfig) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.num_hidden_layers))
        self.norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mtp_layers = nn.ModuleList(MTPLayer(config) for _ in range(config.num_nextn_predict_layers))


class MiMoForCausalLM(nn.Module):
    """The model. `forward` gives hidden states, not logits: losses never need the logits of a whole batch."""

    def __init__(self, config: MiMoConfig) -> None:
        super().__init__()
        self.config = config
        self.model = MiMoModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.apply(self._initialise)

    def _initialise(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.config.initializer_range)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def compile_layers(self) -> None:
        """Compile each layer by itself (regional compilation): one compilation serves all layers of a kind."""
        # With and without gradients, training's batches and measuring's, one model after another: a process may need
        # more variants than the eight after which dynamo fails.
        torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, 64)
        for layer in [*self.model.layers, *self.model.mtp_layers]:
            layer.compile(fullgraph=True)

    def checkpoint_activations(self, checkpointing: Checkpointing) -> None:
        """Choose what the backward pass computes again. Goes before `compile_layers`."""
        for layer in [*self.model.layers, *self.model.mtp_layers]:
            assert isinstance(layer, DecoderLayer)
            layer.checkpointing = checkpointing

    def forward(self, tokens_BT: Tensor, segments_BT: Tensor | None = None) -> Tensor:
        """Hidden states [B, T, D] before the final norm.

        `segments_BT` numbers the documents packed into a row (0 is padding): no attention crosses documents and
        positions restart in each. Without it a row is one document.
        """
        return self._trunk(tokens_BT, *self._context(tokens_BT, segments_BT))

    def losses(
        self, tokens_BT: Tensor, segments_BT: Tensor | None, labels: Mapping[int, Tensor],
        factors: Mapping[int, float | Tensor],
    ) -> tuple[Tensor, Tensor]:  # fmt: skip
        """The training loss of a micro-batch: the main model's and the MTP heads' in one pass over the vocabulary.

        Args:
            labels: [B, T] of each loss, by how far ahead it looks: 1 is the main model's, 2 + k that of MTP head k
                (`next_token_labels` makes them).
            factors: what each loss's sum over its labels is multiplied by (its weight ÷ the step's targets).

        Returns: (Σ factor · sum, to call `backward` on; the sums [L], float32, in the order of `labels`).
        """
        context = self._context(tokens_BT, segments_BT)
        hidden_BTD = self._trunk(tokens_BT, *context)
        outputs = [
            self.normed(hidden_BTD) if ahead == 1 else self._head(ahead - 2, hidden_BTD, tokens_BT, *context)
            for ahead in labels
        ]
        return chunked_cross_entropy(
            [output_BTD.flatten(0, 1) for output_BTD in outputs], self.lm_head.weight,
            [labels_BT.flatten() for labels_BT in labels.values()], [factors[ahead] for ahead in labels],
        )  # fmt: skip

    def mtp_hidden(self, hidden_BTD: Tensor, tokens_BT: Tensor, segments_BT: Tensor | None, head: int = 0) -> Tensor:
        """Normed output [B, T, D] of MTP head `head` (0-based): row t sees h_t and x_{t+1+head}, predicts x_{t+2+head}.

        Rows whose x_{t+1+head} lies outside their document hold no prediction; `next_token_labels` masks them.
        """
        return self._head(head, hidden_BTD, tokens_BT, *self._context(tokens_BT, segments_BT))

    def _trunk(self, tokens_BT: Tensor, rope: Rope, pattern: Pattern) -> Tensor:
        x_BTD = self._embed(tokens_BT)
        for layer in self.model.layers:
            x_BTD = layer(x_BTD, rope, pattern)
        return x_BTD

    def _head(self, head: int, hidden_BTD: Tensor, tokens_BT: Tensor, rope: Rope, pattern: Pattern) -> Tensor:
        shifted_BT = F.pad(tokens_BT[:, 1 + head :], (0, 1 + head))
        return self.model.mtp_layers[head](hidden_BTD, self._embed(shifted_BT), rope, pattern)

    def normed(self, hidden: Tensor) -> Tensor:
        """The main model's final norm: what `lm_head.weight` is applied to."""
        return self.model.norm(hidden)

    def logits(self, hidden: Tensor) -> Tensor:
        """Main-model logits [..., V] of hidden states from `forward` or `step`."""
        return self.lm_head(self.model.norm(hidden))

    def new_cache(self, slots: int, max_length: int) -> KVCache:
        """An empty key/value cache for `slots` sequences of at most `max_length` tokens."""
        weight = self.lm_head.weight
        return KVCache(self.config, slots, max_length, device=weight.device, dtype=weight.dtype)

    def step(self, tokens_NT: Tensor, positions_NT: Tensor, cache: KVCache, slots_N: Tensor) -> Tensor:
        """Hidden states [N, T, D] of new tokens of the sequences in cache rows `slots_N`, whose prefix is cached."""
        rope = rope_tables(positions_NT, self.config)
        x_NTD = self.model.embed_tokens(tokens_NT)
        for index, layer in enumerate(self.model.layers):
            assert isinstance(layer, DecoderLayer)
            x_NTD = layer.step(x_NTD, rope, positions_NT, cache, index, slots_N)
        return x_NTD

    def _context(self, tokens_BT: Tensor, segments_BT: Tensor | None) -> tuple[Rope, Pattern]:
        """What every layer needs to know of a batch: rotary positions and who may see whom."""
        if segments_BT is None:
            positions_BT = torch.arange(tokens_BT.shape[1], device=tokens_BT.device).expand_as(tokens_BT)
        else:
            positions_BT = document_positions(segments_BT)
        return rope_tables(positions_BT, self.config), Pattern.of(segments_BT, self._dtype)

    def _embed(self, tokens_BT: Tensor) -> Tensor:
        """Embeddings in the type that the layers compute in, which the residual stream keeps."""
        return self.model.embed_tokens(tokens_BT).to(self._dtype)

    @property
    def _dtype(self) -> torch.dtype:
        """What matrix products are computed in: autocast's type where it is on, else the weights'."""
        weight = self.model.embed_tokens.weight
        if torch.is_autocast_enabled(weight.device.type):
            return torch.get_autocast_dtype(weight.device.type)
        return weight.dtype


def rope_tables(positions_BT: Tensor, config: MiMoConfig) -> Rope:
    """cos and sin [B, T, 1, E] of rotary positions, float32 (Su et al. 2021, half-rotation layout)."""
    exponent = torch.arange(0, config.head_dim, 2, device=positions_BT.device, dtype=torch.float32) / config.head_dim
    angles_BTE = positions_BT[..., None].float() * config.rope_theta**-exponent
    angles_BTE = torch.cat([angles_BTE, angles_BTE], -1)[:, :, None]
    return angles_BTE.cos(), angles_BTE.sin()


def rotate(x_BTHE: Tensor, rope: Rope) -> Tensor:
    """Apply RoPE, in float32."""
    cos, sin = rope
    first, second = x_BTHE.chunk(2, -1)
    return (x_BTHE * cos + torch.cat([-second, first], -1) * sin).to(x_BTHE.dtype)
