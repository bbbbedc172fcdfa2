"""From profiles to pipeline files: `mimo compile`, and the pipeline that the local runner executes.

Images. A release profile (`release = true`) names images by digest: `images/images.lock` maps a repository's name to
the digest that was pushed. As long as a digest is missing there, a release profile does not compile, except with
`allow_unpinned`, which is for development. A local run has no images; there the place of the digest is taken by the
digest of the stage's code, so that KFP's cache never serves results of older code.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path

from kfp import compiler
from kfp.dsl.graph_component import GraphComponent

from components.config import ConfigError
from components.registry import STAGES
from components.runner import code_digest
from pipelines.dag import Selection, select
from pipelines.images import LOCK_FILE, pin, read_lock
from pipelines.placement import is_pinned
from pipelines.profile import Profile
from pipelines.reasoning_model import NAME, build_recipe, build_stage


def compile_profile(profile: Profile, directory: Path, allow_unpinned: bool = False) -> list[Path]:
    """Write `<directory>/<profile>/reasoning_model.yaml` and one YAML a node; returns their paths.

    Raises:
        ConfigError: a release profile's image has no digest.
    """
    images = cluster_images(profile, allow_unpinned)
    folder = directory / profile.name
    folder.mkdir(parents=True, exist_ok=True)
    part = select()
    written = [write_pipeline(build_recipe(profile, images, part), folder / f"{NAME.replace('-', '_')}.yaml")]
    for name, node in part.nodes.items():
        written.append(write_pipeline(build_stage(profile, images, node), folder / f"{name}.yaml"))
    return written


def compile_local(profile: Profile, selection: Selection, path: Path, images: Mapping[str, str]) -> Path:
    """Write the pipeline that runs on this machine. `images`: `local_images()`, or the images that it will run in."""
    return write_pipeline(build_recipe(profile, images, selection), path)


def write_pipeline(pipeline: GraphComponent, path: Path) -> Path:
    """Compile to `path`; the file appears whole or not at all."""
    partial = path.with_suffix(".partial.yaml")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        compiler.Compiler().compile(pipeline, str(partial))
    partial.replace(path)
    return path


def local_images() -> dict[str, str]:
    """Stage -> what stands for its image in a local run: the digest of its code."""
    return {name: f"local-python:{code_digest(stage)[:16]}" for name, stage in STAGES.items()}


def cluster_images(profile: Profile, allow_unpinned: bool = False) -> dict[str, str]:
    """Stage -> image reference, by digest where `images.lock` has one.

    Raises:
        ConfigError: a release profile without a digest.
    """
    lock = read_lock()
    references = {name: pin(reference, lock) for name, reference in profile.images.items()}
    unpinned = [f"images.{name}: {reference} has no digest" for name, reference in references.items()
                if not is_pinned(reference)]
    if profile.release and unpinned and not allow_unpinned:
        raise ConfigError(
            "\n".join(unpinned)
            + f"\n{profile.name} is a release profile: push the images and record their digests in {LOCK_FILE.name} "
            "(`mimo images lock`), set them with --set images.NAME=REPOSITORY@sha256:…, or compile for "
            "development with --allow-unpinned"
        )
    return {name: references[stage.image] for name, stage in STAGES.items()}
