"""Stage configurations: frozen values read from TOML, overridden by dotted keys, refused when wrong.

- `StageConfig`     base of every stage's config: frozen, unknown keys are errors, has a digest
- `execution()`     a field that changes how a stage runs but never what it produces (workers, device)
- `read_toml`       a TOML file with its errors named by file and line
- `parse_override`  `rl.learning_rate=2e-6` -> (("rl", "learning_rate"), 2e-6)
- `build`           a dict -> a config, errors named by the key's dotted path

Imports no torch, so a validation pod or a laptop can check a config in a fraction of a second.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator


class ConfigError(ValueError):
    """A configuration that cannot be used; the message names the file or key and what would be right."""


class StageConfig(BaseModel):
    """Base of all stage configs. Values are immutable and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _sorted(cls, value: Any) -> Any:
        """Tables in order of their keys: KFP keeps none and the digest sees none, so no result may depend on it."""
        return dict(sorted(value.items())) if isinstance(value, dict) else value

    def result_values(self) -> dict[str, Any]:
        """The values that decide the result: everything except `execution()` fields."""
        return _drop_execution_fields(self)

    def digest(self) -> str:
        """sha256 over the values that decide the result."""
        return digest(self.result_values())


def execution(default: Any, description: str, **constraints: Any) -> Any:
    """A config field that may differ between two runs with byte-identical results."""
    return Field(default, description=description, json_schema_extra={"execution": True}, **constraints)


def digest(value: Any) -> str:
    """sha256 of the canonical JSON of `value` (sorted keys, no spaces)."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _drop_execution_fields(model: BaseModel) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in type(model).model_fields.items():
        extra = field.json_schema_extra
        if isinstance(extra, dict) and extra.get("execution"):
            continue
        value = getattr(model, name)
        values[name] = _drop_execution_fields(value) if isinstance(value, BaseModel) else _plain(value)
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return _drop_execution_fields(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        ConfigError: the file is missing, is not TOML, or names a key twice; says which file and line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not valid TOML: {error}") from None


def parse_override(text: str) -> tuple[tuple[str, ...], Any]:
    """Parse `dotted.key=value`. The value is read as TOML and taken as a plain string where it is none."""
    key, equals, raw = text.partition("=")
    path = tuple(part.strip() for part in key.split("."))
    if not equals or not all(path):
        raise ConfigError(f"override {text!r}: write it as table.key=value, for example rl.learning_rate=2e-6")
    try:
        return path, tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return path, raw.strip()


def apply_override(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    """Set `value` at `path` in a tree of dicts, in place; missing tables are made."""
    for depth, part in enumerate(path[:-1]):
        child = tree.setdefault(part, {})
        if not isinstance(child, dict):
            raise ConfigError(f"{'.'.join(path)}: {'.'.join(path[: depth + 1])} is a value, not a table")
        tree = child
    tree[path[-1]] = value


Config = TypeVar("Config", bound=BaseModel)


def build(kind: type[Config], values: Mapping[str, Any], where: str) -> Config:
    """Validate `values` as a `kind`.

    Raises:
        ConfigError: one line per wrong key, each with its dotted path below `where`.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        lines = []
        for problem in error.errors():
            path = ".".join([where, *(str(part) for part in problem["loc"])])
            if problem["type"] == "extra_forbidden":
                known = ", ".join(sorted(kind.model_fields))
                lines.append(f"{path}: unknown key; {where} knows: {known}")
            else:
                lines.append(f"{path}: {problem['msg']} (got {problem['input']!r:.80})")
        raise ConfigError("\n".join(lines)) from None
