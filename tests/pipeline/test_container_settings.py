"""What a profile asks for, as arguments of a container; what an engine complains of, in words; names of images."""

import os
from pathlib import Path

import docker
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.config import build
from pipelines.containers import _named, explain, limits
from pipelines.images import pin, repository_of
from pipelines.profile import Placement

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
DIGEST = "sha256:" + "5" * 64


@given(st.integers(1, 10**6), st.sampled_from(["", "K", "Ki", "M", "Mi", "G", "Gi", "Ti"]), st.integers(1, 10**6))
def test_limits_are_what_is_asked_for_but_never_more_than_the_machine(number: int, unit: str, milli: int) -> None:
    found = limits(build(Placement, {"memory": f"{number}{unit}", "cpu": f"{milli}m"}, "test"))
    factor = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}[unit]
    assert found["mem_limit"] == found["memswap_limit"] == min(number * factor, MACHINE)
    assert found["nano_cpus"] == pytest.approx(min(milli * 10**6, (os.cpu_count() or 1) * 10**9), abs=1)


def test_accelerators_and_shared_memory_are_asked_of_the_engine() -> None:
    found = limits(build(Placement, {"accelerators": 2, "shared_memory": "16Gi"}, "test"))
    (request,) = found["device_requests"]
    assert (request["Count"], request["Capabilities"]) == (2, [["gpu"]])
    assert found["shm_size"] == 16 << 30


@pytest.mark.parametrize(
    ("path", "folder"),
    [("/a/b/*.gz", "/a/b"), ("/a/b/c*/d.gz", "/a/b"), ("/a/b-[0-9].gz", "/a"), ("/a/b", "/a/b")],
)
def test_of_a_pattern_the_folder_it_looks_in_is_given_to_tasks(path: str, folder: str) -> None:
    assert list(_named({"sources": [{"path": path}]})) == [Path(folder)]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("write /var/lib/docker/x: no space left on device", r"disk is full.*docker system df"),
        ('could not select device driver "" with capabilities: [[gpu]]', "no GPUs"),
        ("OCI runtime create failed:\nexec: sh: not found", "the container engine: OCI runtime .*not found"),
    ],
)
def test_an_engine_s_complaint_becomes_one_line(said: str, told: str) -> None:
    text = explain(docker.errors.APIError("500 Server Error", explanation=said))
    assert "\n" not in text
    with pytest.raises(RuntimeError, match=told):
        raise RuntimeError(text)


@pytest.mark.parametrize("name", ["mimo-data", "registry:5000/team/mimo-data", "a.b/c/d"])
@pytest.mark.parametrize("tag", ["", ":1.2", f"@{DIGEST}", f":1.2@{DIGEST}"])
def test_repositories_are_read_out_of_references(name: str, tag: str) -> None:
    assert repository_of(name + tag) == name
    pinned = pin(name + tag, {name: DIGEST})
    assert pinned.endswith(f"@{DIGEST}") and repository_of(pinned) == name
    assert pin(name + tag, {"other": DIGEST}) == name + tag
