"""Random checkpoints of a few thousand parameters, as artifacts, for tests of the stages that take checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch

from components.artifacts import Manifest, read_manifest, write_manifest
from components.data.mixing.tokenizer import save, train
from components.model import MiMoConfig, MiMoForCausalLM
from components.model.checkpoint import describe_checkpoint, save_checkpoint

TEXTS = ["What is 12 + 30? The answer is 42.", "def double(number):\n    return number * 2\n"]


def shape(heads: int) -> MiMoConfig:
    return MiMoConfig(
        vocab_size=288, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, max_position_embeddings=128, num_nextn_predict_layers=heads,
        initializer_range=0.2,
    )  # fmt: skip


def make_checkpoint(directory: Path, stage: str, seed: int, parent: Path | None = None, heads: int = 1) -> Path:
    """An artifact of kind `checkpoint`, of the stage and parent that it claims."""
    tokenizer = directory.with_name(f"{directory.name}-tokenizer")
    tokenizer.mkdir(parents=True)
    save(train(TEXTS, 288), tokenizer)
    torch.manual_seed(seed)
    save_checkpoint(MiMoForCausalLM(shape(heads)), directory, tokenizer)
    seal_checkpoint(directory, stage, parent)
    return directory


def seal_checkpoint(directory: Path, stage: str, parent: Path | None = None) -> Manifest:
    """Write the manifest over what is in `directory`."""
    return write_manifest(
        directory, kind="checkpoint", stage=stage, shards=describe_checkpoint(directory), totals={"tokens": 12_345},
        config_digest="0" * 64, parents={"model": read_manifest(parent).fingerprint} if parent else {},
    )  # fmt: skip
