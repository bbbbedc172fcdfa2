"""The recipe as a graph: its nodes, the stage each one runs, and where each input comes from. Pure data, no KFP.

A stage may stand behind several nodes (`pretraining` behind three, `evaluation` behind four). An edge is written
`node.output`. `select` cuts the graph: what is given from outside replaces the nodes above it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from components.config import ConfigError
from components.registry import STAGES, Stage


@dataclass(frozen=True)
class Node:
    """One step of the recipe: `inputs` maps an input of its stage to the `node.output` that feeds it."""

    name: str
    stage_name: str
    inputs: dict[str, str] = field(default_factory=dict)

    @property
    def stage(self) -> Stage:
        return STAGES[self.stage_name]

    @property
    def task_name(self) -> str:
        """The name KFP shows: letters, digits and dashes."""
        return self.name.replace("_", "-")


def _node(name: str, stage: str = "", **inputs: str) -> Node:
    return Node(name, stage or name, inputs)


def _evaluation(name: str, model: str) -> Node:
    return _node(f"evaluation_{name}", "evaluation", model=model, problems="problems.evaluation")


def _pretraining(number: int, **inputs: str) -> Node:
    return _node(f"pretraining_{number}", "pretraining", tokens=f"mixing.stage_{number}", held_out="mixing.held_out",
                 **inputs)


BASE = "pretraining_3.model"

_NODES = [
    _node("ingestion"),
    _node("extraction", pages="ingestion.pages"),
    _node("deduplication", documents="extraction.documents"),
    _node("filtering", documents="deduplication.documents"),
    _node("problems"),
    _node("decontamination", documents="filtering.documents", evaluation="problems.evaluation"),
    _node("synthesis", documents="decontamination.documents", problems="problems.train"),
    _node("mixing", documents="decontamination.documents", synthetic="synthesis.documents"),
    _pretraining(1, tokenizer="mixing.tokenizer"),
    _pretraining(2, model="pretraining_1.model"),
    _pretraining(3, model="pretraining_2.model"),
    _node("mtp_tuning", model=BASE, tokens="mixing.stage_3", held_out="mixing.held_out"),
    _node("sft", model=BASE, conversations="synthesis.conversations", evaluation="problems.evaluation"),
    _node("curation", model="sft.model", problems="problems.train", evaluation="problems.evaluation"),
    _node("rl_zero", "rl", model=BASE, problems="curation.problems"),
    _node("rl", model="sft.model", problems="curation.problems"),
    _evaluation("base", BASE),
    _evaluation("sft", "sft.model"),
    _evaluation("rl_zero", "rl_zero.model"),
    _evaluation("rl", "rl.model"),
    _node("gate", base="evaluation_base.results", sft="evaluation_sft.results",
          rl_zero="evaluation_rl_zero.results", rl="evaluation_rl.results"),
    _node("publishing", base=BASE, sft="sft.model", rl_zero="rl_zero.model", rl="rl.model", mtp="mtp_tuning.model",
          base_results="evaluation_base.results", sft_results="evaluation_sft.results",
          rl_zero_results="evaluation_rl_zero.results", rl_results="evaluation_rl.results",
          decision="gate.decision"),
]

NODES: dict[str, Node] = {node.name: node for node in _NODES}


def node_kind(edge: str) -> str:
    """The artifact kind of `node.output`."""
    name, _, output = edge.partition(".")
    return NODES[name].stage.outputs[output]


def find_nodes(name: str) -> list[str]:
    """The nodes meant by a node's name or a stage's name: `rl` is one node, `evaluation` is four.

    Raises:
        ConfigError: neither a node nor a stage.
    """
    if name in NODES:
        return [name]
    nodes = [node.name for node in NODES.values() if node.stage_name == name]
    if not nodes:
        raise ConfigError(f"no stage {name!r}; stages: {', '.join(NODES)}")
    return nodes


def node_of(name: str) -> Node:
    """The first node meant by `name`; for a stage that is no part of the recipe, one that stands alone.

    Raises:
        ConfigError: neither a node nor a stage.
    """
    if name in STAGES and all(node.stage_name != name for node in NODES.values()):
        return Node(name, name)
    return NODES[find_nodes(name)[0]]


def upstream(name: str) -> set[str]:
    """The nodes that feed `name` directly."""
    return {edge.partition(".")[0] for edge in NODES[name].inputs.values()}


def downstream(names: Iterable[str]) -> set[str]:
    """`names` and every node that depends on one of them."""
    found = set(names)
    for node in NODES.values():   # NODES is in topological order
        if upstream(node.name) & found:
            found.add(node.name)
    return found


@dataclass(frozen=True)
class Selection:
    """A part of the recipe: the nodes to run, and the edges that are given as URIs instead of being made."""

    nodes: dict[str, Node]
    given: dict[str, str]


def select(only: Iterable[str] | None = None, given: Mapping[str, str] | None = None) -> Selection:
    """Cut the graph.

    Args:
        only: the nodes to run; None: all that are still needed once `given` is there.
        given: `node.output` -> URI of an artifact that exists. A node with a given output is not run.

    Raises:
        ConfigError: an unknown node or edge, or a node whose input is neither made nor given.
    """
    uris = dict(given or {})
    for edge in uris:
        name, _, output = edge.partition(".")
        if name not in NODES or output not in NODES[name].stage.outputs:
            raise ConfigError(f"{edge}: the recipe has no such output; write it as node.output, for example {BASE}")
    names = set(NODES if only is None else only)
    unknown = names - set(NODES)
    if unknown:
        raise ConfigError(f"no node {', '.join(sorted(unknown))}; nodes: {', '.join(NODES)}")
    if only is None:
        names = _needed({edge.partition(".")[0] for edge in uris})
    nodes = {name: _cut(NODES[name], names, uris) for name in NODES if name in names}
    needed = {edge for node in nodes.values() for edge in node.inputs.values()}
    return Selection(nodes, {edge: uri for edge, uri in uris.items() if edge in needed})


def _needed(replaced: set[str]) -> set[str]:
    """What is still to be run when the nodes `replaced` are given.

    Walks up from the recipe's end along the inputs that a stage cannot do without. What feeds an optional input comes
    along where everything it needs is there anyway: mtp_tuning falls away with mixing, not with ingestion.
    """
    names = _closure({"publishing"}, replaced)
    while True:
        optional = {edge.partition(".")[0] for name in names for edge in _edges(name, mandatory=False)}
        possible = {name for name in optional - replaced if _sources(name) <= names | replaced}
        if possible <= names:
            return names
        names |= possible


def _closure(names: set[str], replaced: set[str]) -> set[str]:
    found: set[str] = set()
    frontier = list(names)
    while frontier:
        name = frontier.pop()
        if name not in found and name not in replaced:
            found.add(name)
            frontier += _sources(name)
    return found


def _sources(name: str) -> set[str]:
    return {edge.partition(".")[0] for edge in _edges(name, mandatory=True)}


def _edges(name: str, mandatory: bool) -> list[str]:
    node = NODES[name]
    return [edge for key, edge in node.inputs.items() if node.stage.inputs[key].endswith("?") != mandatory]


def _cut(node: Node, names: set[str], given: Mapping[str, str]) -> Node:
    inputs = {}
    for input_name, edge in node.inputs.items():
        if edge in given or edge.partition(".")[0] in names:
            inputs[input_name] = edge
        elif not node.stage.inputs[input_name].endswith("?"):
            raise ConfigError(f"{node.name}: its input {input_name} ({edge}) is neither made by this run nor given")
    return Node(node.name, node.stage_name, inputs)
