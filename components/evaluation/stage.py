"""avg@k and pass@k of one checkpoint on the evaluation problems, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence

from components.artifacts import Artifact, ArtifactError, describe_shard
from components.evaluation.config import Config
from components.evaluation.judged import Judged
from components.evaluation.metrics import avg_interval, pass_at_k
from components.evaluation.results import KINDS, SAMPLES, table, write_samples
from components.evaluation.sampling import sample_problems
from components.problems import read_problems
from components.runner import Outputs


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Sample, judge and count.

    Raises:
        ArtifactError: no problems.
    """
    problems = read_problems(inputs["problems"].paths())
    if not problems:
        raise ArtifactError(f"{inputs['problems'].directory}: no problems to evaluate on")
    judged = sample_problems(
        inputs["model"].directory, problems, config.sampling, config.reward, config.seed, outputs.work / "chunks",
        lambda done, total: outputs.progress.update(done, total, f"{done} of {total} completions"),
    )  # fmt: skip
    directory = outputs.directory("results")
    path = directory / SAMPLES
    write_samples(path, judged)
    _report(config, judged, outputs)
    totals = {
        "problems": len(problems),
        "samples": config.sampling.samples,
        "passed": sum(sample.passed for sample in judged),
        "unjudged": sum(sample.reward is None for sample in judged),
    }
    outputs.finish("results", "evaluation", [describe_shard(directory, path, len(judged))], totals)


def _report(config: Config, judged: Sequence[Judged], outputs: Outputs) -> None:
    rows = []
    for kind in KINDS:
        mine = [sample for sample in judged if sample.kind == kind]
        if not mine:
            continue
        sources = sorted({sample.source for sample in mine})
        for name, part in [(kind, mine), *((source, [s for s in mine if s.source == source]) for source in sources)]:
            _, passes_PK = table(part)
            if not len(passes_PK):   # nothing could be judged
                continue
            avg = avg_interval(passes_PK, config.seed)
            at_k = [pass_at_k(passes_PK, k) for k in config.pass_at]
            rows.append([name, len(passes_PK), str(avg), *(f"{100 * value:.1f}" for value in at_k)])
            if name == kind:
                outputs.metrics |= {f"{kind}_avg": avg.value, f"{kind}_avg_low": avg.low, f"{kind}_avg_high": avg.high}
                outputs.metrics |= {f"{kind}_pass_{k}": v for k, v in zip(config.pass_at, at_k, strict=True)}
    outputs.metrics["mean_tokens"] = sum(sample.tokens for sample in judged) / len(judged)
    outputs.metrics["truncated"] = sum(sample.finish == "length" for sample in judged) / len(judged)
    outputs.metrics["unjudged"] = float(sum(sample.reward is None for sample in judged))
    heading = f"avg@{config.sampling.samples} with 95 % interval, and pass@k, in percent"
    outputs.report.table(heading, ["problems", "number", "avg", *(f"pass@{k}" for k in config.pass_at)], rows)
    outputs.report.histogram(
        "Length of completions", {k: [float(s.tokens) for s in judged if s.kind == k] for k in KINDS}, "tokens"
    )
    for title, wanted in (("Passed", True), ("Failed", False)):
        chosen = [[s for s in judged if s.passed is wanted and s.kind == kind][:3] for kind in KINDS]
        captions = [(f"{s.problem} ({s.source}): {s.verdict}", s.text) for part in chosen for s in part]
        outputs.report.samples(title, captions)
