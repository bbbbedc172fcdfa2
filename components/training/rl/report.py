"""What an RL run puts into its report and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from components.rollout.driver import Group
from components.runner import Outputs

_PLOTS = {
    "Reward and pass rate of sampled completions": ("reward", "pass_rate"),
    "Valid groups": ("valid_rate",),
    "Length of completions, sampled and trained on": ("length", "trained_length"),
    "Entropy of sampled tokens": ("entropy",),
    "Mismatch between sampler and trainer": ("mismatch_kl",),
    "Share of tokens clipped": ("clipped",),
    "Gradient norm": ("gradient_norm",),
    "Easy pool": ("easy_pool", "easy_draws"),
}


def report_rl(outputs: Outputs, history: Sequence[Mapping[str, float]], groups: Sequence[Group]) -> None:
    """Curves over iterations, the last groups to read, and the last iterations' means as metrics."""
    for heading, names in _PLOTS.items():
        series = {
            name: [(line["iteration"], line[name]) for line in history if name in line] for name in names
        }
        outputs.report.lines(heading, series, "iteration", "")
    last = history[-max(1, len(history) // 10) :]
    for name in ("reward", "pass_rate", "valid_rate", "length", "entropy", "mismatch_kl", "clipped", "reward_wait"):
        values = [line[name] for line in last if name in line]
        if values:
            outputs.metrics[name] = sum(values) / len(values)
    outputs.metrics["first_reward"] = history[0]["reward"]
    for name in ("sampled_tokens", "aborted_tokens", "masked"):
        outputs.metrics[name] = sum(line[name] for line in history)
    outputs.metrics["updates_s"] = sum(line["wall_s"] for line in history)
    outputs.report.samples("Completions of the last iteration", [
        (f"{group.problem.prompt} — reward {sample.reward.value:.2f} ({sample.reward.kind})", sample.text)
        for group in list(groups)[:4] for sample in group.samples[:3]
    ])  # fmt: skip
