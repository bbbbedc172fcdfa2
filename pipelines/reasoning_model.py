"""The recipe as one pipeline: it composes the stages' pipelines along `dag.NODES` and holds nothing else.

    web pages -> … -> mixing -> pretraining 1, 2, 3 = Base -> sft, rl_zero -> rl -> evaluation -> gate -> publishing
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from kfp.dsl.graph_component import GraphComponent

from components.config import ConfigError, StageConfig, build, digest
from pipelines.dag import Node, Selection, node_kind, select
from pipelines.placement import Site, place_helper
from pipelines.profile import Profile
from pipelines.stages import Settings, StagePipeline, import_artifact, make_pipeline, parameter
from pipelines.stages.validation import validate

NAME = "reasoning-model"


def build_recipe(profile: Profile, images: Mapping[str, str], selection: Selection | None = None) -> GraphComponent:
    """The pipeline of a profile, or of the part of the recipe that `selection` names.

    Its parameters: `store`, `<node>_config` for each node and `<node>_<output>_uri` for each given artifact.

    Args:
        images: stage name -> image reference.
    """
    part = selection or select()
    settings = {name: settings_of(profile, node, images) for name, node in part.nodes.items()}
    stages = {name: stage_pipeline(node.stage_name).nested(settings[name]) for name, node in part.nodes.items()}

    def body(values: Mapping[str, Any]) -> None:
        check = validate(
            stages={name: node.stage_name for name, node in part.nodes.items()},
            **{name: values[f"{name}_config"] for name in part.nodes},
        )
        place_helper(check, "validate", images["ingestion"])
        artifacts = {edge: import_artifact(values[_uri(edge)], node_kind(edge), f"given: {edge}")
                     for edge in part.given}
        for name, node in part.nodes.items():
            task = stages[name](
                config=values[f"{name}_config"],
                store=values["store"],
                **{key: artifacts[edge] for key, edge in node.inputs.items()},
            )
            task.set_display_name(name)
            task.after(check)
            artifacts |= {f"{name}.{output}": task.outputs[output] for output in node.stage.outputs}

    parameters: list[inspect.Parameter] = [parameter(_uri(edge), str, uri) for edge, uri in part.given.items()]
    parameters += [parameter(f"{name}_config", dict, dict(item.config)) for name, item in settings.items()]
    parameters.append(parameter("store", str, profile.storage.path))
    return make_pipeline(NAME, f"The MiMo-7B recipe, profile {profile.name}", body, parameters)


def build_stage(profile: Profile, images: Mapping[str, str], node: Node) -> GraphComponent:
    """One node's pipeline for itself, to be submitted from the UI."""
    return stage_pipeline(node.stage_name).standalone(settings_of(profile, node, images))


def stage_pipeline(stage: str) -> StagePipeline:
    """The `StagePipeline` of `pipelines/stages/<stage>.py`."""
    return importlib.import_module(f"pipelines.stages.{stage}").pipeline


def settings_of(profile: Profile, node: Node, images: Mapping[str, str]) -> Settings:
    """What of `profile` is compiled into `node`."""
    site = Site(images[node.stage_name], profile.placement[node.name], profile.storage)
    return Settings(node, config_values(profile.configs[node.name], node.name), site, images["ingestion"])


def config_values(config: StageConfig, where: str) -> dict[str, Any]:
    """A config as the JSON object a pipeline parameter can hold: KFP has no null, so null fields are left out.

    Raises:
        ConfigError: a field is null where its default is not, which could not be told from the default.
    """
    values = config.model_dump(mode="json", exclude_none=True)
    if digest(build(type(config), values, where).model_dump(mode="json")) != digest(config.model_dump(mode="json")):
        nulls = [name for name in type(config).model_fields if getattr(config, name) is None]
        raise ConfigError(f"{where}: {', '.join(nulls) or 'a nested field'} cannot be null in a pipeline")
    return values


def _uri(edge: str) -> str:
    return edge.replace(".", "_") + "_uri"
