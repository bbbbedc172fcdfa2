"""The shape of a MiMo model, and its `config.json`. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from components.config import ConfigError


@dataclass(frozen=True)
class MiMoConfig:
    """Fields as in the published `config.json` (a Qwen2 config plus `num_nextn_predict_layers`)."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    head_dim: int
    rope_theta: float = 10_000.0
    max_position_embeddings: int = 8_192
    rms_norm_eps: float = 1e-5
    num_nextn_predict_layers: int = 1
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        if self.num_attention_heads % self.num_key_value_heads:
            raise ConfigError(
                f"num_attention_heads {self.num_attention_heads} must be a multiple of "
                f"num_key_value_heads {self.num_key_value_heads}"
            )
        if self.head_dim % 2:
            raise ConfigError(f"head_dim {self.head_dim} must be even: RoPE rotates pairs")

    @classmethod
    def mimo_7b(cls) -> MiMoConfig:
        """MiMo-7B as released, with its one MTP layer (report section 2.2; rope_theta of stage 3)."""
        return cls(
            vocab_size=151_680, hidden_size=4_096, intermediate_size=11_008, num_hidden_layers=36,
            num_attention_heads=32, num_key_value_heads=8, head_dim=128, rope_theta=640_000.0,
            max_position_embeddings=32_768,
        )  # fmt: skip

    def parameter_count(self) -> tuple[int, int]:
        """(parameters of the main model, parameters of one MTP layer)."""
        attention = self.num_attention_heads * self.head_dim
        key_value = self.num_key_value_heads * self.head_dim
        layer = (
            self.hidden_size * (2 * attention + 2 * key_value)
            + attention + 2 * key_value   # biases of q, k, v
            + 3 * self.hidden_size * self.intermediate_size
            + 2 * self.hidden_size   # norms
        )  # fmt: skip
        main = 2 * self.vocab_size * self.hidden_size + self.num_hidden_layers * layer + self.hidden_size
        mtp = layer + 2 * self.hidden_size * self.hidden_size + 3 * self.hidden_size
        return main, mtp

    def flops_per_token(self, sequence_length: int, mtp_heads: int = 0) -> float:
        """Training FLOPs a token: 6 per matmul parameter, attention scores and values counted once (causal).

        The embedding look-up is no matmul; each MTP head pays its layer and the shared output head again.
        """
        main, mtp = self.parameter_count()
        head = self.vocab_size * self.hidden_size
        attention = 6 * self.num_attention_heads * self.head_dim * sequence_length   # per layer: 12·H·h·T/2
        total = 6 * (main - head) + attention * self.num_hidden_layers
        return float(total + mtp_heads * (6 * (mtp + head) + attention))

    def to_hf(self) -> dict[str, Any]:
        """The content of `config.json`: transformers and vLLM both read it."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            "architectures": ["MiMoForCausalLM"],
            "auto_map": {
                "AutoConfig": "configuration_mimo.MiMoConfig",
                "AutoModelForCausalLM": "modeling_mimo.MiMoForCausalLM",
            },
            "model_type": "mimo",
            "attention_bias": True,
            "attention_dropout": 0.0,
            "hidden_act": "silu",
            "tie_word_embeddings": False,
            "use_cache": True,
            "use_sliding_window": False,
            **values,
        }

    @classmethod
    def from_hf(cls, values: Mapping[str, Any], where: str = "config.json") -> MiMoConfig:
        """Read a MiMo or Qwen2 `config.json`.

        Raises:
            ConfigError: another architecture, or a variant this model does not compute (names the key).
        """
        if values.get("model_type") not in ("mimo", "qwen2"):
            raise ConfigError(
                f"{where}: model_type is {values.get('model_type')!r}; a MiMo or Qwen2 checkpoint is needed"
            )
        rope = dict(values.get("rope_parameters") or values.get("rope_scaling") or {})
        wanted = {"hidden_act": "silu", "use_sliding_window": False, "attention_dropout": 0.0}
        found = {key: values.get(key, right) for key, right in wanted.items()}
        found["rope_type"], wanted["rope_type"] = rope.get("rope_type", rope.get("type", "default")), "default"
        for key, right in wanted.items():
            if found[key] != right:
                raise ConfigError(f"{where}: {key} = {found[key]!r} is not supported, only {right!r}")
        known = {field.name for field in fields(cls)}
        shape = {key: value for key, value in values.items() if key in known and value is not None}
        shape.setdefault("head_dim", values["hidden_size"] // values["num_attention_heads"])
        shape.setdefault("num_nextn_predict_layers", 0)
        shape.setdefault("rms_norm_eps", 1e-6)   # Qwen2Config's default, left out by its files
        shape["rope_theta"] = float(values.get("rope_theta") or rope.get("rope_theta") or 10_000.0)
        return cls(**shape)
