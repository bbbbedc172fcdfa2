"""The seamless scheduler in the simulated cluster, beside the report's Table 2.

    python benchmarks/rollout_simulation.py [--steps 5] [--seeds 3]

Prints the Markdown table of rollout_simulation.md: speed-ups against naive dynamic sampling, idle ratio, waste and
the bias of the trained length. Simulated time only: the figures do not depend on the machine.
"""

from __future__ import annotations

import argparse
from statistics import mean
from typing import get_args

from components.rollout.simulator import Strategy, Summary, World, simulate

# arXiv 2505.07608, Table 2: overall speed-up, rollout speed-up, normalised idle time, idle ratio, waste
REPORT = {
    "one_round": "2.45 / 2.82 / 0.36 / 70.8 % / –",
    "naive": "1.00 / 1.00 / 1.00 / 69.3 % / 22.1 %",
    "continuous": "1.99 / 2.20 / 0.25 / 38.8 % / 13.9 %",
    "asynchronous": "2.09 / 2.34 / 0.21 / 34.0 % / 16.4 %",
    "seamless": "2.29 / 2.61 / 0.15 / 27.7 % / 12.9 %",
}
LABELS = {
    "one_round": "no dynamic sampling", "naive": "naive dynamic sampling", "continuous": "+ continuous rollout",
    "asynchronous": "+ asynchronous reward", "seamless": "+ early termination", "strong": "strong synchronous",
    "greedy": "first to finish (biased)",
}  # fmt: skip
WORLDS = {
    "as in the report: 64 GPUs, 32 sequences a GPU and round, judge latency 2 s": World(),
    "one GPU, 256 slots, 8K tokens, rewards 0.5 s": World(
        decoders=1, slots=256, group_size=8, max_tokens=8_000, log_length=7.0, base_step_s=0.004,
        sequence_step_s=0.00004, judges=16, reward_s=0.5, train_tokens_per_s=30_000.0,
    ),
}  # fmt: skip


def row(strategy: str, runs: list[Summary], naive: list[Summary]) -> str:
    pairs = list(zip(runs, naive, strict=True))
    cells = [
        LABELS[strategy],
        f"{mean(base.wall_s / run.wall_s for run, base in pairs):.2f}×",
        f"{mean(base.rollout_s / run.rollout_s for run, base in pairs):.2f}×",
        f"{mean(run.idle_s / base.idle_s for run, base in pairs):.2f}",
        f"{mean(run.idle_ratio for run in runs):.1%}",
        f"{mean(run.waste for run in runs):.1%}",
        f"{mean(run.valid_rate for run in runs):.1%}",
        f"{mean(run.length_bias for run in runs):+.1%}",
        REPORT.get(strategy, ""),
    ]
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()
    for name, world in WORLDS.items():
        runs = {
            strategy: [
                simulate(world, strategy, batch_size=arguments.batch, steps=arguments.steps, seed=seed)
                for seed in range(arguments.seeds)
            ]
            for strategy in get_args(Strategy)
        }
        print(f"\n### {name}\n")
        print("| strategy | overall | rollout | norm. idle | idle ratio | waste | valid rate | length bias | report |")
        print("|---|---|---|---|---|---|---|---|---|")
        for strategy, summaries in runs.items():
            print(row(strategy, summaries, runs["naive"]))


if __name__ == "__main__":
    main()
