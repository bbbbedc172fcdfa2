"""Where tasks run and what they get there: the one place for GPUs, /dev/shm, tolerations, retries, timeouts, caching.

CPU, memory and the number of accelerators are parameters of each stage's pipeline, so that they can be set in the UI.
Everything else cannot be a parameter in KFP 2.17 and is fixed by the profile when the pipeline is compiled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kfp import dsl, kubernetes

from components.kfp_entry import NODE
from pipelines.profile import Placement, Storage

# KFP's cache knows a task's parameters, not the files they name. These two read files from outside, and the store knows
# whether they changed; what leaves the pipeline must happen on every run that asks for it.
UNCACHED_STAGES = frozenset({"ingestion", "problems", "publishing"})


@dataclass(frozen=True)
class Site:
    """Where one node's task runs: its image, its resources and the volume of results."""

    image: str
    placement: Placement
    storage: Storage


def place(task: dsl.PipelineTask, node: str, stage: str, site: Site, resources: Mapping[str, Any]) -> None:
    """Apply `site` to `task`.

    Args:
        resources: the pipeline parameters `cpu`, `memory` and, on a GPU stage, `accelerators`. The task must stand at
            the top of its own pipeline: KFP loses such parameters inside If, ParallelFor and ExitHandler.
    """
    asked = site.placement
    task.set_container_image(site.image)
    task.set_env_variable(NODE, node)
    task.set_caching_options(asked.cache and stage not in UNCACHED_STAGES)
    task.set_cpu_limit(resources["cpu"])
    task.set_memory_limit(resources["memory"])
    if asked.accelerators:
        task.set_accelerator_type(asked.accelerator)
        task.set_accelerator_limit(resources["accelerators"])
    if asked.shared_memory:
        # Containers get 64 MB of /dev/shm; NCCL and data loaders need gigabytes.
        kubernetes.empty_dir_mount(task, "shm", "/dev/shm", medium="Memory", size_limit=asked.shared_memory)
    for toleration in asked.tolerations:
        kubernetes.add_toleration(
            task, key=toleration.key, operator=toleration.operator,
            value=toleration.value or None, effect=toleration.effect or None,
        )
    if site.storage.claim:
        kubernetes.mount_pvc(task, pvc_name=site.storage.claim, mount_path=site.storage.path)
    timeout = round(asked.timeout_h * 3600)
    kubernetes.set_timeout(task, timeout)
    if asked.retries:
        # Argo measures this from the first attempt's start, and KFP's default of one hour would forbid every retry of
        # a task that ran longer. It must cover all attempts.
        longest = (asked.retries + 1) * (timeout + asked.backoff_s * 2**asked.retries)
        task.set_retry(asked.retries, f"{asked.backoff_s}s", 2.0, backoff_max_duration=f"{longest}s")


def place_helper(task: dsl.PipelineTask, node: str, image: str) -> None:
    """Settings of a task that only looks: `validate`. Never cached, small, retried once (it is idempotent)."""
    task.set_container_image(image)
    task.set_env_variable(NODE, node)
    task.set_caching_options(False)
    task.set_cpu_limit("1")
    task.set_memory_limit("1Gi")
    kubernetes.set_timeout(task, 600)


def is_pinned(reference: str) -> bool:
    """Whether an image reference names exactly one image."""
    return re.search(r"@sha256:[0-9a-f]{64}$", reference) is not None
