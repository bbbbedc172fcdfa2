"""What the commands around runs do: run, rerun, stage, runs, report. Each returns the process's exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from components.config import ConfigError, StageConfig
from components.launch import launch
from components.registry import STAGES
from pipelines.dag import BASE, NODES, Node, Selection, downstream, find_nodes, node_of, select
from pipelines.display import duration
from pipelines.profile import Profile, load_profile, profile_from_tree
from pipelines.runs import Run, find_run, find_same, list_runs, mark_latest, new_run, project_digest, run_key

if TYPE_CHECKING:
    from pipelines.local import Runner


def run(
    profile_name: str, overrides: Sequence[str], root: Path, start: str | None, model: Path | None, fresh: bool,
    runner: Runner = "subprocess",
) -> int:
    """`mimo run`: start the recipe, continue it, or say that it is done."""
    if (start is None) != (model is None):
        raise ConfigError("--from and --model go together: mimo run --from sft --model DIR")
    given = {}
    if model is not None:
        from pipelines.checkpoints import import_checkpoint

        given[BASE] = str(import_checkpoint(model, root / "store"))
    selection = select(given=given)
    profile = load_profile(profile_name, overrides, selection.nodes)
    same = None if fresh else find_same(root, run_key(profile, selection))
    console = Console(highlight=False)
    if same is not None and same.code == project_digest() and same.is_complete():
        mark_latest(same)
        console.print(f"Run {same.id} is finished already; nothing to do (--fresh runs it again, from cached results).",
                      soft_wrap=True)
        return _conclude(same, console)
    if same is not None and same.status == "finished":
        same = None   # the code has changed since, or results are gone: a new record, on what is still valid
    record = same or new_run(root, profile, selection)
    console.print(f"{'Continuing' if same else 'Starting'} run {record.id} of profile {profile.name}")
    record.code, record.tree = project_digest(), profile.tree
    return _execute(record, profile, selection, console, runner)


def rerun(
    run_name: str, stage: str, overrides: Sequence[str], root: Path, with_downstream: bool,
    runner: Runner = "subprocess",
) -> int:
    """`mimo rerun`: one stage of an earlier run again, with other values, on that run's artifacts."""
    earlier = find_run(root, run_name)
    chosen = find_nodes(stage)
    absent = [name for name in chosen if name not in earlier.nodes]
    if absent:
        raise ConfigError(f"run {earlier.id} has no {', '.join(absent)}")
    names = downstream(chosen) & set(earlier.nodes) if with_downstream else set(chosen)
    given = {}
    for name in names:
        for key, edge in NODES[name].inputs.items():
            source = edge.partition(".")[0]
            missing = source not in earlier.nodes and edge not in earlier.given
            if source not in names and not (missing and NODES[name].stage.inputs[key].endswith("?")):
                given[edge] = earlier.artifact(edge)
    selection = select(names, given)
    profile = profile_from_tree(earlier.profile, earlier.tree, overrides, selection.nodes)
    record = new_run(root, profile, selection, rerun_of=earlier)
    console = Console(highlight=False)
    console.print(f"Starting run {record.id}: {', '.join(selection.nodes)} on what run {earlier.id} made",
                  soft_wrap=True)
    return _execute(record, profile, selection, console, runner)


def _execute(record: Run, profile: Profile, selection: Selection, console: Console, runner: Runner) -> int:
    from pipelines.local import StageError, execute_run

    try:
        execute_run(record, profile, selection, console, runner)
    except StageError as error:
        console.print(f"\n{error.node} failed. Its log: {error.log}", soft_wrap=True)
        console.print("When the cause is mended, the same command continues from here.")
        console.file.flush()
        text = str(error)
        known = text.startswith((error.node, record.nodes[error.node].stage) if error.node in record.nodes else ())
        print(text if known else f"{error.node}: {text}", file=sys.stderr, flush=True)
        return 1
    return _conclude(record, console)


def _conclude(record: Run, console: Console) -> int:
    from pipelines.report import write_report
    from pipelines.summary import tables

    for table in tables(record):
        console.print(table.rendered())
    console.print(f"Report: {write_report(record)}", soft_wrap=True)
    return 0


def report(run_name: str, root: Path, as_json: bool) -> int:
    """`mimo report`: a run's numbers, and its HTML report written anew."""
    record = find_run(root, run_name)
    if not as_json:
        return _conclude(record, Console(highlight=False))
    from pipelines.report import write_report
    from pipelines.summary import tables

    values = {table.key: [dict(zip(table.columns, row, strict=True)) for row in table.rows] for table in tables(record)}
    head = {"run": record.id, "status": record.status, "report": str(write_report(record))}
    print(json.dumps({**head, **values}, indent=1))
    return 0


def list_all_runs(root: Path, as_json: bool) -> int:
    """`mimo runs`."""
    rows = [_run_row(record) for record in list_runs(root)]
    columns = ["run", "profile", "status", "stages", "time", "started", "rerun_of"]
    _print_rows(columns, rows, as_json, f"no runs in {root}; start one with mimo run")
    return 0


def _run_row(record: Run) -> list[str]:
    ended = sum(node.status in ("done", "cached", "given") for node in record.nodes.values())
    seconds = sum(node.seconds for node in record.nodes.values())
    return [record.id, record.profile, record.status, f"{ended}/{len(record.nodes)}", duration(seconds),
            record.created, record.rerun_of]


def list_stages(as_json: bool) -> int:
    """`mimo stage` without a name."""
    rows = [[stage.name, _kinds(stage.inputs), _kinds(stage.outputs), stage.summary] for stage in STAGES.values()]
    _print_rows(["stage", "inputs", "outputs", "what"], rows, as_json)
    return 0


def describe_stage(name: str) -> int:
    """`mimo stage NAME --help`: what the stage takes, gives and can be told."""
    node = _stage_node(name)
    stage = node.stage
    console = Console(highlight=False)
    console.print(f"[bold]{stage.name}[/bold]: {stage.summary}\n")
    for title, kinds in (("inputs", stage.inputs), ("outputs", stage.outputs)):
        console.print(f"{title}:")
        for key, kind in kinds.items():
            console.print(f"  {key:<16}{kind.rstrip('?')}{' (optional)' if kind.endswith('?') else ''}")
        if not kinds:
            console.print("  none")
    console.print(f"\nconfig ([{stage.name}] in a profile, or --set {stage.name}.KEY=VALUE):", markup=False)
    table = Table("key", "default", "what", box=None, padding=(0, 2))
    for key, default, text in config_rows(stage.config_type):
        table.add_row(key, default, text)
    console.print(table)
    inputs = "".join(f" --input {key}=DIR" for key, kind in stage.inputs.items() if not kind.endswith("?"))
    console.print(f"examples:\n  mimo stage {name}{inputs}\n", soft_wrap=True, end="")
    if node.inputs:
        console.print(f"  mimo stage {name} --run latest          inputs from the last run")
    if node.name in NODES:
        console.print(f"  mimo rerun --run latest --stage {name}  the same, as part of a run")
    return 0


def config_rows(kind: type[StageConfig], prefix: str = "") -> Iterable[tuple[str, str, str]]:
    """(key, default, description) of every field, nested tables with dotted keys."""
    for name, field in kind.model_fields.items():
        annotation = field.annotation
        if isinstance(annotation, type) and issubclass(annotation, StageConfig):
            yield from config_rows(annotation, f"{prefix}{name}.")
            continue
        default = "required" if field.is_required() else repr(field.get_default(call_default_factory=True))
        execution = isinstance(field.json_schema_extra, dict) and field.json_schema_extra.get("execution")
        note = " (never changes the result)" if execution else ""
        yield prefix + name, default if len(default) <= 40 else default[:37] + "...", (field.description or "") + note


def run_stage(
    name: str, profile_name: str, overrides: Sequence[str], given: Sequence[str], run_name: str | None, root: Path,
    as_json: bool,
) -> int:
    """`mimo stage NAME`: one stage alone, without KFP."""
    node = _stage_node(name)
    inputs = dict(_input(text, node) for text in given)
    if run_name is not None:
        earlier = find_run(root, run_name)
        for key, edge in node.inputs.items():
            if key not in inputs and (edge.partition(".")[0] in earlier.nodes or edge in earlier.given):
                inputs[key] = earlier.artifact(edge)
    config = load_profile(profile_name, overrides, [node.name]).configs[node.name]
    result = launch(node.stage_name, config, inputs, root / "store")
    outputs = {key: str(result.output(key)) for key in node.stage.outputs}
    if as_json:
        values = {"outputs": outputs, "metrics": result.metrics, "report": str(result.report), "cached": result.reused}
        print(json.dumps(values, indent=1))
        return 0
    _print_rows(["metric", "value"], [[key, f"{value:g}"] for key, value in result.metrics.items()], False)
    for key, directory in {**outputs, "report": str(result.report)}.items():
        print(f"{key}: {directory}")
    return 0


def _input(text: str, node: Node) -> tuple[str, str]:
    key, equals, directory = text.partition("=")
    if not equals or key not in node.stage.inputs:
        raise ConfigError(f"--input {text}: write it as NAME=DIR; {node.stage_name} takes "
                          f"{', '.join(node.stage.inputs) or 'none'}")
    return key, directory


def _stage_node(name: str) -> Node:
    """A node by its name, or the first node of a stage."""
    return node_of(name)


def _kinds(kinds: dict[str, str]) -> str:
    return ", ".join(key + ("?" if kind.endswith("?") else "") for key, kind in kinds.items())


def _print_rows(columns: list[str], rows: list[list[str]], as_json: bool, empty: str = "") -> None:
    if as_json:
        print(json.dumps([dict(zip(columns, row, strict=True)) for row in rows], indent=1))
    elif not rows:
        print(empty)
    else:
        table = Table(*columns, box=None, padding=(0, 2, 0, 0))
        for row in rows:
            table.add_row(*row)
        Console(highlight=False).print(table)
