"""Checkpoints as Hugging Face directories: ours, Qwen2's and MiMo's, in and out.

A directory holds `config.json` (with `auto_map`), safetensors, the tokenizer with its chat template,
`generation_config.json` and the two modeling files, so transformers and vLLM load it as it is.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from components.artifacts import Shard, describe_shard, write_json
from components.config import ConfigError
from components.model.config import MiMoConfig
from components.model.modeling import MiMoForCausalLM

HF_FILES = Path(__file__).parent / "hf"
WEIGHTS = "model.safetensors"
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.json",
    "merges.txt", "chat_template.jinja",
)  # fmt: skip


def save_checkpoint(
    model: MiMoForCausalLM, directory: Path, tokenizer: Path, generation: Mapping[str, Any] | None = None,
    weights: Mapping[str, torch.Tensor] | None = None,
) -> None:  # fmt: skip
    """Write `model` as a Hugging Face directory with the tokenizer files of directory `tokenizer`.

    Args:
        generation: values for `generation_config.json` beside the stop token (temperature, top_p, …).
        weights: the whole weights, of a model that is split over processes.
    """
    directory.mkdir(parents=True, exist_ok=True)
    given = model.state_dict() if weights is None else weights
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in given.items()}
    partial = directory / (WEIGHTS + ".partial")
    save_file(whole, partial, metadata={"format": "pt"})
    partial.replace(directory / WEIGHTS)
    dtype = str(model.lm_head.weight.dtype).removeprefix("torch.")
    stop = _stop_tokens(tokenizer)
    write_json(
        directory / "config.json",
        {**model.config.to_hf(), "torch_dtype": dtype, "eos_token_id": stop[0] if stop else None},
    )
    write_json(directory / "generation_config.json", {"eos_token_id": stop, **(generation or {})})
    for source in [*(tokenizer / name for name in TOKENIZER_FILES), *sorted(HF_FILES.glob("*.py"))]:
        if source.is_file():
            shutil.copyfile(source, directory / source.name)


def describe_checkpoint(directory: Path) -> list[Shard]:
    """Manifest entries of every file of a checkpoint directory."""
    return [describe_shard(directory, path) for path in sorted(directory.iterdir()) if _is_checkpoint_file(path)]


def _is_checkpoint_file(path: Path) -> bool:
    return path.is_file() and path.name != "manifest.json" and path.suffix != ".partial"


def load_config(directory: Path) -> MiMoConfig:
    """The shape in `directory/config.json`."""
    path = directory / "config.json"
    try:
        values = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ConfigError(f"{directory}: not a checkpoint: no config.json") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    return MiMoConfig.from_hf(values, str(path))


def load_model(
    directory: Path, *, rope_theta: float | None = None, max_position_embeddings: int | None = None,
    mtp_heads: int | None = None, dtype: torch.dtype = torch.float32,
) -> MiMoForCausalLM:  # fmt: skip
    """Load a MiMo or Qwen2 checkpoint.

    Args:
        rope_theta, max_position_embeddings: replace the checkpoint's (stage 3 raises both).
        mtp_heads: the number of MTP heads wanted. Heads the checkpoint lacks start as a copy of its last head, or
            freshly initialised when it has none; heads beyond the number are left out. None: as in the checkpoint.

    Raises:
        ConfigError: no checkpoint, another architecture, missing or unknown tensors (named).
    """
    stored = load_config(directory)
    heads = stored.num_nextn_predict_layers if mtp_heads is None else mtp_heads
    config = replace(
        stored,
        rope_theta=stored.rope_theta if rope_theta is None else rope_theta,
        max_position_embeddings=max_position_embeddings or stored.max_position_embeddings,
        num_nextn_predict_layers=heads,
    )
    model = MiMoForCausalLM(config).to(dtype)
    weights = _read_weights(directory)
    if "lm_head.weight" not in weights:   # tied embeddings: the head starts as a copy, and is trained on its own
        weights["lm_head.weight"] = weights["model.embed_tokens.weight"].clone()
    weights = {name: tensor for name, tensor in weights.items() if _head_of(name) < heads}
    missing, unexpected = model.load_state_dict(weights, strict=False)
    lost = [name for name in missing if _head_of(name) < stored.num_nextn_predict_layers]
    if lost or unexpected:
        raise ConfigError(f"{directory}: tensors missing: {_few(lost)}; unknown: {_few(unexpected)}")
    if stored.num_nextn_predict_layers:
        layers = model.model.mtp_layers
        for index in range(stored.num_nextn_predict_layers, heads):
            layers[index].load_state_dict(layers[stored.num_nextn_predict_layers - 1].state_dict())
    return model


def load_tokenizer(directory: Path) -> Any:
    """The checkpoint's fast tokenizer (transformers), without running any code from the directory."""
    from transformers import PreTrainedTokenizerFast

    if not (directory / "tokenizer.json").is_file():
        raise ConfigError(f"{directory}: no tokenizer.json: the checkpoint has no fast tokenizer")
    return PreTrainedTokenizerFast.from_pretrained(directory, local_files_only=True)


def _read_weights(directory: Path) -> dict[str, torch.Tensor]:
    files = sorted(directory.glob("*.safetensors"))
    if not files:
        raise ConfigError(f"{directory}: no safetensors files: convert the checkpoint to safetensors first")
    weights: dict[str, torch.Tensor] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as file:
                weights.update((name, file.get_tensor(name)) for name in file.keys())   # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ConfigError(f"{path}: not a readable safetensors file: {error}") from None
    return weights


def _head_of(name: str) -> int:
    """The MTP head a tensor belongs to; -1 for the main model."""
    prefix = "model.mtp_layers."
    return int(name[len(prefix) :].split(".")[0]) if name.startswith(prefix) else -1


def _few(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") if names else "none"


def _stop_tokens(tokenizer: Path) -> list[int]:
    """ids of the tokens that end a response or a document, in that order, as far as the tokenizer has them."""
    path = tokenizer / "tokenizer.json"
    if not path.is_file():
        return []
    added = {token["content"]: token["id"] for token in json.loads(path.read_bytes()).get("added_tokens", [])}
    return [added[name] for name in ("<|im_end|>", "<|endoftext|>") if name in added]
