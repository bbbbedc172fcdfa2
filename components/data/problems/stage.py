"""The problems stage: draw and read problems, run golden solutions, write both parts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from components.artifacts import Artifact, ArtifactError, Shard, describe_shard, write_text
from components.data.problems.config import Config
from components.data.problems.golden import failures
from components.data.problems.selection import PARTS, Problem, Rejected, Selection, select
from components.problems import CodeProblem, write_problems
from components.runner import Outputs

ROWS = 10_000   # problems a shard


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the outputs `train` and `evaluation`.

    Raises:
        ConfigError: a source that cannot be read, or a generator that refuses its parameters.
        ArtifactError: nothing is left to train on.
    """
    outputs.progress.update(0, 1, "drawing problems")
    selection = select(config)
    _drop_failing(selection, config, outputs)
    if not selection.problems["train"]:
        raise ArtifactError(f"problems: every problem was rejected: {_reasons(selection)}")
    for part in PARTS:
        _write(part, selection, outputs)
    _report(selection, outputs)


def _drop_failing(selection: Selection, config: Config, outputs: Outputs) -> None:
    """Set aside code problems whose golden solution fails one of their tests."""
    golden = [
        problem
        for part in PARTS
        for problem in selection.problems[part]
        if isinstance(problem, CodeProblem) and problem.golden
    ]
    failed = failures(golden, config.reward, outputs.work, outputs.progress)
    for part in PARTS:
        for problem in selection.problems[part]:
            if problem.id in failed:
                selection.reject(part, problem.id, problem.source, "golden_failed", failed[problem.id])
        selection.problems[part] = [problem for problem in selection.problems[part] if problem.id not in failed]


def _write(part: str, selection: Selection, outputs: Outputs) -> None:
    directory = outputs.directory(part)
    problems, rejected = selection.problems[part], selection.rejected[part]
    shards: list[Shard] = []
    for index, start in enumerate(range(0, max(len(problems), 1), ROWS)):
        path = directory / f"part-{index:05d}.jsonl"
        rows = write_problems(path, problems[start : start + ROWS])
        shards.append(describe_shard(directory, path, rows))
    if rejected:
        path = directory / "rejected" / "part-00000.jsonl"
        shards.append(describe_shard(directory, _write_rejected(path, rejected), len(rejected), role="rejected"))
    kinds = Counter(problem.kind for problem in problems)
    tests = sum(len(problem.tests) for problem in problems if isinstance(problem, CodeProblem))
    reasons = Counter(f"rejected_{row['reason']}" for row in rejected)
    totals = {"problems": len(problems), "math": kinds["math"], "code": kinds["code"], "tests": tests, **reasons}
    outputs.finish(part, "problems", shards, totals)
    outputs.metrics.update({f"{part}_{name}": float(value) for name, value in totals.items()})


def _write_rejected(path: Path, rows: Sequence[Rejected]) -> Path:
    path.parent.mkdir(exist_ok=True)
    write_text(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    return path


def _reasons(selection: Selection) -> str:
    counts = Counter(row["reason"] for part in PARTS for row in selection.rejected[part])
    return ", ".join(f"{reason} {count}" for reason, count in counts.most_common()) or "no source gave any"


def _report(selection: Selection, outputs: Outputs) -> None:
    report = outputs.report
    by_source = {part: Counter(problem.source for problem in selection.problems[part]) for part in PARTS}
    sources = sorted(set().union(*by_source.values()))
    report.table(
        "Problems by source",
        ["source", *PARTS],
        [[source, *(by_source[part][source] for part in PARTS)] for source in sources],
    )
    report.text(
        "How the parts are kept apart",
        "Evaluation draws from seeds of its own and claims its questions first; training takes no question that "
        "evaluation has, compared by content: case, white space, and for equations the wording and the unknown's "
        "name, make no difference.",
    )
    reasons = Counter((part, row["reason"]) for part in PARTS for row in selection.rejected[part])
    report.table("Set aside", ["part", "reason", "rows"], [[*key, count] for key, count in sorted(reasons.items())])
    report.table(
        "Generators that ran out of new questions",
        ["generator", "problems missing"],
        sorted(selection.shortfall.items()),
    )
    report.histogram(
        "Length of the prompts",
        {part: [float(len(problem.prompt)) for problem in selection.problems[part]] for part in PARTS},
        "characters",
    )
    report.samples("Samples", [_sample(part, problem) for part in PARTS for problem in _one_each(selection, part)])


def _one_each(selection: Selection, part: str) -> list[Problem]:
    first: dict[str, Problem] = {}
    for problem in selection.problems[part]:
        first.setdefault(problem.source, problem)
    return [first[source] for source in sorted(first)]


def _sample(part: str, problem: Problem) -> tuple[str, str]:
    if isinstance(problem, CodeProblem):
        tests = "\n".join(f"{test.input.strip()} -> {test.expected.strip()}" for test in problem.tests[:8])
        return f"{part} · {problem.source}", f"{problem.prompt}\n\n{problem.golden}\n\n{tests}"
    return f"{part} · {problem.source}", f"{problem.prompt}\n\nanswer: {problem.answer}"
