"""From a push to a release: `mimo images lock` against a real registry on this machine, and what compiles then."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
from conftest import DOCKER, PROJECT, sh

from components.config import ConfigError
from pipelines import compile as compiling
from pipelines.compile import compile_profile
from pipelines.images import lock_images, read_lock
from pipelines.lint import lint_file
from pipelines.profile import load_profile

PORT = 5987
REGISTRY = f"127.0.0.1:{PORT}"  # of this machine: engines ask such a one without TLS


@pytest.fixture(scope="module")
def registry(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    sh(PROJECT / ".ci/debian-packages", "docker-registry:/usr/bin/docker-registry")
    folder = tmp_path_factory.mktemp("registry")
    settings = folder / "config.yml"
    settings.write_text(
        f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {folder}}}}}\nhttp: {{addr: '{REGISTRY}'}}\n"
    )
    process = subprocess.Popen(["/usr/bin/docker-registry", "serve", settings], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://{REGISTRY}/v2/", timeout=2)
            break
        except OSError:
            assert process.poll() is None and time.monotonic() < deadline, "docker-registry does not answer"
            time.sleep(0.1)
    yield REGISTRY
    process.terminate()
    process.wait()


@pytest.fixture
def pushed(registry: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Three images of one small file each, one of them not pushed: image name -> reference."""
    references = {name: f"{registry}/team/mimo-{name}:1" for name in ("data", "train", "judge")}
    for name, reference in references.items():
        (tmp_path / "Dockerfile").write_text(f"FROM scratch\nCOPY Dockerfile /{name}\n")
        sh(DOCKER, "build", "-q", "-t", reference, tmp_path, env={**os.environ, "DOCKER_BUILDKIT": "1"})
        if name != "judge":
            sh(DOCKER, "push", reference)
    yield references
    sh(DOCKER, "image", "rm", *references.values())


def test_a_release_compiles_with_what_was_pushed_and_with_nothing_else(
    pushed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = tmp_path / "images.lock"
    client = docker.from_env()
    with pytest.raises(ConfigError, match=r"mimo-judge:1: has no digest.*docker push"):
        lock_images(client, pushed.values(), lock)
    with pytest.raises(ConfigError, match=r"absent:1: not in the container engine"):
        lock_images(client, ["absent:1"], lock)
    assert not lock.exists()  # all or nothing
    found = lock_images(client, [pushed["data"], pushed["train"]], lock)
    for name in ("data", "train"):  # the registry itself says so
        request = urllib.request.Request(
            f"http://{REGISTRY}/v2/team/mimo-{name}/manifests/1",
            headers={"Accept": "application/vnd.docker.distribution.manifest.v2+json"},
        )
        with urllib.request.urlopen(request) as answer:
            assert found[f"{REGISTRY}/team/mimo-{name}"] == answer.headers["Docker-Content-Digest"]
    assert read_lock(lock) == found
    monkeypatch.setattr(compiling, "read_lock", lambda: read_lock(lock))
    overrides = [f'images.{name}="{pushed[name]}"' for name in ("data", "train")]
    paths = compile_profile(load_profile("gpu", overrides), tmp_path / "compiled")
    assert [finding for path in paths for finding in lint_file(path, release=True)] == []
    assert found[f"{REGISTRY}/team/mimo-train"] in paths[0].read_text()
    with pytest.raises(ConfigError, match=r"images\.train: .*mimo-judge:1 has no digest"):
        compile_profile(load_profile("gpu", [overrides[0], f'images.train="{pushed["judge"]}"']), tmp_path / "compiled")
    sh(DOCKER, "push", pushed["judge"])
    assert {*lock_images(client, [pushed["judge"]], lock)} == {f"{REGISTRY}/team/mimo-judge"}
    assert len(read_lock(lock)) == 3
    other = "0" * 64
    lock.write_text(json.dumps({f"{REGISTRY}/team/mimo-data": f"sha256:{other[1:]}"}))
    with pytest.raises(ConfigError, match=r"mimo-data: 'sha256:0+' is no digest"):
        read_lock(lock)


def test_the_command_says_what_it_cannot_lock(engine: str) -> None:
    command = [sys.executable, "-m", "pipelines.cli", "images", "lock", "absent.example/mimo-data"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "absent.example/mimo-data: not in the container engine" in done.stderr
