"""What the images are: small, labelled, listed, and fit for pods that may do very little."""

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import BASE, DOCKER, PREFIX, PROJECT, build, inside, sh

LIMITS_MB = {"data": 500, "judge": 200}  # over the base
ALL_IMAGES = ("data", "judge", "train")
IMPORT_ALL = """
import importlib, pkgutil, sys
import components
LEFT_OUT = {packages}
for module in pkgutil.walk_packages(components.__path__, "components."):
    name = module.name
    if name.startswith(LEFT_OUT) or name.rpartition(".")[2] in {scripts}:
        continue
    importlib.import_module(name)
for name in {more}:
    importlib.import_module(name)
print("imported", len([name for name in sys.modules if name.startswith("components")]))
"""
NOT_IMPORTED = {"component", "__main__", "make_sample", "vllm_engine", "vllm_worker"}  # KFP's, programs, for GPUs
# An image's code: everything but what its stages never touch, and what it imports when it is needed.
NOT_THERE = {
    "data": ("components.model", "components.training", "components.rollout", "components.publishing",
             "components.evaluation.stage", "components.evaluation.sampling", "components.data.tagger"),
    "train": ("components.data",),
    "judge": ("components.model", "components.training", "components.rollout", "components.publishing",
              "components.evaluation", "components.data"),
}  # fmt: skip
ON_DEMAND = {
    "data": ("datasets", "reasoning_gym"),
    "train": ("torch", "transformers", "torchao", "components.data.tagger.stage", "components.data.tagger.training"),
    "judge": ("uvicorn",),
}


@pytest.mark.parametrize("name", LIMITS_MB)
def test_what_it_adds_to_its_base(images: dict[str, Any], name: str) -> None:
    added = (images[name]["Size"] - images["base"]["Size"]) / 1e6
    assert 10 < added <= LIMITS_MB[name]


@pytest.mark.parametrize("name", ALL_IMAGES)
def test_labels_user_and_bill_of_materials(images: dict[str, Any], name: str) -> None:
    config = images[name]["Config"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["licenses"] == "Apache-2.0" and labels["title"] == f"mimo-{name}" and labels["source"]
    assert re.match(r"[0-9a-f]{40}|unknown", labels["revision"])
    assert labels["base.digest"] == images["base"]["Id"]
    assert config["User"] == "1001:0"
    bom = json.loads((PROJECT / f"build/images/{PREFIX}-{name}.cdx.json").read_text())
    assert (bom["bomFormat"], bom["specVersion"]) == ("CycloneDX", "1.5")
    parts = {part["purl"] for part in bom["components"]}
    lock = (PROJECT / f"images/{name}/requirements.lock").read_text().splitlines()[1:]
    listed = {re.sub(r"%2B.*", "", purl) for purl in parts}  # torch's local version
    assert {f"pkg:pypi/{line.replace('==', '@')}" for line in lock} <= listed
    assert any(purl.startswith("pkg:deb/debian/libc6@") for purl in parts)


@pytest.mark.parametrize("name", ALL_IMAGES)
def test_all_its_code_imports_in_a_pod(images: dict[str, Any], name: str) -> None:
    script = IMPORT_ALL.format(packages=NOT_THERE[name], more=ON_DEMAND[name], scripts=NOT_IMPORTED)
    assert inside(name, "python", "-", script=script).startswith("imported ")


@pytest.mark.parametrize("name", ALL_IMAGES)
def test_nothing_can_be_installed_or_changed_in_it(images: dict[str, Any], name: str) -> None:
    script = """
for tool in pip pip3 gcc cc make; do if command -v $tool; then exit 1; fi; done
python -c 'import pip' 2>/dev/null && exit 1
find / -xdev -writable ! -path '/proc/*' ! -path '/tmp*' ! -path '/dev/*' ! -type l 2>/dev/null
exit 0
"""
    writable = [line for line in inside(name, "sh", script=script).splitlines() if line]
    assert [path for path in writable if not path.startswith(("/run/lock", "/var/tmp"))] == []


def test_a_change_of_code_rebuilds_one_layer(images: dict[str, Any], tmp_path: Path) -> None:
    """In a copy of what a build reads; the environments come from the cache."""
    shutil.copytree(PROJECT / "images", tmp_path / "images", copy_function=_link)
    shutil.copytree(PROJECT / "components", tmp_path / "components", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "LICENSE", tmp_path)
    shutil.copy(PROJECT / ".dockerignore", tmp_path)
    stage = tmp_path / "components/data/filtering/stage.py"
    stage.write_text(stage.read_text() + "\n# changed\n")
    start = time.monotonic()
    text = build("data", project=tmp_path, prefix="mimo-changed", out=tmp_path / "out")
    assert time.monotonic() - start < 60
    cached = set(re.findall(r"^#(\d+) CACHED", text, re.MULTILINE))
    steps = dict(re.findall(r"^#(\d+) \[(?:packages|stage-1) \d+/\d+\] (\w+ [^ \n]+)", text, re.MULTILINE))
    assert {step for number, step in steps.items() if number not in cached} <= {
        "COPY components",
        f"FROM docker.io/library/{BASE}",
    }
    before, after = images["data"]["RootFS"]["Layers"], json.loads(sh(DOCKER, "image", "inspect", "mimo-changed-data"))
    assert after[0]["RootFS"]["Layers"][:-1] == before[:-1]
    sh(DOCKER, "image", "rm", "mimo-changed-data")


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)
