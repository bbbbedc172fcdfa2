"""MiMo for transformers: a Qwen2 trunk plus the MTP layers, so that a checkpoint loads with every weight in place.

Generation uses the trunk only; `mtp_logits` gives what a head would draft.
"""

import torch
from torch import nn
from transformers.models.qwen2.modeling_qwen2 import (
    Qwen2DecoderLayer,
    Qwen2ForCausalLM,
    Qwen2Model,
    Qwen2RMSNorm,
)

from .configuration_mimo import MiMoConfig


class MiMoMTPLayer(Qwen2DecoderLayer):
    """One MTP head; the input projection takes the hidden state first, the embedding second."""

    def __init__(self, config, layer_idx):
        super().__init__(config, layer_idx)
        self.token_layernorm = Qwen2RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.hidden_layernorm = Qwen2RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.input_proj = nn.Linear(2 * config.hidden_size, config.hidden_size, bias=False)
        self.final_layernorm = Qwen2RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def draft(self, hidden, embedded, mask, position_ids, position_embeddings):
        joined = torch.cat([self.hidden_layernorm(hidden), self.token_layernorm(embedded)], dim=-1)
        output = super().forward(
            self.input_proj(joined),
            attention_mask=mask,
            position_ids=position_ids,
            position_embeddings=position_embeddings,
        )
        return self.final_layernorm(output[0] if isinstance(output, tuple) else output)


class MiMoModel(Qwen2Model):
    config_class = MiMoConfig

    def __init__(self, config):
        super().__init__(config)
        self.mtp_layers = nn.ModuleList(
            MiMoMTPLayer(config, layer_idx=0) for _ in range(config.num_nextn_predict_layers)
        )
        self.post_init()


class MiMoForCausalLM(Qwen2ForCausalLM):
    config_class = MiMoConfig

    def __init__(self, config):
        super(Qwen2ForCausalLM, self).__init__(config)
        self.model = MiMoModel(config)
        self.vocab_size = config.vocab_size
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    @torch.no_grad()
    def mtp_logits(self, input_ids, head=0):
        """Logits [batch, time, vocabulary] of MTP head `head`: row t predicts token t + 2 + head."""
        captured: dict[str, torch.Tensor] = {}
        hook = self.model.norm.register_forward_pre_hook(lambda _, args: captured.update(hidden=args[0]))
        self.model(input_ids, use_cache=False)
        hook.remove()
        hidden, time = captured["hidden"], input_ids.shape[1]
        shifted = nn.functional.pad(input_ids[:, 1 + head :], (0, 1 + head))
        positions = torch.arange(time, device=input_ids.device)[None]
        rotary = self.model.rotary_emb(hidden, positions)
        mask = torch.full((time, time), float("-inf"), dtype=hidden.dtype, device=hidden.device).triu(1)[None, None]
        layer = self.model.mtp_layers[head]
        return self.lm_head(layer.draft(hidden, self.model.embed_tokens(shifted), mask, positions, rotary))
