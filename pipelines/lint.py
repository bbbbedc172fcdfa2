"""What compiled pipelines must never contain. Each rule reads the compiled YAML, so it also sees what KFP made of ours.

    dangling-input     a task reads an input that the group holding it does not have (KFP compiles that without a word)
    no-shared-memory   a GPU task without /dev/shm: containers get 64 MB, and NCCL dies
    retry-maximum      a retry that may last no longer than KFP's default, one hour from the first attempt's start
    cached-effect      an exit, launcher or publishing task that would be skipped on the second run
    unpinned-image     an image named by a tag in a release profile
    runtime-install    packages installed when the task runs
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from components.config import ConfigError
from pipelines.compile import compile_profile
from pipelines.placement import is_pinned
from pipelines.profile import load_profile, profile_names

RULES = ("dangling-input", "no-shared-memory", "retry-maximum", "cached-effect", "unpinned-image", "runtime-install")
KFP_DEFAULT_MAXIMUM = "3600s"
_EFFECTS = re.compile(r"exit|launch|cleanup|notify|publish|validate")
_INSTALL = re.compile(r"\b(pip3?|uv|conda|mamba|apt|apt-get|apk|dnf|yum)\b[^\n;&|]*\b(install|add)\b")
_CHANNEL = re.compile(r"\{\{\$\.inputs\.parameters\['([^']+)'\]\}\}")

Spec = Mapping[str, Any]


@dataclass(frozen=True)
class Finding:
    """One broken rule: where and why."""

    file: str
    rule: str
    where: str
    message: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def lint_file(path: Path, release: bool = False) -> list[Finding]:
    """All findings in one compiled pipeline.

    Args:
        release: images must be named by digest.

    Raises:
        ConfigError: no compiled pipeline.
    """
    try:
        documents = [document for document in yaml.safe_load_all(path.read_text()) if document]
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not YAML: {error}") from None
    if not documents or "root" not in documents[0]:
        raise ConfigError(f"{path}: not a compiled pipeline: it has no root")
    platform = documents[1] if len(documents) > 1 else {}
    return [Finding(path.name, *found) for found in lint(documents[0], platform, release)]


def lint(spec: Spec, platform: Spec, release: bool = False) -> Iterator[tuple[str, str, str]]:
    """(rule, where, message) of every broken rule, given the two documents of a compiled pipeline."""
    executors = spec.get("deploymentSpec", {}).get("executors", {})
    kubernetes = _kubernetes(platform)
    for group, component in _groups(spec):
        for name, task in component["dag"]["tasks"].items():
            where = f"{group}.{name}"
            executor = _executor(spec, task)
            yield from _dangling(where, component, task, executors.get(executor, {}))
            yield from _retry(where, task, kubernetes.get(executor, {}))
            yield from _cached(where, task, runs_container=bool(executor))
    for name, executor_spec in executors.items():
        container = executor_spec.get("container")
        if container is not None:
            yield from _container(name, container, kubernetes.get(name, {}), release)


def _groups(spec: Spec) -> Iterator[tuple[str, Spec]]:
    yield "root", spec["root"]
    for name, component in spec.get("components", {}).items():
        if "dag" in component:
            yield name, component


def _executor(spec: Spec, task: Spec) -> str:
    component = spec.get("components", {}).get(task.get("componentRef", {}).get("name", ""), {})
    return component.get("executorLabel", "")


def _kubernetes(platform: Spec) -> Spec:
    deployment = platform.get("platforms", {}).get("kubernetes", {}).get("deploymentSpec", {})
    return deployment.get("executors", {})


def _dangling(where: str, group: Spec, task: Spec, executor: Spec) -> Iterator[tuple[str, str, str]]:
    definitions = group.get("inputDefinitions", {})
    inputs = task.get("inputs", {})
    for kind, key in (("parameters", "componentInputParameter"), ("artifacts", "componentInputArtifact")):
        for name, source in inputs.get(kind, {}).items():
            wanted = source.get(key)
            if wanted is not None and wanted not in definitions.get(kind, {}):
                yield "dangling-input", where, f"input {name} reads {wanted!r}, which its group does not have"
    for name, source in inputs.get("artifacts", {}).items():
        yield from _producer(where, name, source.get("taskOutputArtifact"), group)
    for name, source in inputs.get("parameters", {}).items():
        yield from _producer(where, name, source.get("taskOutputParameter"), group)
        constant = source.get("runtimeValue", {}).get("constant")
        for channel in _CHANNEL.findall(constant) if isinstance(constant, str) else ():
            if channel not in inputs["parameters"]:
                yield "dangling-input", where, f"input {name} names {channel!r}, which the task does not get"
    for key, value in executor.get("container", {}).get("resources", {}).items():
        for channel in _CHANNEL.findall(str(value)):
            if channel not in inputs.get("parameters", {}):
                yield "dangling-input", where, f"{key} names {channel!r}, which the task does not get"


def _producer(where: str, name: str, source: Spec | None, group: Spec) -> Iterator[tuple[str, str, str]]:
    if source is not None and source.get("producerTask") not in group["dag"]["tasks"]:
        yield "dangling-input", where, f"input {name} reads task {source.get('producerTask')!r}, which is not there"


def _retry(where: str, task: Spec, kubernetes: Spec) -> Iterator[tuple[str, str, str]]:
    policy = task.get("retryPolicy")
    if not policy or not policy.get("maxRetryCount"):
        return
    maximum = policy.get("backoffMaxDuration", "")
    timeout = float(kubernetes.get("activeDeadlineSeconds", 0))
    if maximum in ("", KFP_DEFAULT_MAXIMUM):
        yield "retry-maximum", where, "give set_retry a backoff_max_duration that covers all attempts"
    elif not timeout:
        yield "retry-maximum", where, "a task that is retried needs a timeout for each attempt"
    elif float(maximum.rstrip("s")) < timeout:
        yield "retry-maximum", where, f"backoff_max_duration {maximum} is shorter than one attempt, {timeout:.0f}s"


def _cached(where: str, task: Spec, runs_container: bool) -> Iterator[tuple[str, str, str]]:
    if not task.get("cachingOptions", {}).get("enableCache"):
        return
    strategy = task.get("triggerPolicy", {}).get("strategy")
    final = any("taskFinalStatus" in source for source in task.get("inputs", {}).get("parameters", {}).values())
    named = _EFFECTS.search(task.get("componentRef", {}).get("name", "")) is not None
    if strategy == "ALL_UPSTREAM_TASKS_COMPLETED" or final or (named and runs_container):
        yield "cached-effect", where, "caching is on: the second run would skip what this task does"


def _container(name: str, container: Spec, kubernetes: Spec, release: bool) -> Iterator[tuple[str, str, str]]:
    image = container.get("image", "")
    if release and not is_pinned(image):
        yield "unpinned-image", name, f"{image!r} has no digest, and this is a release profile"
    if "accelerator" in container.get("resources", {}):
        mounts = [mount.get("mountPath") for mount in kubernetes.get("emptyDirMounts", [])]
        if "/dev/shm" not in mounts:
            yield "no-shared-memory", name, "asks for accelerators and mounts nothing at /dev/shm"
    text = "\n".join(map(str, [*container.get("command", []), *container.get("args", [])]))
    found = _INSTALL.search(text)
    if found:
        yield "runtime-install", name, f"installs packages when it runs: {found.group(0)!r}"


def lint_profiles(allow_unpinned: bool = False) -> list[Finding]:
    """Compile every shipped profile and lint what comes out; release profiles as releases."""
    found: list[Finding] = []
    with TemporaryDirectory() as folder:
        for name in profile_names():
            profile = load_profile(name)
            for path in compile_profile(profile, Path(folder), allow_unpinned=True):
                findings = lint_file(path, release=profile.release and not allow_unpinned)
                found += [replace(finding, file=f"{name}/{finding.file}") for finding in findings]
    return found
