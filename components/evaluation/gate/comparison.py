"""Comparisons of evaluations, paired by problem, and the decision drawn from them: pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from components.evaluation.judged import Judged
from components.evaluation.metrics import Interval, avg_at_k, paired_difference
from components.evaluation.results import KINDS, paired_tables

COMPARISONS = (("sft", "base"), ("rl", "sft"), ("rl_zero", "base"), ("rl", "baseline"))
LABELS = {"base": "Base", "sft": "SFT", "rl_zero": "RL-Zero", "rl": "RL", "baseline": "baseline"}


@dataclass(frozen=True)
class Comparison:
    """avg@k of `left` minus avg@k of `right` on one kind of problem."""

    left: str
    right: str
    kind: str
    problems: int          # judged in both evaluations
    left_out: int          # asked in one of them only, or not judged
    left_avg: float        # on the common problems
    right_avg: float
    difference: Interval

    @property
    def title(self) -> str:
        return f"{LABELS[self.left]} − {LABELS[self.right]}, {self.kind}"

    @property
    def better(self) -> bool:
        """Whether the whole interval lies above 0."""
        return self.difference.low > 0


def compare(results: Mapping[str, Sequence[Judged]], seed: int) -> list[Comparison]:
    """Every comparison that the evaluations (model -> its samples) allow."""
    found = []
    for left, right in COMPARISONS:
        if left in results and right in results:
            each = [_compare(left, right, kind, results[left], results[right], seed) for kind in KINDS]
            found += [comparison for comparison in each if comparison is not None]
    return found


def _compare(
    left: str, right: str, kind: str, ours: Sequence[Judged], theirs: Sequence[Judged], seed: int
) -> Comparison | None:
    ours_PK, theirs_PK = paired_tables(ours, theirs, kind)
    if not len(ours_PK):
        return None
    asked = {sample.problem for sample in (*ours, *theirs) if sample.kind == kind}
    return Comparison(
        left, right, kind, len(ours_PK), len(asked) - len(ours_PK), avg_at_k(ours_PK), avg_at_k(theirs_PK),
        paired_difference(ours_PK, theirs_PK, seed),
    )  # fmt: skip


def decide(comparisons: Sequence[Comparison], reference: str, margin: float) -> tuple[bool, list[str]]:
    """Promote if RL is not worse than the reference on any kind, beyond `margin`, and better on at least one.

    Returns: (promote, the reasons for it).
    """
    asked = [each for each in comparisons if (each.left, each.right) == ("rl", reference)]
    if not asked:
        return False, [f"RL and {LABELS[reference]} have no judged problem in common"]
    worse = [each.kind for each in asked if each.difference.low < -margin]
    better = [each.kind for each in asked if each.better]
    reasons = [f"{each.title}: {each.difference} points over {each.problems} problems" for each in asked]
    if worse:
        allowed = f"more than the margin of {100 * margin:g} points " if margin else ""
        reasons.append(f"RL may be {allowed}worse than {LABELS[reference]} on {' and '.join(worse)}")
    if not better:
        reasons.append(f"RL is not better than {LABELS[reference]} beyond the interval on anything")
    return bool(better) and not worse, reasons
