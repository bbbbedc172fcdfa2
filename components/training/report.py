"""What the training stages put into their reports and metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from components.runner import Outputs

SMOOTHED = 0.05   # of a curve's steps: noise of single batches is not what one looks for

SPEED_FORMULA = (
    "FLOP/s = tokens/s × FLOPs a token: 6 a matmul parameter (embedding look-up apart, the output head again for every "
    "MTP head) + 6 × heads × head size × row length a layer for causal attention, as if a row were one document; of a "
    "frozen trunk a third. MFU = FLOP/s ÷ the dense bf16 peak of all GPUs."
)


def report_training(outputs: Outputs, history: Sequence[Mapping[str, float]]) -> None:
    """Curves of losses, learning rate, gradient norm, speed and memory; final values as metrics."""
    names = [name for name in history[0] if name.endswith("loss")]
    tokens = [line["tokens"] for line in history]
    losses = {name: list(zip(tokens, _smooth([line[name] for line in history]), strict=True)) for name in names}
    outputs.report.lines("Training loss", losses, "tokens", "nats a token")
    outputs.report.lines(
        "Learning rate", {"learning rate": [(line["tokens"], line["learning_rate"]) for line in history]}, "tokens", ""
    )
    for heading, name, unit in (
        ("Gradient norm before clipping", "gradient_norm", ""), ("Speed", "tokens_per_s", "tokens a second"),
        ("Memory", "memory_gib", "GiB at most so far, in the leader"),
    ):  # fmt: skip
        outputs.report.lines(heading, {name: [(line["tokens"], line[name]) for line in history]}, "tokens", unit)
    last = max(1, len(history) // 20)
    for name in names:
        outputs.metrics[f"train_{name}"] = float(np.mean([line[name] for line in history[-last:]]))
    outputs.metrics["tokens"] = float(tokens[-1])
    outputs.metrics["steps"] = float(len(history))
    outputs.metrics["memory_gib"] = history[-1]["memory_gib"]
    for name in ("tokens_per_s", "tflops", "mfu"):
        if name in history[-1]:
            outputs.metrics[name] = float(np.median([line.get(name, 0.0) for line in history]))
    speed = f"{outputs.metrics['tokens_per_s']:,.0f} tokens/s, {outputs.metrics['tflops']:.3g} TFLOP/s"
    if "mfu" in outputs.metrics:
        speed += f", MFU {outputs.metrics['mfu']:.1%}"
    outputs.report.text("Speed, in numbers", f"Median of {len(history):,} steps: {speed}. {SPEED_FORMULA}")


def report_held_out(outputs: Outputs, measured: Mapping[str, float], before: Mapping[str, float] | None = None) -> None:
    """Held-out losses and acceptance, with the values before training where they are known."""
    columns = ["held-out text", *(["before"] if before else []), "after"]
    rows = [
        [name, *([f"{before[name]:.4f}" if name in before else "–"] if before else []), f"{value:.4f}"]
        for name, value in measured.items()
    ]
    outputs.report.table("Held-out losses and acceptance of MTP drafts", columns, rows)
    outputs.metrics.update({f"held_out_{name}": value for name, value in measured.items()})


def _smooth(values: Sequence[float]) -> list[float]:
    window = max(1, round(len(values) * SMOOTHED))
    padded = np.pad(np.asarray(values, dtype=float), (window - 1, 0), mode="edge")
    return list(np.convolve(padded, np.full(window, 1 / window), mode="valid"))
