"""Where a release goes: a folder or object store, and the Hugging Face Hub. Both may be repeated without harm."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from components.artifacts import ArtifactError, file_sha256
from components.config import ConfigError
from components.publishing.release import RELEASE


def check_destination(destination: str) -> None:
    """Refuse a destination that cannot be opened before anything is written.

    Raises:
        ConfigError: an unknown protocol, or one whose package is not installed.
    """
    import fsspec

    try:
        fsspec.url_to_fs(destination)
    except (ValueError, ImportError) as error:
        raise ConfigError(f"publishing.destination: {destination!r}: {error}") from None


def copy_release(release: Path, files: Sequence[str], destination: str, identity: str) -> str:
    """Copy the release to `<destination>/<identity>`; returns that URL.

    A local folder appears whole, by rename. An object store knows no rename: there `release.json` is written last, and
    a release without it is not complete. A complete one is left as it is: its name says what is in it.

    Raises:
        ArtifactError: a file arrived with another size.
    """
    import fsspec

    filesystem, root = fsspec.url_to_fs(destination)
    target = f"{root.rstrip('/')}/{identity}"
    if filesystem.exists(f"{target}/{RELEASE}"):
        return filesystem.unstrip_protocol(target)
    local = "file" in ([filesystem.protocol] if isinstance(filesystem.protocol, str) else filesystem.protocol)
    place = f"{target}.partial" if local else target
    if filesystem.exists(place):   # of an interrupted copy
        filesystem.rm(place, recursive=True)
    for name in sorted(files, key=lambda name: (name == RELEASE, name)):
        filesystem.makedirs(f"{place}/{name}".rpartition("/")[0], exist_ok=True)
        filesystem.put_file(str(release / name), f"{place}/{name}")
        arrived = filesystem.info(f"{place}/{name}")["size"]
        if arrived != (release / name).stat().st_size:
            raise ArtifactError(f"{place}/{name}: {arrived} bytes arrived of {(release / name).stat().st_size}")
    if local:
        Path(place).rename(target)
    return filesystem.unstrip_protocol(target)


def push_to_hub(directory: Path, repository: str, private: bool, message: str) -> str:
    """Upload a checkpoint directory as one commit; returns the commit's URL. The token: HF_TOKEN."""
    from huggingface_hub import HfApi

    hub = HfApi()
    hub.create_repo(repository, private=private, exist_ok=True)
    return str(hub.upload_folder(repo_id=repository, folder_path=directory, commit_message=message))


def copy_file(source: Path, target: Path, sha256: str) -> None:
    """Copy one file so that it appears whole; one that is there already, from before a kill, is kept.

    Raises:
        ArtifactError: the copy is not what the manifest says.
    """
    if target.is_file() and file_sha256(target) == sha256:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    shutil.copyfile(source, partial)
    if file_sha256(partial) != sha256:
        raise ArtifactError(f"{source}: changed while it was copied")
    partial.replace(target)
