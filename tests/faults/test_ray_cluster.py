"""Deduplication on a Ray cluster of two workers on this machine: the bytes that one process gives, also when one of the
two is lost on the way."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from components.artifacts import describe_shard, open_artifact, write_manifest
from components.config import ConfigError
from components.data.documents import DOCUMENT_SCHEMA, write_parquet
from components.data.ray_jobs import run_on_ray
from components.runner import execute

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),   # jobs import this module
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_raylet_start_wait_time_s": "60",
}


def _ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _start(log: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """A node with one CPU. On a busy machine Ray's agents miss a deadline of 15 s that it has no setting for, and the
    node ends itself; then another is started."""
    command = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1",
               "--object-store-memory=80000000", *arguments]   # fmt: skip
    for _ in range(8):
        with log.open("wb") as file:
            process = subprocess.Popen(command, stdout=file, stderr=file, env=ENVIRONMENT)
        deadline = time.monotonic() + 90
        while process.poll() is None and time.monotonic() < deadline:
            if "Ray runtime started" in log.read_text():
                return process
            time.sleep(0.2)
        _kill(process)
    raise RuntimeError(f"Ray does not start: {log.read_text()[-2000:]}")


def _kill(node: subprocess.Popen[bytes]) -> None:
    """A node and all it has started, at once."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue   # gone
        children.setdefault(parent, []).append(int(entry.name))
    family = [node.pid]
    for pid in family:
        family += children.get(pid, [])
    for pid in family:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    node.wait()


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address of a head with one CPU, and a second node with another."""
    root = tmp_path_factory.mktemp("ray")
    port, client = _ports(2)
    head = _start(root / "head.log", "--head", f"--port={port}", f"--ray-client-server-port={client}",
                  "--include-dashboard=false", f"--temp-dir=/tmp/ray-{port}")   # fmt: skip
    nodes = [head]
    try:
        nodes.append(_start(root / "worker.log", f"--address=127.0.0.1:{port}"))
        yield f"127.0.0.1:{port}", nodes[1]
    finally:
        ray.shutdown()
        for node in reversed(nodes):
            _kill(node)


def _documents(directory: Path) -> Path:
    generator = random.Random(0)
    directory.mkdir()
    paths, texts = [], []
    for shard in range(6):
        texts += [" ".join(generator.choices("abcdefghijkl", k=40)) for _ in range(300)]
        texts += [f"{generator.choice(texts)} again" for _ in range(100)]
        rows = [{"id": f"{400 * shard + n:016x}", "url": f"https://x/{generator.randrange(20_000)}", "source": "",
                 "title": "", "text": text, "formulas": n % 3, "code_blocks": 0, "thread": False, "language": "",
                 "domain": "", "scores": {}} for n, text in enumerate(texts[-400:])]   # fmt: skip
        paths.append(directory / f"part-{shard:05d}.parquet")
        write_parquet(paths[-1], rows, DOCUMENT_SCHEMA)
    shards = [describe_shard(directory, path, 400) for path in paths]
    write_manifest(directory, kind="documents", stage="test", shards=shards, totals={}, config_digest="", parents={})
    return directory


def _where(seconds: float) -> str:
    time.sleep(seconds)
    return str(ray.get_runtime_context().get_node_id())


def _fail(job: Any) -> None:
    raise ValueError(f"job {job} is wrong")


def test_two_workers_on_a_cluster_give_the_bytes_of_one_process(
    cluster: tuple[str, subprocess.Popen[bytes]], tmp_path: Path
) -> None:
    address, node = cluster
    given = {"documents": _documents(tmp_path / "documents")}
    small = {"memory_mb": 1}   # so that there are parts and groups to share
    alone = execute("deduplication", {**small, "workers": 1}, given, tmp_path / "alone")
    assert len(set(run_on_ray(_where, [1.0] * 6, address))) == 2, "both work"
    with pytest.raises(ValueError, match="job 3 is wrong"):
        list(run_on_ray(_fail, [3], address))
    shared = execute("deduplication", {**small, "ray": address}, given, tmp_path / "shared")
    jobs = run_on_ray(_where, [1.0] * 8, address)
    next(jobs)
    _kill(node)
    assert len(list(jobs)) == 7, "what the lost node had in hand is done by the other"
    after = execute("deduplication", {**small, "ray": address}, given, tmp_path / "after")
    for output in ("documents", "index"):
        expected = open_artifact(alone.output(output)).fingerprint
        assert [open_artifact(one.output(output)).fingerprint for one in (shared, after)] == [expected] * 2
    ray.shutdown()
    with pytest.raises(ConfigError, match=r"ray: no cluster at '127\.0\.0\.1:1'"):
        list(run_on_ray(_where, [0.0], "127.0.0.1:1"))
