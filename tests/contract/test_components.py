"""The KFP faces agree with the registry: a stage that gains an input must gain it everywhere."""

import importlib
import inspect

import pytest

from components.kfp_entry import _integers
from components.registry import STAGES
from pipelines.dag import NODES
from pipelines.stages import OUTPUT_SUFFIX, artifact_class
from pipelines.stages.validation import validate


@pytest.mark.parametrize("name", STAGES)
def test_component_has_the_stage_s_inputs_and_outputs(name: str) -> None:
    stage = STAGES[name]
    component = getattr(importlib.import_module(f"{stage.package}.component"), name)
    spec = component.component_spec
    inputs = {key: item for key, item in spec.inputs.items() if key not in ("config", "store")}
    assert {key: item.optional for key, item in inputs.items()} == {
        key: kind.endswith("?") for key, kind in stage.inputs.items()
    }
    outputs = {key: item for key, item in spec.outputs.items() if key not in ("metrics", "report")}
    assert set(outputs) == {key + OUTPUT_SUFFIX for key in stage.outputs}
    for key, item in inputs.items():
        assert item.type.startswith(artifact_class(stage.inputs[key]).schema_title)
    for key, item in outputs.items():
        assert item.type.startswith(artifact_class(stage.outputs[key.removesuffix(OUTPUT_SUFFIX)]).schema_title)
    container = spec.implementation.container
    assert container.image == f"mimo-{stage.image}"
    assert "pip install" not in " ".join([*container.command, *container.args])


@pytest.mark.parametrize("name", STAGES)
def test_component_hands_every_artifact_to_the_stage(name: str) -> None:
    """Call the body with tokens in place of artifacts and see them arrive."""
    stage = STAGES[name]
    function = getattr(importlib.import_module(f"{stage.package}.component"), name).python_func
    seen = {}

    def run_stage(stage_name, config, store, inputs, outputs, metrics, report):
        seen.update(stage=stage_name, inputs=inputs, outputs=outputs, rest=(config, store, metrics, report))

    arguments = {key: f"<{key}>" for key in inspect.signature(function).parameters}
    entry = importlib.import_module("components.kfp_entry")
    original, entry.run_stage = entry.run_stage, run_stage
    try:
        function(**arguments)
    finally:
        entry.run_stage = original
    assert seen["stage"] == name
    assert seen["inputs"] == {key: f"<{key}>" for key in stage.inputs}
    assert seen["outputs"] == {key: f"<{key}{OUTPUT_SUFFIX}>" for key in stage.outputs}
    assert seen["rest"] == ("<config>", "<store>", "<metrics>", "<report>")


def test_validation_knows_every_node() -> None:
    assert list(inspect.signature(validate.python_func).parameters) == ["stages", *NODES]


def test_kfp_s_floats_are_whole_numbers_again() -> None:
    given = {"a": 2.0, "b": [1.0, 1.5, True, "2.0"], "c": {"d": -3.0, "e": 1e300}}
    assert repr(_integers(given)) == repr({"a": 2, "b": [1, 1.5, True, "2.0"], "c": {"d": -3, "e": int(1e300)}})
