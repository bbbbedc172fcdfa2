"""One pipeline a stage: with its own parameters and resources, its own form in the UI, and its own rerun.

Each module here holds a `StagePipeline`. Inside the recipe it takes and gives artifacts (`nested`); submitted alone it
takes the URIs of its inputs and checks its config first (`standalone`). Where the profile gives a node several ranks,
as many tasks share its jobs before its own task finishes them (`shares`). All are `@dsl.pipeline`s whose signature is
the component's, without the optional inputs that the node does not use: KFP 2.17 has no optional artifacts in nested
pipelines, neither locally nor on every backend.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Model
from kfp.dsl.base_component import BaseComponent
from kfp.dsl.graph_component import GraphComponent

from components.registry import Stage
from pipelines.dag import Node
from pipelines.placement import Site, place, place_helper
from pipelines.stages.sharing import share
from pipelines.stages.validation import validate

SHARE = ".share"         # after a node's name: a task that does part of its work
OUTPUT_SUFFIX = "_out"   # a component may take and give `documents`: outputs are named documents_out


def artifact_class(kind: str) -> type[dsl.Artifact]:
    """The KFP type of an artifact kind. KFP refuses schema titles of our own; the kind itself is in the manifest."""
    return Model if kind.rstrip("?") == "checkpoint" else Dataset


@dataclass(frozen=True)
class Settings:
    """What is compiled into one node's pipeline."""

    node: Node
    config: Mapping[str, Any]
    site: Site
    data_image: str

    @property
    def parameters(self) -> dict[str, tuple[type, Any]]:
        """Pipeline parameter -> type and default."""
        placement = self.site.placement
        found: dict[str, tuple[type, Any]] = {
            "config": (dict, dict(self.config)),
            "store": (str, self.site.storage.path),
            "cpu": (str, placement.cpu),
            "memory": (str, placement.memory),
        }
        if placement.accelerators:
            found["accelerators"] = (str, str(placement.accelerators))
        return found


@dataclass(frozen=True)
class StagePipeline:
    """Makes the pipelines of a stage from its component."""

    component: BaseComponent

    def nested(self, settings: Settings) -> GraphComponent:
        """The node inside the recipe: artifacts in, artifacts out."""
        node = settings.node
        parameters = [parameter(name, Input[artifact_class(node.stage.inputs[name])])
                      for name in node.inputs]
        parameters += [parameter(name, kind, default) for name, (kind, default) in settings.parameters.items()]
        outputs = _outputs(node.stage)
        shares = self.shares(settings) if settings.site.placement.ranks > 1 else None

        def body(values: Mapping[str, Any]) -> Any:
            artifacts = {name: values[name] for name in node.inputs}
            task = self.component(config=values["config"], store=values["store"], **artifacts)
            place(task, node.name, node.stage_name, settings.site, values)
            if shares is not None:
                task.after(shares(**artifacts, **{name: values[name] for name in settings.parameters}))
            return outputs(*(task.outputs[name + OUTPUT_SUFFIX] for name in node.stage.outputs))

        return make_pipeline(node.task_name, node.stage.summary, body, parameters, outputs)

    def shares(self, settings: Settings) -> GraphComponent:
        """The tasks that share a node's jobs, in a pipeline: the node's own task can wait for that, not for a loop."""
        node, ranks = settings.node, settings.site.placement.ranks
        inputs = [parameter(name, Input[artifact_class(node.stage.inputs[name])]) for name in node.inputs]
        parameters = [parameter(name, kind, default) for name, (kind, default) in settings.parameters.items()]

        def one(values: Mapping[str, Any]) -> None:
            artifacts = dict(zip(("first", "second"), (values[name] for name in node.inputs), strict=False))
            task = share(stage=node.stage_name, config=values["config"], store=values["store"], rank=values["rank"],
                         world_size=ranks, names=list(node.inputs), **artifacts)
            place(task, f"{node.name}{SHARE}", node.stage_name, settings.site, values)

        # a pipeline again: KFP loses parameters of resources inside a loop
        body = make_pipeline(f"{node.task_name}-share", node.stage.summary, one,
                             [*inputs, parameter("rank", int), *parameters])

        def all_(values: Mapping[str, Any]) -> None:
            with dsl.ParallelFor(list(range(ranks)), name=f"{node.task_name}-ranks") as rank:
                body(rank=rank, **values)

        return make_pipeline(f"{node.task_name}-shares", node.stage.summary, all_, [*inputs, *parameters])

    def standalone(self, settings: Settings) -> GraphComponent:
        """The node alone: `<input>_uri` parameters, config checked first."""
        node = settings.node
        inner = self.nested(settings)
        uris = {name: f"{name}_uri" for name in node.inputs}
        parameters = [parameter(uri, str) for uri in uris.values()]
        parameters += [parameter(name, kind, default) for name, (kind, default) in settings.parameters.items()]

        def body(values: Mapping[str, Any]) -> None:
            check = validate(stages={node.name: node.stage_name}, **{node.name: values["config"]})
            place_helper(check, "validate", settings.data_image)
            artifacts = {}
            for name, uri in uris.items():
                kind = node.stage.inputs[name]
                artifacts[name] = import_artifact(values[uri], kind, f"given: {name}")
            rest = {name: values[name] for name in settings.parameters}
            inner(**artifacts, **rest).after(check)

        return make_pipeline(f"{node.task_name}-alone", node.stage.summary, body, parameters)


def import_artifact(uri: Any, kind: str, title: str) -> Any:
    """An importer task's artifact. The same URI with other content is never taken for known: the manifest decides."""
    task = dsl.importer(artifact_uri=uri, artifact_class=artifact_class(kind), reimport=True)
    task.set_display_name(title)
    return task.output


def _outputs(stage: Stage) -> Any:
    return NamedTuple("Outputs", [(name, artifact_class(kind)) for name, kind in stage.outputs.items()])


def parameter(name: str, kind: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """A pipeline's parameter."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def make_pipeline(
    name: str,
    summary: str,
    body: Callable[[Mapping[str, Any]], Any],
    parameters: list[inspect.Parameter],
    outputs: Any = None,
) -> GraphComponent:
    """`@dsl.pipeline` for a signature that is known only at run time.

    Args:
        body: builds the tasks; gets parameter name -> KFP channel, returns `outputs` filled in.
        outputs: a NamedTuple of artifact types, or None.
    """
    names = [item.name for item in parameters]

    def pipeline(*channels: Any) -> Any:
        return body(dict(zip(names, channels, strict=True)))

    pipeline.__signature__ = inspect.Signature(   # type: ignore[attr-defined]
        parameters, return_annotation=inspect.Signature.empty if outputs is None else outputs
    )
    return dsl.pipeline(name=name, description=summary)(pipeline)
