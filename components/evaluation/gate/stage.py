"""The gate: paired comparisons of the checkpoints, and whether the RL model is promoted.

Not being better never fails a run: the decision is recorded with its reasons, and `promote` is false.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from components.artifacts import Artifact, describe_shard, write_json
from components.evaluation.gate.comparison import LABELS, Comparison, compare, decide
from components.evaluation.gate.config import Config
from components.evaluation.judged import Judged
from components.evaluation.results import DECISION, KINDS, open_results, table
from components.reporting import Report
from components.runner import Outputs


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Write `decision.json`: promote, reasons, and every comparison with its interval."""
    results = {name: open_results(artifact) for name, artifact in inputs.items()}
    comparisons = compare(results, config.seed)
    reference = "baseline" if "baseline" in results else "sft"
    promote, reasons = decide(comparisons, reference, config.margin)
    directory = outputs.directory("decision")
    write_json(directory / DECISION, {
        "promote": promote,
        "reasons": reasons,
        "reference": reference,
        "margin": config.margin,
        "comparisons": [{**asdict(each), "better": each.better} for each in comparisons],
    })  # fmt: skip
    for each in comparisons:
        name = f"{each.left}_over_{each.right}_{each.kind}"
        outputs.metrics |= {name: each.difference.value, f"{name}_low": each.difference.low,
                            f"{name}_high": each.difference.high}
    outputs.metrics["promote"] = float(promote)
    _report(outputs.report, promote, reasons, comparisons, results)
    totals = {"promote": int(promote), "comparisons": len(comparisons)}
    outputs.finish("decision", "decision", [describe_shard(directory, directory / DECISION, 1)], totals)


def _report(
    report: Report, promote: bool, reasons: Sequence[str], comparisons: Sequence[Comparison],
    results: Mapping[str, Sequence[Judged]],
) -> None:  # fmt: skip
    report.text("Promote" if promote else "Do not promote", "\n".join(reasons))
    report.intervals(
        "Differences",
        {each.title: (each.difference.value, each.difference.low, each.difference.high) for each in comparisons},
        "difference of avg@k on the same problems, with its 95 % bootstrap interval", zero=True,
    )  # fmt: skip
    columns = ["", "problems", "left out", "avg@k", "of", "difference in points, 95 % interval", "beyond the interval"]
    report.table("Comparisons", columns, [
        [each.title, each.problems, each.left_out, f"{100 * each.left_avg:.1f}", f"{100 * each.right_avg:.1f}",
         str(each.difference), "better" if each.better else "worse" if each.difference.high < 0 else "no difference"]
        for each in comparisons
    ])  # fmt: skip
    for kind in KINDS:
        rates = {LABELS[name]: table(judged, kind)[1].mean(1).tolist() for name, judged in results.items()
                 if any(sample.kind == kind and sample.reward is not None for sample in judged)}
        if rates:
            report.histogram(f"Pass rate of single problems, {kind}", rates, "share of completions that passed")
