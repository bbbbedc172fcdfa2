"""Starting from a model that exists: a Hugging Face folder becomes a checkpoint artifact without being copied."""

from __future__ import annotations

import json
from pathlib import Path

from components.artifacts import MANIFEST, describe_shard, read_manifest, write_manifest
from components.config import ConfigError, digest

ARCHITECTURES = ("mimo", "qwen2")
_TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model")


def import_checkpoint(folder: Path, store: Path) -> Path:
    """Make an artifact of a Qwen2 or MiMo folder: a directory of links into it, with a manifest.

    Returns: the artifact's directory; the same for the same files.

    Raises:
        ConfigError: the folder is no such checkpoint; names the file that is missing or wrong.
    """
    if not folder.is_dir():
        raise ConfigError(f"--model {folder}: no such folder")
    config = _read_json(folder / "config.json")
    model_type = config.get("model_type", "")
    if model_type not in ARCHITECTURES:
        needed = " or ".join(ARCHITECTURES)
        raise ConfigError(f"{folder / 'config.json'}: model_type is {model_type!r}, {needed} is needed")
    weights = _weights(folder)
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise ConfigError(f"{folder}: no tokenizer; one of {', '.join(_TOKENIZER_FILES)} is needed")
    files = sorted({*weights, *(path for path in folder.iterdir() if path.is_file() and _belongs(path))})
    identity = digest([(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files])[:16]
    directory = store.resolve() / "imported" / f"{identity}-{digest(str(folder.resolve()))[:8]}" / "model"
    if (directory / MANIFEST).exists():
        read_manifest(directory)
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    for path in files:
        link = directory / path.name
        link.unlink(missing_ok=True)
        link.symlink_to(path.resolve())
    write_manifest(
        directory,
        kind="checkpoint",
        stage="imported",
        shards=[describe_shard(directory, directory / path.name) for path in files],
        totals={"architecture": model_type},
        config_digest=digest({}),
        parents={},
    )
    return directory


def _belongs(path: Path) -> bool:
    """What a checkpoint consists of; a manifest is there when the folder came out of a run."""
    return path.name != MANIFEST and path.suffix in (".json", ".safetensors", ".txt", ".jinja", ".model", ".py", ".md")


def _weights(folder: Path) -> list[Path]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        single = folder / "model.safetensors"
        if not single.is_file():
            raise ConfigError(f"{folder}: no model.safetensors and no {index.name}: safetensors weights are needed")
        return [single]
    names = sorted(set(_read_json(index).get("weight_map", {}).values()))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing or not names:
        raise ConfigError(f"{index}: names {', '.join(missing) or 'no weights'}, not found in {folder}")
    return [folder / name for name in names]


def _read_json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
