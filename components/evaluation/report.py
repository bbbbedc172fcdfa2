"""What an evaluation shows a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from components.evaluation.judged import Judged
from components.evaluation.results import KINDS, Score
from components.problems import CodeProblem, MathProblem
from components.reporting import Report

SHOWN = 3   # completions of each kind and verdict, one a problem


def report_evaluation(
    report: Report, samples: int, kinds: Mapping[str, Score], sources: Mapping[str, Score], judged: Sequence[Judged],
    problems: Mapping[str, MathProblem | CodeProblem],
) -> None:  # fmt: skip
    """Averages with their intervals, pass@k, lengths, and completions to read."""
    every = {**kinds, **sources}
    ks = sorted({k for each in every.values() for k in each.pass_at})
    report.table(
        f"avg@{samples} with 95 % interval, and pass@k, in percent",
        ["problems", "number", "avg", *(f"pass@{k}" for k in ks)],
        [[name, each.problems, str(each.avg), *(_percent(each, k) for k in ks)] for name, each in every.items()],
    )
    report.intervals(
        "Correct completions", {name: (each.avg.value, each.avg.low, each.avg.high) for name, each in every.items()},
        f"avg@{samples} with its 95 % bootstrap interval over problems",
    )  # fmt: skip
    if len(ks) > 1:
        curves = {name: [(float(k), value.value) for k, value in each.pass_at.items()] for name, each in kinds.items()}
        report.lines("pass@k", curves, "k", "share of problems")
    verdicts = sorted({verdict for each in every.values() for verdict in each.verdicts})
    report.table("Completions", ["", "number", "tokens", "cut off", *verdicts], [
        [name, each.samples, f"{each.mean_tokens:.0f}", f"{100 * each.truncated:.1f} %",
         *(each.verdicts.get(verdict, 0) for verdict in verdicts)]
        for name, each in every.items()
    ])  # fmt: skip
    report.histogram("Length of completions", {
        f"{kind}, {word}": lengths for kind in KINDS for word, passed in (("passed", True), ("failed", False))
        if (lengths := [float(s.tokens) for s in judged if s.kind == kind and s.passed is passed])
    }, "tokens")  # fmt: skip
    for title, passed in (("Passed", True), ("Failed", False)):
        report.samples(title, _examples([s for s in judged if s.passed is passed and s.reward is not None], problems))


def _percent(each: Score, k: int) -> str:
    return f"{100 * each.pass_at[k].value:.1f}" if k in each.pass_at else "–"


def _examples(
    judged: Sequence[Judged], problems: Mapping[str, MathProblem | CodeProblem]
) -> Iterator[tuple[str, str]]:
    for kind in KINDS:
        one_each = {sample.problem: sample for sample in judged if sample.kind == kind}
        for sample in list(one_each.values())[:SHOWN]:
            problem = problems[sample.problem]
            wanted = f"\n(answer: {problem.answer})" if isinstance(problem, MathProblem) else ""
            tests = f", tests: {' '.join(sample.tests)}" if sample.tests else ""
            yield (f"{sample.source}, {sample.problem}: {sample.verdict}{tests}",
                   f"{problem.prompt}{wanted}\n\n──── completion ────\n{sample.text}")
