"""Jobs on a Ray cluster, the counterpart of `documents.run_parallel` for many machines that share a disk.

Jobs read and write files that every machine sees at the same path, and doing one twice is harmless, so a job whose
machine is lost is simply done again elsewhere.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

from components.config import ConfigError

ATTEMPTS = 10   # more than that many machines lost under one job is no accident


def run_on_ray(function: Callable[[Any], Any], jobs: list[Any], address: str) -> Iterator[Any]:
    """Call a picklable function on every job, one CPU each; yield results as jobs finish. The first failure stops the
    rest.

    Args:
        address: of the cluster: `auto` inside of it, or `host:port`.

    Raises:
        ConfigError: Ray is not installed, or nobody listens at the address.
    """
    try:
        import ray
    except ImportError:
        raise ConfigError("ray: not installed; pip install 'mimo-pipeline[ray]'") from None
    if not ray.is_initialized():
        _check(address)
        ray.init(address=address, log_to_driver=False)
    call = ray.remote(num_cpus=1, max_retries=ATTEMPTS)(_call)
    shared = ray.put(function)
    pending = [call.remote(shared, job) for job in jobs]
    try:
        while pending:
            finished, pending = ray.wait(pending)
            for result in finished:
                yield ray.get(result)
    finally:
        for reference in pending:
            ray.cancel(reference, force=True)


def _check(address: str) -> None:
    """Ray itself would try for minutes."""
    host, colon, port = address.rpartition(":")
    if colon and port.isdigit():
        try:
            socket.create_connection((host, int(port)), timeout=10).close()
        except OSError as error:
            raise ConfigError(f"ray: no cluster at {address!r}: {error}") from None


def _call(function: Callable[[Any], Any], job: Any) -> Any:
    return function(job)
