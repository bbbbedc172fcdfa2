"""The manifest contract: what a stage hands to the next one.

An artifact is a directory with `manifest.json`, which lists every file with its sha256, says what it holds and
which artifacts it was made from, and carries a fingerprint over all of that. The fingerprint holds no clock, no host
and no path outside the artifact: same inputs and same config give the same fingerprint.

Bulk files may stay where they are: a manifest with `location` points to the directory that holds them (a PVC, a
mounted object store), so a pipeline passes a few kilobytes from task to task.
"""

from __future__ import annotations

import hashlib
import json
import os
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from components.config import digest

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"


class ArtifactError(RuntimeError):
    """An artifact that cannot be trusted; the message names the artifact, the file and what is wrong."""


class Shard(BaseModel):
    """One file of an artifact. `role` tells data from what was kept aside (`rejected`) or describes it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: str
    sha256: str
    bytes: int
    rows: int = 0
    role: str = "data"


class Manifest(BaseModel):
    """What an artifact is. `location` (where bulk files lie) is not part of the fingerprint."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: str
    stage: str
    schema_version: int = SCHEMA_VERSION
    shards: tuple[Shard, ...]
    totals: dict[str, int | float | str] = {}
    config_digest: str
    parents: dict[str, str] = {}
    fingerprint: str = ""
    location: str = ""

    def computed_fingerprint(self) -> str:
        return digest(self.model_dump(exclude={"fingerprint", "location"}))


@dataclass(frozen=True)
class Artifact:
    """A verified artifact: its files are what its manifest says."""

    directory: Path
    manifest: Manifest

    def paths(self, role: str = "data") -> list[Path]:
        """Files of one role, in manifest order."""
        return [self.directory / shard.path for shard in self.manifest.shards if shard.role == role]

    @property
    def fingerprint(self) -> str:
        return self.manifest.fingerprint


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def describe_shard(root: Path, path: Path, rows: int = 0, role: str = "data") -> Shard:
    """The manifest entry of a file below `root`."""
    return Shard(
        path=path.relative_to(root).as_posix(),
        sha256=file_sha256(path),
        bytes=path.stat().st_size,
        rows=rows,
        role=role,
    )


def write_manifest(
    directory: Path,
    *,
    kind: str,
    stage: str,
    shards: Iterable[Shard],
    totals: Mapping[str, int | float | str],
    config_digest: str,
    parents: Mapping[str, str],
) -> Manifest:
    """Write `directory/manifest.json` atomically and return it with its fingerprint."""
    manifest = Manifest(
        kind=kind,
        stage=stage,
        shards=tuple(sorted(shards, key=lambda shard: shard.path)),
        totals=dict(sorted(totals.items())),
        config_digest=config_digest,
        parents=dict(sorted(parents.items())),
    )
    manifest = manifest.model_copy(update={"fingerprint": manifest.computed_fingerprint()})
    write_text(directory / MANIFEST, manifest.model_dump_json(indent=1, exclude={"location"}))
    return manifest


def write_link(directory: Path, artifact_directory: Path) -> None:
    """Make `directory` an artifact whose files stay in `artifact_directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    manifest = read_manifest(artifact_directory)
    linked = manifest.model_copy(update={"location": str(artifact_directory.resolve())})
    write_text(directory / MANIFEST, linked.model_dump_json(indent=1))


def read_manifest(directory: Path) -> Manifest:
    """Read a manifest and check its fingerprint, without reading the files it lists."""
    path = directory / MANIFEST
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        raise ArtifactError(f"{directory}: not an artifact: no {MANIFEST}") from None
    except ValidationError as error:
        raise ArtifactError(f"{path}: not a manifest of schema {SCHEMA_VERSION}: {error}") from None
    if manifest.schema_version != SCHEMA_VERSION:
        raise ArtifactError(f"{path}: schema version {manifest.schema_version}, this code reads {SCHEMA_VERSION}")
    if manifest.computed_fingerprint() != manifest.fingerprint:
        raise ArtifactError(f"{path}: the fingerprint does not match its contents: edited or damaged")
    return manifest


def open_artifact(path: str | Path, kind: str = "", *, verify: bool = True) -> Artifact:
    """Open an artifact and verify every file in it.

    Args:
        path: its directory (following `location` where the manifest has one).
        kind: refuse any other kind, when given.
        verify: read every file; not where another process of the same team does.

    Raises:
        ArtifactError: no manifest, wrong kind, or a file that is missing, truncated or changed.
    """
    directory = Path(path)
    manifest = read_manifest(directory)
    if manifest.location:
        directory = Path(manifest.location)
        if read_manifest(directory).fingerprint != manifest.fingerprint:
            raise ArtifactError(f"{path}: {directory} now holds another artifact than the one this links to")
    if kind and manifest.kind != kind:
        raise ArtifactError(f"{path}: holds {manifest.kind!r}, {kind!r} is needed here")
    for shard in manifest.shards if verify else ():
        _verify(directory, shard)
    return Artifact(directory, manifest)


def _verify(directory: Path, shard: Shard) -> None:
    path = directory / shard.path
    if not path.is_file():
        raise ArtifactError(f"{path}: listed in the manifest but missing")
    size = path.stat().st_size
    if size != shard.bytes:
        raise ArtifactError(f"{path}: {size} bytes, the manifest says {shard.bytes}: truncated or overwritten")
    if file_sha256(path) != shard.sha256:
        raise ArtifactError(f"{path}: sha256 differs from the manifest: damaged")


def partial_name(path: Path) -> Path:
    """Where to write a file before it is renamed to `path`: two processes that write the same one never meet."""
    return path.with_name(f"{path.name}.{uuid.uuid4().hex}.partial")


def remove_partials(directory: Path) -> None:
    """Remove what killed processes left half-written below `directory`. No other process may be writing there."""
    for path in directory.rglob("*.partial"):
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a file so that it appears whole or not at all."""
    partial = partial_name(path)
    with partial.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def write_json(path: Path, value: Any) -> None:
    """`write_text` of indented JSON."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
