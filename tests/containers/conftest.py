"""What the container tests stand on: an engine of their own, a base image made here, the images, and one real run.

Nothing here is skipped where it cannot be had: then the tests fail. What was made is kept in `build/` and
`images/wheelhouse/`, so that the second time takes a fraction.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.runs import Run, find_run

PROJECT = Path(__file__).parent.parent.parent
MINI = PROJECT / "tests" / "pipeline" / "mini.toml"
BASE = "mimo-base:stand-in"
PREFIX = "mimo-test"
IMAGES = [f'images.{name}="{PREFIX}-{name}"' for name in ("data", "train")]
SHOWN = "shown.txt"  # in the folder of the runs: what the first one printed
DOCKER = "/usr/bin/docker"  # another client that stands first on PATH may lack BuildKit
# As a pod is run by default on clusters that ask for the restricted profile.
POD = ("--network", "none", "--user", "12345:0", "--read-only", "--tmpfs", "/tmp:exec,mode=1777", "--cap-drop", "ALL",
       "--security-opt", "no-new-privileges", "--memory", "2g")  # fmt: skip


def sh(*command: str | Path, timeout: float = 600, **options: Any) -> str:
    """The standard output of a command that must succeed."""
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    done = subprocess.run([*map(str, command)], text=True, timeout=timeout, check=False, **streams)
    assert done.returncode == 0, f"{' '.join(map(str, command))}: {done.stdout[-3000:]}{(done.stderr or '')[-3000:]}"
    return done.stdout.strip()


def build(*images: str, project: Path = PROJECT, prefix: str = PREFIX, out: Path = PROJECT / "build/images") -> str:
    """Build images as `make images` does, from the wheelhouse alone; what was printed."""
    command = [project / "images/build", *images, "--base", BASE, "--prefix", prefix, "--accelerator", "cpu"]
    command += ["--docker", DOCKER, "--flags", "--network none", "--out", out]
    done = subprocess.run(["nice", *map(str, command)], capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-5000:]
    return done.stdout + done.stderr


def mimo(root: Path, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """A `mimo` command on the runs below `root`."""
    command = mimo_command(root, *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, **options)


def mimo_command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "pipelines.cli", arguments[0], "--runs", str(root), *arguments[1:]]


def run_arguments(*overrides: str) -> list[str]:
    settings = [part for text in (*IMAGES, *overrides) for part in ("--set", text)]
    return ["run", "--profile", str(MINI), "--runner", "docker", *settings]


def inside(image: str, *command: str, script: str = "") -> str:
    """What a command prints in a container that is confined like a pod."""
    first, *rest = command
    return sh(DOCKER, "run", "--rm", "-i", *POD, "--entrypoint", first, f"{PREFIX}-{image}", *rest, input=script)


@pytest.fixture(scope="session")
def engine() -> Iterator[str]:
    """The address of a container engine of these tests' own, which DOCKER_HOST then names."""
    root = PROJECT / "build" / "engine"
    was_there = subprocess.run([PROJECT / ".ci/engine", "running", root], check=False).returncode == 0
    address = sh(PROJECT / ".ci/engine", "start", root).splitlines()[-1]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DOCKER_HOST", address)
        yield address
    if not was_there:
        sh(PROJECT / ".ci/engine", "stop", root)


@pytest.fixture(scope="session")
def images(engine: str) -> dict[str, dict[str, Any]]:
    """Image name -> what the engine says about it; "base" is there too."""
    command = [str(PROJECT / ".ci/wheelhouse"), sys.executable]
    wheels = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    sh(PROJECT / ".ci/engine", "base")
    _, errors = wheels.communicate(timeout=900)
    assert wheels.returncode == 0, errors[-3000:]
    build()
    names = {"base": BASE, **{name: f"{PREFIX}-{name}" for name in ("data", "judge", "train")}}
    return {name: json.loads(sh(DOCKER, "image", "inspect", image))[0] for name, image in names.items()}


@pytest.fixture(scope="session")
def chromium() -> None:
    sh(PROJECT / ".ci/debian-packages", "chromium:/usr/bin/chromium")


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the tests' runs, which share results."""
    return tmp_path_factory.mktemp("runs").resolve()


@pytest.fixture(scope="session")
def finished(images: dict[str, Any], root: Path) -> Run:
    """The mini recipe, whole, each task in a container."""
    result = mimo(root, *run_arguments())
    assert result.returncode == 0, result.stdout + result.stderr
    (root / SHOWN).write_text(result.stdout)
    return find_run(root)
