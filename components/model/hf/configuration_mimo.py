"""MiMo's configuration for transformers and vLLM: a Qwen2 configuration plus the number of MTP layers."""

from transformers.models.qwen2.configuration_qwen2 import Qwen2Config


class MiMoConfig(Qwen2Config):
    model_type = "mimo"

    def __init__(self, *args, num_nextn_predict_layers=0, head_dim=None, **kwargs):
        self.num_nextn_predict_layers = num_nextn_predict_layers
        self.head_dim = head_dim
        super().__init__(*args, **kwargs)
        self.head_dim = head_dim or self.hidden_size // self.num_attention_heads
