"""avg@k and pass@k of one checkpoint on the evaluation problems, with bootstrap intervals."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict

from components.artifacts import Artifact, ArtifactError, describe_shard, write_json
from components.evaluation.config import Config
from components.evaluation.judged import Judged
from components.evaluation.report import report_evaluation
from components.evaluation.results import KINDS, SAMPLES, SUMMARY, Score, score_groups, write_samples
from components.evaluation.sampling import sample_problems
from components.problems import read_problems
from components.runner import Outputs


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Sample, judge and count.

    Raises:
        ArtifactError: no problems, an id twice, or no sample that could be judged.
        ConfigError: prompts and completions do not fit the model's context.
    """
    problems = read_problems(inputs["problems"].paths())
    if not problems:
        raise ArtifactError(f"{inputs['problems'].directory}: no problems to evaluate on")
    judged = sample_problems(
        inputs["model"].directory, problems, config.sampling, config.reward, config.seed, outputs.work / "chunks",
        lambda done, total: outputs.progress.update(done, total, f"{done:,} of {total:,} completions"),
    )  # fmt: skip
    kinds, sources = score_groups(judged, config.pass_at, config.seed)
    if not kinds:
        raise ArtifactError(f"none of {len(judged)} completions could be judged: the judge failed each time")
    directory = outputs.directory("results")
    write_samples(directory / SAMPLES, judged)
    write_json(directory / SUMMARY, {
        "kinds": {name: asdict(each) for name, each in kinds.items()},
        "sources": {name: asdict(each) for name, each in sources.items()},
        "sampling": config.sampling.result_values(),
    })  # fmt: skip
    outputs.metrics.update(_metrics(kinds, sources))
    report_evaluation(
        outputs.report, config.sampling.samples, kinds, sources, judged, {problem.id: problem for problem in problems}
    )
    shards = [
        describe_shard(directory, directory / SAMPLES, len(judged)),
        describe_shard(directory, directory / SUMMARY, role="summary"),
    ]
    outputs.finish("results", "evaluation", shards, _totals(judged, len(problems)))


def _totals(judged: Sequence[Judged], problems: int) -> dict[str, int | float | str]:
    passed = Counter(sample.kind for sample in judged if sample.passed)
    return {
        "problems": problems,
        "samples": len(judged),
        **{f"{kind}_passed": passed[kind] for kind in KINDS},
        "unjudged": sum(sample.reward is None for sample in judged),
        "truncated": sum(sample.finish == "length" for sample in judged),
        "tokens": sum(sample.tokens for sample in judged),
    }


def _metrics(kinds: Mapping[str, Score], sources: Mapping[str, Score]) -> dict[str, float]:
    """Flat numbers: `math_avg`, `math_avg_low`, `math_avg_high`, `math_pass_4`, …; `reasoning_gym_gcd_correct`, …"""
    values: dict[str, float] = {}
    for name, each in kinds.items():
        values |= {f"{name}_avg": each.avg.value, f"{name}_avg_low": each.avg.low, f"{name}_avg_high": each.avg.high}
        values |= {f"{name}_pass_{k}": interval.value for k, interval in each.pass_at.items()}
        values |= {f"{name}_tokens": each.mean_tokens, f"{name}_truncated": each.truncated}
        values[f"{name}_unjudged"] = float(each.unjudged)
    for name, each in sources.items():
        key = f"{re.sub(r'[^A-Za-z0-9]+', '_', name)}_correct"
        values |= {key: each.avg.value, f"{key}_low": each.avg.low, f"{key}_high": each.avg.high}
    return values
