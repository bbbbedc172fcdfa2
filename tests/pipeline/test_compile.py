"""The compiled files: reproducible, clean, and placed as the profile says."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from components.config import ConfigError
from pipelines.compile import cluster_images, compile_profile
from pipelines.dag import NODES
from pipelines.lint import lint, lint_file
from pipelines.placement import is_pinned
from pipelines.profile import load_profile, profile_names

Documents = tuple[dict[str, Any], dict[str, Any]]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Path]]:
    folder = tmp_path_factory.mktemp("compiled")
    return {name: compile_profile(load_profile(name), folder, allow_unpinned=True) for name in profile_names()}


def _documents(path: Path) -> Documents:
    spec, platform = yaml.safe_load_all(path.read_text())
    return spec, platform


def _body(path: Path) -> bytes:
    """The file without KFP's comment header, which prints dictionaries in random order."""
    return b"\n".join(line for line in path.read_bytes().split(b"\n") if not line.startswith(b"#"))


def test_one_file_a_node_and_one_for_the_recipe(compiled) -> None:
    for paths in compiled.values():
        assert {path.stem for path in paths} == {"reasoning_model", *NODES}


def test_compiling_again_gives_the_same_bytes(compiled, tmp_path: Path) -> None:
    again = compile_profile(load_profile("gpu"), tmp_path, allow_unpinned=True)
    assert [_body(path) for path in again] == [_body(path) for path in compiled["gpu"]]


def test_what_we_compile_is_clean(compiled) -> None:
    assert [finding for paths in compiled.values() for path in paths for finding in lint_file(path)] == []


def test_every_node_waits_for_validation(compiled) -> None:
    for path in compiled["smoke"]:
        tasks = _documents(path)[0]["root"]["dag"]["tasks"]
        for name, task in tasks.items():
            if name != "validate" and not name.startswith("importer"):
                assert "validate" in task["dependentTasks"], (path.name, name)


def test_the_recipe_is_wired_as_the_graph_says(compiled) -> None:
    tasks = _documents(compiled["smoke"][0])[0]["root"]["dag"]["tasks"]
    for node in NODES.values():
        artifacts = tasks[node.task_name]["inputs"].get("artifacts", {})
        wired = {
            key: f"{source['taskOutputArtifact']['producerTask'].replace('-', '_')}."
            f"{source['taskOutputArtifact']['outputArtifactKey']}"
            for key, source in artifacts.items()
        }
        assert wired == node.inputs
        assert tasks[node.task_name]["inputs"]["parameters"]["config"] == {
            "componentInputParameter": f"{node.name}_config"
        }


@pytest.mark.parametrize("name", ["gpu", "mimo-7b"])
def test_gpu_stages_get_what_the_profile_asks(compiled, name: str) -> None:
    profile = load_profile(name)
    for path in compiled[name][1:]:
        node = path.stem
        asked = profile.placement[node]
        spec, platform = _documents(path)
        settings = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
        own = f"exec-{NODES[node].stage_name.replace('_', '-')}"
        groups = [item for item in spec["components"].values() if own in _executors(spec, item)]
        shares = [item for item in spec["components"].values() if "exec-share" in _executors(spec, item)]
        assert len(groups) == 1 and len(shares) == (asked.ranks > 1)
        for group in groups + shares:
            executor, task = _executors(spec, group).popitem()
            container = spec["deploymentSpec"]["executors"][executor]["container"]
            inputs = group["inputDefinitions"]["parameters"]
            defaults = {key: value.get("defaultValue") for key, value in inputs.items()}
            assert (defaults["cpu"], defaults["memory"]) == (asked.cpu, asked.memory)
            assert ("accelerator" in container["resources"]) == bool(asked.accelerators)
            if asked.accelerators:
                assert defaults["accelerators"] == str(asked.accelerators)
                mount = settings[executor]["emptyDirMounts"][0]
                assert (mount["mountPath"], mount["medium"]) == ("/dev/shm", "Memory")
                assert mount["sizeLimit"] == asked.shared_memory
                assert [item["key"] for item in settings[executor]["tolerations"]] == ["nvidia.com/gpu"]
            timeout = int(settings[executor]["activeDeadlineSeconds"])
            assert timeout == asked.timeout_h * 3600
            assert task["retryPolicy"]["maxRetryCount"] == asked.retries
            assert int(task["retryPolicy"]["backoffMaxDuration"][:-1]) >= timeout * (asked.retries + 1)
            assert settings[executor]["pvcMount"][0]["mountPath"] == profile.storage.path
            uncached = node in ("ingestion", "problems", "publishing")
            assert bool(task["cachingOptions"].get("enableCache")) != uncached
    assert any(placement.accelerators for placement in profile.placement.values())


def _executors(spec: dict[str, Any], group: dict[str, Any]) -> dict[str, Any]:
    """Executor -> task of the containers that a group runs."""
    tasks = group.get("dag", {}).get("tasks", {}).values()
    found = {spec["components"][task["componentRef"]["name"]].get("executorLabel", ""): task for task in tasks}
    return {label: task for label, task in found.items() if label}


def test_a_shared_stage_loops_over_its_ranks_and_then_ends(compiled) -> None:
    spec, _ = _documents(next(path for path in compiled["mimo-7b"] if path.stem == "decontamination"))
    components = spec["components"]
    loop = components["comp-decontamination-shares"]["dag"]["tasks"]["for-loop-2"]
    ranks = load_profile("mimo-7b").placement["decontamination"].ranks
    assert yaml.safe_load(loop["parameterIterator"]["items"]["raw"]) == list(range(ranks))
    (share,) = components["comp-decontamination-share"]["dag"]["tasks"].values()
    given = {key: source["runtimeValue"]["constant"] for key, source in share["inputs"]["parameters"].items()
             if key in ("stage", "world_size", "names")}
    assert given == {"stage": "decontamination", "world_size": ranks, "names": ["documents", "evaluation"]}
    assert set(share["inputs"]["artifacts"]) == {"first", "second"}
    last = components["comp-decontamination-2"]["dag"]["tasks"]["decontamination"]
    assert last["dependentTasks"] == ["decontamination-shares"]


def test_a_release_needs_digests(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"images\.train: mimo-train has no digest(.|\n)*--allow-unpinned"):
        compile_profile(load_profile("gpu"), tmp_path)
    digest = "registry.example/team/mimo@sha256:" + "0" * 64
    pinned = load_profile("gpu", [f'images.data="{digest}"', f'images.train="{digest}"'])
    assert all(is_pinned(reference) for reference in cluster_images(pinned).values())
    path = compile_profile(pinned, tmp_path)[0]
    assert lint_file(path, release=True) == []
    assert {finding.rule for finding in lint_file(_with_tag(path), release=True)} == {"unpinned-image"}


def _with_tag(path: Path) -> Path:
    changed = path.with_name("tagged.yaml")
    changed.write_text(path.read_text().replace("@sha256:" + "0" * 64, ":latest"))
    return changed


def _a_task(spec: dict[str, Any], name: str = "rl") -> dict[str, Any]:
    group = next(item for item in spec["components"].values() if name in item.get("dag", {}).get("tasks", {}))
    return group["dag"]["tasks"][name]


def _drop_group_input(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    group = next(item for item in spec["components"].values() if "rl" in item.get("dag", {}).get("tasks", {}))
    del group["inputDefinitions"]["parameters"]["accelerators"]


def _drop_resource_channel(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    del _a_task(spec)["inputs"]["parameters"]["pipelinechannel--accelerators"]


def _drop_shared_memory(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    del platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-rl"]["emptyDirMounts"]


def _default_retry(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    _a_task(spec)["retryPolicy"]["backoffMaxDuration"] = "3600s"   # what set_retry(3) compiles to


def _short_retry(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    _a_task(spec)["retryPolicy"]["backoffMaxDuration"] = "7200s"


def _no_timeout(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    del platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-rl"]["activeDeadlineSeconds"]


def _cached_exit(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    _a_task(spec)["triggerPolicy"] = {"strategy": "ALL_UPSTREAM_TASKS_COMPLETED"}


def _cached_launcher(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    spec["components"]["comp-launch-training"] = spec["components"][_a_task(spec)["componentRef"]["name"]]
    _a_task(spec)["componentRef"]["name"] = "comp-launch-training"


def _cached_validation(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    spec["root"]["dag"]["tasks"]["validate"]["cachingOptions"] = {"enableCache": True}


def _install(spec: dict[str, Any], platform: dict[str, Any]) -> None:
    command = spec["deploymentSpec"]["executors"]["exec-rl"]["container"]["command"]
    command[2] = "python3 -m pip install --quiet 'kfp==2.17.0' && " + command[2]


@pytest.mark.parametrize(
    ("rule", "broken"),
    [
        ("dangling-input", _drop_group_input),
        ("dangling-input", _drop_resource_channel),
        ("no-shared-memory", _drop_shared_memory),
        ("retry-maximum", _default_retry),
        ("retry-maximum", _short_retry),
        ("retry-maximum", _no_timeout),
        ("cached-effect", _cached_exit),
        ("cached-effect", _cached_launcher),
        ("cached-effect", _cached_validation),
        ("runtime-install", _install),
    ],
)
def test_each_rule_finds_what_it_is_for(compiled, rule: str, broken) -> None:
    path = next(path for path in compiled["gpu"] if path.stem == "rl")
    spec, platform = (copy.deepcopy(document) for document in _documents(path))
    assert list(lint(spec, platform)) == []
    broken(spec, platform)
    assert {found[0] for found in lint(spec, platform)} == {rule}


def test_kfp_itself_compiles_the_dangling_input_we_look_for(tmp_path: Path) -> None:
    """Resources by parameter inside a group: no word from KFP, and a task that can never start."""
    from kfp import compiler, dsl

    @dsl.component(base_image="python", install_kfp_package=False)
    def train() -> None:
        pass

    @dsl.component(base_image="python", install_kfp_package=False)
    def cleanup() -> None:
        pass

    @dsl.pipeline(name="grouped")
    def grouped(memory: str = "8Gi") -> None:
        with dsl.ExitHandler(cleanup().set_caching_options(False)):
            train().set_memory_limit(memory)

    path = tmp_path / "grouped.yaml"
    compiler.Compiler().compile(grouped, str(path))
    assert {finding.rule for finding in lint_file(path)} == {"dangling-input"}
