"""A fix for kfp.local's DockerRunner, which loses exit codes (kubeflow/pipelines#13332).

kfp 2.17.0 starts a task's container with `auto_remove`. One that fails at once may be gone before its status is read,
and then counts as a success. Here the container is removed after its status was read. `keep_exit_codes` does nothing
where kfp no longer asks for `auto_remove`.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def is_needed() -> bool:
    """Whether this kfp still has containers removed before their status is read."""
    from kfp.local import docker_task_handler

    return "auto_remove=True" in inspect.getsource(docker_task_handler.run_docker_container)


@contextlib.contextmanager
def keep_exit_codes() -> Iterator[None]:
    """Let kfp.local run its containers through `run_docker_container` below, as long as it needs that."""
    from kfp.local import docker_task_handler

    if not is_needed():
        yield
        return
    original = docker_task_handler.run_docker_container
    docker_task_handler.run_docker_container = run_docker_container
    try:
        yield
    finally:
        docker_task_handler.run_docker_container = original


def run_docker_container(
    client: Any, image: str, command: Sequence[str], volumes: Mapping[str, Any], **arguments: Any
) -> int:
    """Stand in for kfp's function of this name: run a container to its end, print its output, return its exit status.

    Raises:
        docker.errors.DockerException: the engine could not run it. The image is never pulled.
    """
    import docker

    container = client.containers.create(image=image, command=list(command), volumes=dict(volumes), **arguments)
    try:
        container.start()
        for line in container.logs(stream=True, follow=True):
            print(line.decode(errors="replace"), end="")
        return int(container.wait()["StatusCode"])
    finally:
        with contextlib.suppress(docker.errors.NotFound, docker.errors.APIError):
            container.remove(force=True)
