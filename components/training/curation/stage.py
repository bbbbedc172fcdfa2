"""Curation of the RL problems (report, section 3.2): clean, decontaminate, measure difficulty by rollouts.

Proofs and multiple choice out; repeats out; overlap with the evaluation problems out; then the model of input `model`
answers every problem, what is too easy for it leaves, and the pass rate of each problem and each test is kept on it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from components.artifacts import Artifact, ArtifactError, describe_shard
from components.data.documents import REJECTED_SCHEMA, write_parquet
from components.evaluation.judged import Judged
from components.evaluation.sampling import sample_problems
from components.problems import CodeProblem, MathProblem, read_problems, write_problems
from components.reward.difficulty import pass_rates
from components.runner import Outputs
from components.training.curation.cleaning import clean
from components.training.curation.config import Config

Problem = MathProblem | CodeProblem
FILE = "problems.jsonl"


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Write the problems RL trains on, with their pass rates.

    Raises:
        ArtifactError: nothing is left.
    """
    evaluation = [problem.prompt for problem in read_problems(inputs["evaluation"].paths())]
    cleaned, rejected = clean(read_problems(inputs["problems"].paths()), evaluation)
    chosen = _first(cleaned, {"math": config.math_problems, "code": config.code_problems})
    judged = sample_problems(
        inputs["model"].directory, chosen, config.sampling, config.reward, config.seed, outputs.work / "chunks",
        lambda done, total: outputs.progress.update(done, total, f"{done} of {total} rollouts"),
    )  # fmt: skip
    measured = measure(chosen, judged)
    highest = {"math": config.math_highest, "code": config.code_highest}
    kept = []
    for problem in measured:
        rate = problem.pass_rate
        if rate is not None and rate > highest[problem.kind]:
            rejected.append(_aside(problem, "too_easy", f"pass rate {rate:.3f}"))
        else:
            kept.append(problem)
    if not kept:
        reasons = dict(Counter(_reasons(rejected)))
        raise ArtifactError(f"{inputs['problems'].directory}: curation leaves no problem: {reasons}")
    _finish(outputs, kept, rejected)
    _report(outputs, measured, kept, rejected, judged)


def measure(problems: Sequence[Problem], judged: Sequence[Judged]) -> list[Problem]:
    """The problems with pass rates of the problem and of each test, over the samples that could be judged."""
    samples: dict[str, list[Judged]] = {}
    for sample in judged:
        if sample.reward is not None:
            samples.setdefault(sample.problem, []).append(sample)
    measured: list[Problem] = []
    for problem in problems:
        mine = samples.get(problem.id, [])
        if not mine:   # never judged: stays unmeasured, which the rewards know how to treat
            measured.append(problem)
            continue
        update: dict[str, object] = {"pass_rate": sum(sample.passed for sample in mine) / len(mine)}
        if isinstance(problem, CodeProblem):
            rates = pass_rates([sample.tests for sample in mine])
            update["tests"] = tuple(
                test.model_copy(update={"pass_rate": rate}) for test, rate in zip(problem.tests, rates, strict=True)
            )
        measured.append(problem.model_copy(update=update))
    return measured


def _first(problems: Sequence[Problem], limits: dict[str, int]) -> list[Problem]:
    taken: Counter[str] = Counter()
    chosen = []
    for problem in problems:
        if taken[problem.kind] < limits[problem.kind]:
            taken[problem.kind] += 1
            chosen.append(problem)
    return chosen


def _finish(outputs: Outputs, kept: Sequence[Problem], rejected: Sequence[dict[str, str]]) -> None:
    directory = outputs.directory("problems")
    rows = write_problems(directory / FILE, kept)
    shards = [describe_shard(directory, directory / FILE, rows)]
    if rejected:
        path: Path = directory / "rejected" / "part-00000.parquet"
        write_parquet(path, rejected, REJECTED_SCHEMA)
        shards.append(describe_shard(directory, path, len(rejected), role="rejected"))
    totals = {kind: sum(problem.kind == kind for problem in kept) for kind in ("math", "code")}
    outputs.finish("problems", "problems", shards, {**totals, "rejected": len(rejected)})


def _report(
    outputs: Outputs, measured: Sequence[Problem], kept: Sequence[Problem], rejected: Sequence[dict[str, str]],
    judged: Sequence[Judged],
) -> None:  # fmt: skip
    for kind in ("math", "code"):
        rates = [p.pass_rate for p in measured if p.kind == kind and p.pass_rate is not None]
        outputs.metrics[f"{kind}_kept"] = float(sum(problem.kind == kind for problem in kept))
        if rates:
            outputs.metrics[f"{kind}_pass_rate"] = sum(rates) / len(rates)
    outputs.metrics["unjudged"] = float(sum(sample.reward is None for sample in judged))
    outputs.report.table("Set aside", ["reason", "problems"], sorted(Counter(_reasons(rejected)).items()))
    outputs.report.histogram("Pass rate of problems", {
        kind: [p.pass_rate for p in measured if p.kind == kind and p.pass_rate is not None] for kind in ("math", "code")
    }, "pass rate")  # fmt: skip
    tests = [test.pass_rate for p in measured if isinstance(p, CodeProblem) for test in p.tests]
    outputs.report.histogram("Pass rate of single tests", {"tests": [r for r in tests if r is not None]}, "pass rate")
    outputs.report.samples("Kept", [(f"{p.id}, pass rate {p.pass_rate}", p.prompt) for p in kept[:6]])


def _aside(problem: Problem, reason: str, detail: str) -> dict[str, str]:
    return {"id": problem.id, "url": "", "reason": reason, "detail": detail}


def _reasons(rejected: Sequence[dict[str, str]]) -> list[str]:
    return [record["reason"] for record in rejected]
