"""A run's numbers as tables: what passed each data stage, tokens, losses, acceptance, rewards, avg@k, time.

Reads only run records, manifests and the stages' metrics.json; a stage that has not run leaves a gap.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.table import Table as RichTable

from components.artifacts import read_manifest
from pipelines.display import duration
from pipelines.runs import NodeRecord, Run, metrics_of

_KEPT = ("pages", "documents", "conversations")   # not the index that deduplication hands on
_FUNNEL = ("ingestion", "extraction", "deduplication", "filtering", "decontamination", "synthesis")
_TRAINING = ("pretraining_1", "pretraining_2", "pretraining_3", "mtp_tuning", "sft")
_RL = ("rl_zero", "rl")
_EVALUATION = ("evaluation_base", "evaluation_sft", "evaluation_rl_zero", "evaluation_rl")
_LABELS = {"base": "Base", "sft": "SFT", "rl_zero": "RL-Zero", "rl": "RL"}


@dataclass
class Table:
    """Rows of text under a title; `key` names it in JSON."""

    key: str
    title: str
    columns: list[str]
    rows: list[list[str]] = field(default_factory=list)

    def rendered(self) -> RichTable:
        table = RichTable(title=self.title, title_justify="left", title_style="bold")
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="left" if number == 0 else "right", no_wrap=number == 0)
        for row in self.rows:
            table.add_row(*row)
        return table


def tables(run: Run) -> list[Table]:
    """All tables that have rows."""
    found = [_funnel(run), _training(run), _rl(run), _evaluation(run), _time(run)]
    return [table for table in found if table.rows]


def _funnel(run: Run) -> Table:
    table = Table("funnel", "Data", ["stage", "in", "kept", "rejected"])
    for name, node in _finished(run, _FUNNEL):
        kept = sum(_rows(Path(node.outputs[output]), "data") for output in _KEPT if output in node.outputs)
        rejected = sum(_rows(Path(directory), "rejected") for directory in node.outputs.values())
        source = node.inputs.get("pages") or node.inputs.get("documents")
        entered = _rows(Path(source), "data") if source else kept + rejected
        table.rows.append([name, f"{entered:,}", f"{kept:,}", f"{rejected:,}"])
    return table


def _training(run: Run) -> Table:
    table = Table("training", "Training",
                  ["stage", "tokens", "steps", "loss", "held-out loss", "MTP acceptance", "tokens/s"])
    for name, node in _finished(run, _TRAINING):
        values = metrics_of(node)
        heads = [key for key in values if key.startswith("held_out_mtp_") and key.endswith("_greedy")]
        acceptance = " ".join(f"{values[key]:.0%}" for key in sorted(heads))
        table.rows.append([
            name, _number(values.get("tokens"), ",.0f"), _number(values.get("steps"), ",.0f"),
            _number(values.get("train_loss"), ".3f"), _number(values.get("held_out_loss"), ".3f"), acceptance,
            _number(values.get("tokens_per_s"), ",.0f"),
        ])  # fmt: skip
    return table


def _rl(run: Run) -> Table:
    table = Table("rl", "Reinforcement learning",
                  ["stage", "first reward", "last reward", "pass rate", "valid groups", "length", "sampled tokens"])
    for name, node in _finished(run, _RL):
        values = metrics_of(node)
        table.rows.append([
            name, _number(values.get("first_reward"), ".3f"), _number(values.get("reward"), ".3f"),
            _number(values.get("pass_rate"), ".1%"), _number(values.get("valid_rate"), ".1%"),
            _number(values.get("length"), ".0f"), _number(values.get("sampled_tokens"), ",.0f"),
        ])  # fmt: skip
    return table


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _evaluation(run: Run) -> Table:
    table = Table("evaluation", "Evaluation, in percent", ["model", "problems", "avg@k", "95 % interval", "pass@k"])
    for score in scores(run):
        passed = " ".join(f"@{k}: {100 * value:.1f}" for k, value in score.passed.items())
        interval = f"{100 * score.low:.1f} – {100 * score.high:.1f}"
        table.rows.append([score.model, score.kind, f"{100 * score.average:.1f}", interval, passed])
    return table


@dataclass(frozen=True)
class Score:
    """One checkpoint on one kind of problems: avg@k with its 95 % interval, and pass@k by k; shares of 1."""

    model: str
    kind: str
    average: float
    low: float
    high: float
    passed: dict[int, float]


def scores(run: Run) -> list[Score]:
    """What the evaluations measured, in the order Base, SFT, RL-Zero, RL."""
    found = []
    for name, node in _finished(run, _EVALUATION):
        values = metrics_of(node)
        for kind in [key.removesuffix("_avg") for key in values if key.endswith("_avg")]:
            prefix = f"{kind}_pass_"
            passed = {int(key.removeprefix(prefix)): value for key, value in values.items() if key.startswith(prefix)}
            found.append(Score(
                _LABELS[name.removeprefix("evaluation_")], kind, values[f"{kind}_avg"],
                values[f"{kind}_avg_low"], values[f"{kind}_avg_high"], dict(sorted(passed.items())),
            ))  # fmt: skip
    return found


def _time(run: Run) -> Table:
    table = Table("time", "Time", ["stage", "status", "time"])
    for name, node in run.nodes.items():
        table.rows.append([name, node.status, duration(node.seconds) if node.seconds else ""])
    total = sum(node.seconds for node in run.nodes.values())
    table.rows.append(["all", run.status, duration(total)])
    return table


def _finished(run: Run, names: tuple[str, ...]) -> Iterator[tuple[str, NodeRecord]]:
    for name in names:
        node = run.nodes.get(name)
        if node is not None and node.outputs:
            yield name, node


def _rows(directory: Path, role: str) -> int:
    return sum(shard.rows for shard in read_manifest(directory).shards if shard.role == role)
