"""Profiles: one TOML file that says everything about a run of the recipe.

    seed = 0                     the default of every stage's seed
    release = true               images must be named by digest
    [rl] …                       a stage's config; a table of the same stage's node ([rl_zero]) is laid over it
    [images] data = "…"          image name -> reference
    [storage] claim, path        the volume that every task mounts, and where
    [placement.train] …          what tasks ask of a cluster: by image, stage or node, the later laid over the earlier

Every config is complete and checked when `load_profile` returns. Imports no torch and no KFP.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SerializeAsAny

from components.config import ConfigError, StageConfig, apply_override, build, digest, parse_override, read_toml
from components.registry import STAGES
from pipelines.dag import NODES, Node, node_of

PROFILES = Path(__file__).parent / "profiles"
IMAGES = tuple(dict.fromkeys(stage.image for stage in STAGES.values()))
_QUANTITY = r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti|K|M|G|T)?$"


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Toleration(_Table):
    """A taint the pod may run under; see the Kubernetes documentation of taints and tolerations."""

    key: str
    operator: str = Field("Exists", pattern="^(Exists|Equal)$")
    value: str = ""
    effect: str = Field("NoSchedule", pattern="^(NoSchedule|PreferNoSchedule|NoExecute|)$")


class Placement(_Table):
    """What a task asks of the cluster. Everything but cpu, memory and accelerators is fixed when it is compiled."""

    cpu: str = Field("2", pattern=r"^[0-9]+(\.[0-9]+)?m?$", description="CPU limit, in cores")
    memory: str = Field("4Gi", pattern=_QUANTITY, description="memory limit")
    accelerator: str = Field("nvidia.com/gpu", description="resource name of the accelerator")
    accelerators: int = Field(0, ge=0, description="accelerators a task")
    shared_memory: str = Field("", description="size of /dev/shm, from memory; needed with accelerators")
    tolerations: tuple[Toleration, ...] = ()
    ranks: int = Field(1, ge=1, le=128, description="tasks that share the stage's jobs; more want records in parallel")
    retries: int = Field(0, ge=0, description="further attempts after a failure")
    backoff_s: int = Field(60, ge=0, description="seconds before the first retry, doubled each time")
    timeout_h: float = Field(24, gt=0, description="hours one attempt may take")
    cache: bool = Field(True, description="reuse the result of the same task on the same inputs")


class Storage(_Table):
    """Where results lie: a volume claim that all tasks mount at `path`. Without a claim, `path` is a local folder."""

    claim: str = ""
    path: str = "runs/store"


class Profile(_Table):
    """A checked profile: a config and a placement for every node of the recipe."""

    name: str
    seed: int
    release: bool
    images: dict[str, str]
    storage: Storage
    placement: dict[str, Placement]
    configs: dict[str, SerializeAsAny[StageConfig]]
    tree: dict[str, Any] = Field(repr=False, description="the tables as written, overrides applied")

    def digest(self) -> str:
        """sha256 over what decides the results."""
        return digest({name: config.result_values() for name, config in self.configs.items()})


def load_profile(name_or_path: str | Path, overrides: Iterable[str] = (), nodes: Iterable[str] = NODES) -> Profile:
    """Read a profile by name (`smoke`) or path, apply `table.key=value` overrides and check everything.

    Args:
        nodes: the nodes whose configs are wanted; others are not read.

    Raises:
        ConfigError: no such profile, bad TOML, a key named twice, an unknown table or key, a wrong value, or values
            that do not fit together. Each line names the key's path.
    """
    path = find_profile(name_or_path)
    tree = read_toml(path)
    return profile_from_tree(path.stem, tree, overrides, nodes)


def profile_from_tree(
    name: str, tree: Mapping[str, Any], overrides: Iterable[str] = (), nodes: Iterable[str] = NODES
) -> Profile:
    """`load_profile` for tables that are already read, as a run's record keeps them."""
    tables = _copy(tree)
    for text in overrides:
        key, value = parse_override(text)
        apply_override(tables, key, value)
    _refuse_unknown_tables(tables)
    common = build(_Common, {key: tables[key] for key in _Common.model_fields if key in tables}, "profile")
    for place, settings in common.placement.items():
        build(Placement, settings, f"placement.{place}")
    configs: dict[str, StageConfig] = {}
    problems: dict[str, None] = {}
    for node_name in nodes:
        try:
            configs[node_name] = _node_config(node_of(node_name), tables, common.seed)
        except ConfigError as error:
            problems |= dict.fromkeys(str(error).splitlines())
    if problems:
        raise ConfigError("\n".join(problems))
    profile = Profile(
        name=name,
        seed=common.seed,
        release=common.release,
        images={image: common.images.get(image, f"mimo-{image}") for image in IMAGES},
        storage=common.storage,
        placement={node.name: _placement(node, common.placement) for node in NODES.values()},
        configs=configs,
        tree=tables,
    )
    check(profile)
    return profile


def check(profile: Profile) -> None:
    """Refuse values that are right alone and wrong together.

    Raises:
        ConfigError: one line a contradiction, naming both keys.
    """
    problems = []
    for name, placement in profile.placement.items():
        if placement.accelerators and not placement.shared_memory:
            problems.append(f"placement of {name}: accelerators without shared_memory; give /dev/shm a size, e.g. 16Gi")
        if placement.ranks > 1 and not NODES[name].stage.shared:
            able = ", ".join(stage.name for stage in STAGES.values() if stage.shared)
            problems.append(f"placement of {name}: {placement.ranks} ranks, but it cannot be shared; these can: {able}")
    if problems:
        raise ConfigError("\n".join(problems))


def find_profile(name_or_path: str | Path) -> Path:
    """The file of a shipped profile's name, or the path itself."""
    path = Path(name_or_path)
    if path.suffix == ".toml":
        return path
    shipped = PROFILES / f"{name_or_path}.toml"
    if not shipped.is_file():
        raise ConfigError(f"no profile {str(name_or_path)!r}; profiles: {', '.join(profile_names())}, or a .toml file")
    return shipped


def profile_names() -> list[str]:
    """Shipped profiles, smallest first."""
    order = ["smoke", "gpu", "mimo-7b"]
    names = sorted(path.stem for path in PROFILES.glob("*.toml"))
    return sorted(names, key=lambda name: order.index(name) if name in order else len(order))


class _Common(_Table):
    seed: int = Field(0, ge=0)
    release: bool = False
    images: dict[str, str] = {}
    storage: Storage = Storage()
    placement: dict[str, dict[str, Any]] = {}


def _refuse_unknown_tables(tables: Mapping[str, Any]) -> None:
    known = {*STAGES, *NODES, *_Common.model_fields}
    lines = [_unknown(key, known) for key in tables if key not in known]
    places = {*IMAGES, *STAGES, *NODES}
    lines += [_unknown(key, places, "placement.") for key in tables.get("placement", {}) if key not in places]
    lines += [_unknown(key, set(IMAGES), "images.") for key in tables.get("images", {}) if key not in IMAGES]
    lines += [f"{key}: a table is needed here, [{key}]" for key in tables
              if key in {*STAGES, *NODES} and not isinstance(tables[key], dict)]
    if lines:
        raise ConfigError("\n".join(lines))


def _unknown(key: str, known: set[str], where: str = "") -> str:
    near = difflib.get_close_matches(key, known, 1)
    hint = f"did you mean {where}{near[0]}?" if near else f"known: {', '.join(sorted(known))}"
    return f"{where}{key}: unknown; {hint}"


def _node_config(node: Node, tables: Mapping[str, Any], seed: int) -> StageConfig:
    own = tables.get(node.name, {}) if node.name != node.stage_name else {}
    values = _merge(tables.get(node.stage_name, {}), own)
    kind = node.stage.config_type
    if "seed" in kind.model_fields:
        values.setdefault("seed", seed)
    try:
        return build(kind, values, node.name)
    except ConfigError as error:
        raise ConfigError("\n".join(_blame(line, node, own) for line in str(error).splitlines())) from None


def _blame(line: str, node: Node, own: Mapping[str, Any]) -> str:
    """Name the table that a wrong key was read from: the node's own, or its stage's."""
    path = line.partition(":")[0].split(".")
    if path[0] == node.name and (len(path) < 2 or path[1] not in own):
        return node.stage_name + line.removeprefix(node.name)
    return line


def _placement(node: Node, tables: Mapping[str, Mapping[str, Any]]) -> Placement:
    values: dict[str, Any] = {}
    for key in dict.fromkeys((node.stage.image, node.stage_name, node.name)):
        values = _merge(values, tables.get(key, {}))
    return build(Placement, values, f"placement of {node.name}")


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def _copy(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {key: _copy(value) if isinstance(value, Mapping) else value for key, value in tree.items()}
