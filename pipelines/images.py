"""`mimo images lock`: which exact images a release means. `images/images.lock` maps names to digests.

    {"registry.example/team/mimo-data": "sha256:…",     an image of this project, by repository
     "python:3.11-slim": "sha256:…"}                    a base, by the name it was asked for

A digest is what a registry calls an image; one that was only built here has none until it is pushed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from components.artifacts import write_json
from components.config import ConfigError

LOCK_FILE = Path(__file__).parent.parent / "images" / "images.lock"
BASE_NAME = "org.opencontainers.image.base.name"
BASE_DIGEST = "org.opencontainers.image.base.digest"
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def read_lock(path: Path = LOCK_FILE) -> Mapping[str, str]:
    """Name -> digest; empty where there is no lock yet.

    Raises:
        ConfigError: not a JSON object of digests; names the key.
    """
    if not path.is_file():
        return {}
    try:
        lock = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: not JSON: {error}") from None
    if not isinstance(lock, dict):
        raise ConfigError(f"{path}: an object of names and digests is needed")
    for name, digest in lock.items():
        if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
            raise ConfigError(f"{path}: {name}: {digest!r} is no digest; one is sha256: and 64 hexadecimal digits")
    return lock


def repository_of(reference: str) -> str:
    """`registry:5000/team/mimo-data:1.2@sha256:…` -> `registry:5000/team/mimo-data`."""
    name = reference.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]


def pin(reference: str, lock: Mapping[str, str]) -> str:
    """The reference by digest, where it has one or the lock knows one."""
    repository = repository_of(reference)
    return reference if "@" in reference or repository not in lock else f"{repository}@{lock[repository]}"


def lock_images(client: Any, references: Iterable[str], path: Path = LOCK_FILE) -> dict[str, str]:
    """Write the digests of `references` and of the bases they were built on into the lock; returns these.

    Args:
        client: a connection to the engine that built and pushed them, or pulled them.

    Raises:
        ConfigError: an image that is not there, or that no registry has named yet; nothing is written then.
    """
    found: dict[str, str] = {}
    problems = []
    for reference in references:
        try:
            found |= _digests(client, reference)
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems))
    lock = {**read_lock(path), **found}
    write_json(path, dict(sorted(lock.items())))
    return found


def _digests(client: Any, reference: str) -> dict[str, str]:
    import docker

    repository = repository_of(reference)
    try:
        image = client.images.get(reference)
    except docker.errors.ImageNotFound:
        raise ConfigError(
            f"{reference}: not in the container engine: `make images` or `docker pull {reference}`"
        ) from None
    named = [text.partition("@")[2] for text in image.attrs["RepoDigests"] if text.partition("@")[0] == repository]
    if not named:
        raise ConfigError(f"{reference}: has no digest, for it is in no registry yet: `docker push {reference}`")
    base, digest = image.labels.get(BASE_NAME, ""), image.labels.get(BASE_DIGEST, "")
    of_registry = any(text.endswith(f"@{digest}") for text in _base_digests(client, base))
    return {repository: named[0]} | ({base: digest} if of_registry else {})


def _base_digests(client: Any, base: str) -> list[str]:
    """What registries call a base; empty for one that was only made here."""
    import docker

    try:
        return client.images.get(base).attrs["RepoDigests"] if base else []
    except docker.errors.DockerException:
        return []
