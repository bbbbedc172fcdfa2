"""`mimo run --runner docker`: the tasks of a local run in their own images, confined like pods.

A task's container has no network, no capabilities and a read-only root; it runs as an ordinary user of group 0, within
the placement's memory and CPU limits. It sees the store, the run's record, and read-only what its config names by path.
Each container carries the run's label and is removed when its task ends, however that is; those that a killed runner
left behind are removed by the next run of the same record.
"""

from __future__ import annotations

import contextlib
import copy
import os
import re
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.artifacts import MANIFEST, read_manifest
from components.config import ConfigError, build
from components.kfp_entry import RUN
from components.registry import STAGES
from components.sources import sources_digest
from pipelines.dag import Selection
from pipelines.exit_codes import keep_exit_codes
from pipelines.profile import Placement, Profile
from pipelines.runs import Run

LABEL = "mimo.run"  # on containers: the directory of the run they belong to
SOURCES_LABEL = "mimo.components"  # on images: sources_digest of the code they hold
UID_FOR_ROOT = 12_345  # whose containers root starts; an image must work as any user of group 0
SCRATCH = "rw,exec,nosuid,nodev,mode=1777,size=2g"  # /tmp; in memory, within the task's limit
MAX_PROCESSES = 4096
HELPER = build(
    Placement, {"cpu": "1", "memory": "1Gi"}, "helper"
)  # validate; as placement.place_helper says it to a cluster
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


@dataclass
class Engine:
    """The container engine during one run. Made by `open_engine`."""

    client: Any
    run: Run
    profile: Profile
    mounts: list[Any]
    images: dict[str, str]  # image name -> a reference that names one image and no other
    folder: str = "/tmp"  # where a task starts: where this process is, if paths are relative to that
    notes: list[str] = field(default_factory=list)
    trouble: str = ""  # what the engine last could not do
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stage_images(self) -> dict[str, str]:
        """Stage -> image, for the compiler."""
        return {name: self.images[stage.image] for name, stage in STAGES.items() if stage.image in self.images}

    def runner(self) -> Any:
        """kfp.local's runner, with what holds for every task."""
        from kfp import local

        return local.DockerRunner(
            environment={RUN: str(self.run.directory.resolve())},
            labels={LABEL: str(self.run.directory.resolve())},
            user=f"{os.getuid() or UID_FOR_ROOT}:0",
            mounts=self.mounts,
            working_dir=self.folder,
            network_mode="none",
            read_only=True,
            tmpfs={"/tmp": SCRATCH},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            pids_limit=MAX_PROCESSES,
        )

    def runner_for(self, runner: Any, node: str) -> Any:
        """`runner` with the limits that the profile places on a node. KFP itself ignores them in local runs."""
        limited = copy.copy(runner)
        placed = limits(self.profile.placement.get(node, HELPER))
        # Numerical libraries count the machine's cores, not a container's; as many threads would wait for each other.
        threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, placed["nano_cpus"] // 10**9))
        environment = {**runner.container_run_args["environment"], "OMP_NUM_THREADS": threads}
        limited.container_run_args = {**runner.container_run_args, **placed, "environment": environment}
        return limited

    def memory(self, node: str) -> str:
        """How much memory a node's task gets, and the key that says so."""
        placement = self.profile.placement.get(node)
        return f"{placement.memory} (placement.{node}.memory)" if placement else HELPER.memory

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Let kfp.local use this engine. Ctrl-C ends the containers first, so that nothing waits for them."""
        from kfp.local import docker_task_handler

        handler = docker_task_handler.DockerTaskHandler
        engine = self

        class Handler(handler):  # type: ignore[valid-type, misc]
            def run(self) -> Any:
                return engine._run_task(super().run)

        heard = signal.getsignal(signal.SIGINT)
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and callable(heard):
            signal.signal(signal.SIGINT, self._interrupt)
        docker_task_handler.DockerTaskHandler = Handler
        try:
            with keep_exit_codes():
                yield
        finally:
            docker_task_handler.DockerTaskHandler = handler
            if in_main and callable(heard):
                signal.signal(signal.SIGINT, heard)

    def _run_task(self, run: Any) -> Any:
        import docker
        from kfp.local.status import Status

        if self._stopped.is_set():
            return Status.FAILURE  # a retry of what was ended
        try:
            return run()
        except docker.errors.DockerException as error:
            self.trouble = explain(error)
            return Status.FAILURE

    def _interrupt(self, *_: object) -> None:
        self._stopped.set()
        remove_containers(connect(), self.run)
        raise KeyboardInterrupt

    def close(self) -> None:
        """Remove what the run left in the engine."""
        remove_containers(self.client, self.run)
        self.client.close()


@contextlib.contextmanager
def open_engine(run: Run, profile: Profile, selection: Selection) -> Iterator[Engine]:
    """Connect, find the images, and make the run's directories usable for containers.

    Raises:
        ConfigError: no engine answers, or an image is missing; says what to do.
    """
    client = connect()
    engine = Engine(client, run, profile, [], {})
    try:
        remove_containers(client, run)
        needed = {"data"} | {node.stage.image for node in selection.nodes.values()}
        for name in sorted(needed):
            engine.images[name], note = _image(client, profile.images[name])
            engine.notes += [note] if note else []
        _open_to_group(run)
        paths = [path for name in selection.nodes for path in _named(profile.configs[name].model_dump(mode="json"))]
        engine.mounts = _mounts(run, selection, {path for path in paths if path.exists()})
        if any(path.exists() and not path.is_absolute() for path in paths):
            engine.folder = str(Path.cwd())
        yield engine
    finally:
        engine.close()


def limits(placement: Placement) -> dict[str, Any]:
    """A placement as arguments of a container, no more than this machine has."""
    import docker

    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    memory = min(_bytes(placement.memory), machine)
    cpu = placement.cpu
    cores = float(cpu[:-1]) / 1000 if cpu.endswith("m") else float(cpu)
    found: dict[str, Any] = {
        "mem_limit": memory,
        "memswap_limit": memory,  # no swap
        "nano_cpus": int(min(cores, os.cpu_count() or 1) * 1e9),
    }
    if placement.shared_memory:
        found["shm_size"] = _bytes(placement.shared_memory)
    if placement.accelerators:
        found["device_requests"] = [docker.types.DeviceRequest(count=placement.accelerators, capabilities=[["gpu"]])]
    return found


def explain(error: Exception) -> str:
    """An engine's error in one line, with what mends it where that is known."""
    text = str(getattr(error, "explanation", "") or error).strip().replace("\n", " ")
    if "no space left on device" in text.lower():
        return f"the container engine's disk is full: {text}; `docker system df` says what fills it"
    if "could not select device driver" in text:
        return f"the container engine has no GPUs; the NVIDIA container toolkit gives it some: {text}"
    return f"the container engine: {text}"


def remove_containers(client: Any, run: Run) -> None:
    """Kill and remove what is left of a run's containers."""
    import docker

    label = f"{LABEL}={run.directory.resolve()}"
    for container in client.containers.list(all=True, filters={"label": label}, ignore_removed=True):
        with contextlib.suppress(docker.errors.DockerException):
            container.remove(force=True)


def connect() -> Any:
    """A connection to the container engine.

    Raises:
        ConfigError: none answers; says what to do.
    """
    try:
        import docker
    except ImportError:
        raise ConfigError("containers need the Python package docker: pip install 'mimo-pipeline[pipelines]'") from None
    where = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    try:
        client = docker.from_env(timeout=600)
        client.ping()
    except docker.errors.DockerException as error:
        raise ConfigError(
            f"no container engine answers at {where} ({_cause(error)}). Start one (Debian and Ubuntu: "
            "sudo apt-get install docker.io, and be in the group docker), set DOCKER_HOST to one that runs, or let "
            "tasks be processes: --runner subprocess"
        ) from None
    return client


def _cause(error: BaseException) -> str:
    """The innermost reason, without the classes around it."""
    found = re.search(r"(No such file or directory|Permission denied|Connection refused)", str(error))
    return found.group(1) if found else str(error)


def _image(client: Any, reference: str) -> tuple[str, str]:
    """(what to compile in for `reference`, a note or nothing).

    KFP's cache knows images by name only. A name that can move gets a second one here, which holds the image's id; such
    names of its predecessors are taken away, and with them the predecessors.
    """
    import docker

    try:
        image = client.images.get(reference)
    except docker.errors.ImageNotFound:
        raise ConfigError(
            f"--runner docker: no image {reference} in the container engine: build it with `make images`, pull it with "
            f"`docker pull {reference}`, or name another one with --set images.NAME=REFERENCE"
        ) from None
    note = ""
    if image.labels.get(SOURCES_LABEL, sources_digest()) != sources_digest():
        note = f"Note: image {reference} holds other code than this folder; `make images` builds it anew"
    if "@sha256:" in reference:
        return reference, note
    repository = reference.rpartition(":")[0] if ":" in reference.rpartition("/")[2] else reference
    own = f"{repository}:id-{image.id.removeprefix('sha256:')[:24]}"
    image.tag(repository, own.rpartition(":")[2])
    for other in client.images.list(repository):
        for tag in other.tags:
            if tag.startswith(f"{repository}:id-") and tag != own:
                with contextlib.suppress(docker.errors.DockerException):
                    client.images.remove(tag)
    return own, note


def _mounts(run: Run, selection: Selection, named: set[Path]) -> list[Any]:
    """The store and the run's record; read-only what is given from elsewhere and what configs name."""
    from docker.types import Mount

    writable = [run.store.resolve(), run.directory.resolve()]
    readable = set(named)
    for uri in selection.given.values():
        given = Path(uri)
        readable |= {given, *(file.resolve().parent for file in given.iterdir() if file.is_symlink())}
        if (given / MANIFEST).is_file():
            readable.add(Path(read_manifest(given).location or uri))
    outside = {path.resolve() for path in readable if path.exists()}
    outside = {path for path in outside if not any(path.is_relative_to(folder) for folder in writable)}
    if Path("/") in outside:
        raise ConfigError("--runner docker: a path in the profile leads to /, which is not given to containers")
    found = [Mount(str(path), str(path), type="bind") for path in writable]
    return found + [Mount(str(path), str(path), type="bind", read_only=True) for path in sorted(outside)]


def _named(values: Any) -> Iterator[Path]:
    """The local files and folders that a config names by `path`; of a pattern, the folder it looks in."""
    if isinstance(values, Mapping):
        path = values.get("path")
        if isinstance(path, str) and path and "://" not in path:
            plain = re.split(r"[*?\[]", path)[0]
            yield Path(plain) if plain == path or plain.endswith("/") else Path(plain).parent
        for value in values.values():
            yield from _named(value)
    elif isinstance(values, list):
        for value in values:
            yield from _named(value)


def _open_to_group(run: Run) -> None:
    """Make what the runner owns writable for containers, which share only its group 0 with it when it is root."""
    kfp_root = run.store / ".kfp"
    for folder in (run.directory / "logs", run.directory / "nodes", kfp_root / run.id, kfp_root / "workspace" / run.id):
        folder.mkdir(parents=True, exist_ok=True)
    if os.getuid() != 0:
        return
    shallow = [run.store, *run.store.glob("*"), *run.store.glob("*/*.lock")]
    deep = [run.directory, kfp_root / run.id, kfp_root / "workspace" / run.id, *run.store.glob("*/*.partial")]
    for path in [*shallow, *(path for folder in deep for path in (folder, *folder.rglob("*")))]:
        if not path.is_symlink():
            os.chown(path, -1, 0)
            path.chmod(path.stat().st_mode | (0o070 if path.is_dir() else 0o060))


def _bytes(quantity: str) -> int:
    number, unit = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", quantity).groups()  # type: ignore[union-attr]
    return int(float(number) * _UNITS[unit])
