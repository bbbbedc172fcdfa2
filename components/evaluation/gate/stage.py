"""The gate: paired comparisons of the checkpoints, and whether the RL model is promoted.

Not being better never fails a run: the decision is recorded with its reasons, and `promote` is false.
"""

from __future__ import annotations

from components.artifacts import Artifact, describe_shard, write_json
from components.evaluation.gate.config import Config
from components.evaluation.judged import Judged
from components.evaluation.metrics import Interval, paired_difference
from components.evaluation.results import KINDS, open_results, paired_tables
from components.runner import Outputs

DECISION = "decision.json"
COMPARISONS = (("sft", "base"), ("rl", "sft"), ("rl_zero", "base"), ("rl", "baseline"))


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Write `decision.json`: promote, reasons, and every comparison with its interval."""
    results = {name: open_results(artifact) for name, artifact in inputs.items()}
    compared = compare(results, config.seed)
    promote, reasons = decide(compared, "baseline" if "baseline" in results else "sft", config.margin)
    directory = outputs.directory("decision")
    write_json(directory / DECISION, {
        "promote": promote,
        "reasons": reasons,
        "comparisons": [
            {"left": left, "right": right, "kind": kind, "difference": gap.value, "low": gap.low, "high": gap.high}
            for (left, right, kind), gap in compared.items()
        ],
    })  # fmt: skip
    rows = [[f"{left} − {right}", kind, str(gap), "yes" if gap.low > 0 else "no"]
            for (left, right, kind), gap in compared.items()]  # fmt: skip
    outputs.report.text("Decision", ("Promote: " if promote else "Do not promote: ") + "; ".join(reasons))
    columns = ["difference", "problems", "points, 95 % interval", "beyond the interval"]
    outputs.report.table("Paired differences of avg@k", columns, rows)
    outputs.report.bars(
        "Differences of avg@k", {f"{a} − {b}, {kind}": gap.value for (a, b, kind), gap in compared.items()}, "avg@k"
    )
    outputs.metrics["promote"] = float(promote)
    outputs.metrics |= {f"{a}_over_{b}_{kind}": gap.value for (a, b, kind), gap in compared.items()}
    outputs.metrics |= {f"{a}_over_{b}_{kind}_low": gap.low for (a, b, kind), gap in compared.items()}
    totals = {"promote": int(promote), "comparisons": len(compared)}
    outputs.finish("decision", "decision", [describe_shard(directory, directory / DECISION)], totals)


def compare(results: dict[str, list[Judged]], seed: int) -> dict[tuple[str, str, str], Interval]:
    """(left, right, kind) -> avg@k of left minus right on the problems both have."""
    compared = {}
    for left, right in COMPARISONS:
        if left not in results or right not in results:
            continue
        for kind in KINDS:
            left_PK, right_PK = paired_tables(results[left], results[right], kind)
            if len(left_PK):
                compared[left, right, kind] = paired_difference(left_PK, right_PK, seed)
    return compared


def decide(
    compared: dict[tuple[str, str, str], Interval], reference: str, margin: float
) -> tuple[bool, list[str]]:
    """Promote if RL is not worse than the reference on any kind, beyond `margin`, and better on at least one."""
    gaps = {kind: gap for (left, right, kind), gap in compared.items() if (left, right) == ("rl", reference)}
    if not gaps:
        return False, [f"rl and {reference} have no problems in common"]
    worse = [kind for kind, gap in gaps.items() if gap.low < -margin]
    better = [kind for kind, gap in gaps.items() if gap.low > 0]
    reasons = [f"rl − {reference} on {kind}: {gap}" for kind, gap in gaps.items()]
    if worse:
        reasons.append(f"may be worse on {', '.join(worse)}")
    if not better:
        reasons.append("not better beyond the interval on anything")
    return bool(better) and not worse, reasons
