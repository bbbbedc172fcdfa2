"""Does the recipe learn? Runs the smoke profile with several seeds and tabulates the four checkpoints.

    python benchmarks/smoke_learning.py --seeds 0 1 2 3 4

Each seed is a whole `mimo run` with its own problems, data order, weights and sampling. For each the table shows avg@k
of the checkpoints with 95 % intervals and the paired differences that must be beyond their intervals: SFT over Base,
RL over SFT, RL-Zero over Base, on math and on code. Writes benchmarks/smoke_learning.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CHECKPOINTS = ("base", "sft", "rl_zero", "rl")
CLAIMS = (("sft", "base"), ("rl", "sft"), ("rl_zero", "base"))
KINDS = ("math", "code")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="where runs lie; what is there is not repeated")
    parser.add_argument("--parallel", type=int, default=1, help="seeds at a time; each gets its share of the cores")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="passed on to mimo run")
    arguments = parser.parse_args()
    with ThreadPoolExecutor(arguments.parallel) as pool:
        results = list(pool.map(lambda seed: run(seed, arguments), arguments.seeds))
    text = render(dict(zip(arguments.seeds, results, strict=True)), arguments)
    (HERE / "smoke_learning.md").write_text(text, encoding="utf-8")
    print(text)


def run(seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one seed; its node metrics, decision and seconds."""
    runs = arguments.runs / f"seed-{seed}"
    threads = max(1, (os.cpu_count() or 1) // arguments.parallel)
    overrides = [part for each in (f"seed={seed}", *arguments.set) for part in ("--set", each)]
    command = [sys.executable, "-m", "pipelines.cli", "run", "--profile", "smoke", "--runs", str(runs), *overrides]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    finished = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if finished.returncode:
        sys.exit(f"seed {seed} failed:\n{finished.stdout[-2000:]}\n{finished.stderr[-2000:]}")
    record = json.loads((runs / "latest" / "run.json").read_text())
    nodes = {name: Path(next(iter(node["outputs"].values()))).parent for name, node in record["nodes"].items()}
    print(f"seed {seed}: finished", file=sys.stderr, flush=True)
    return {
        "metrics": {name: json.loads((path / "metrics.json").read_text()) for name, path in nodes.items()},
        "decision": json.loads((nodes["gate"] / "decision" / "decision.json").read_text()),
        "seconds": sum(node["seconds"] for node in record["nodes"].values()),
    }


def render(results: Mapping[int, Mapping[str, Any]], arguments: argparse.Namespace) -> str:
    lines = [
        f"# Learning in the smoke profile ({date.today().isoformat()})",
        "",
        f"`python benchmarks/smoke_learning.py --seeds {' '.join(map(str, results))}`"
        f"{''.join(f' --set {each}' for each in arguments.set)}, {arguments.parallel} at a time. {machine()}",
        "",
        "avg@k in percent on problems held out by construction, with 95 % bootstrap intervals over problems.",
        "",
        "| seed | " + " | ".join(f"{kind} {name}" for kind in KINDS for name in CHECKPOINTS) + " | minutes |",
        "|---:|" + "---:|" * (2 * len(CHECKPOINTS) + 1),
    ]
    for seed, result in results.items():
        cells = [score(result["metrics"][f"evaluation_{name}"], kind) for kind in KINDS for name in CHECKPOINTS]
        lines.append(f"| {seed} | " + " | ".join(cells) + f" | {result['seconds'] / 60:.1f} |")
    lines += ["", "Paired differences in points; **bold** where the interval is above zero.", "",
              "| seed | " + " | ".join(f"{kind} {a} − {b}" for kind in KINDS for a, b in CLAIMS) + " | all six |",
              "|---:|" + "---:|" * (2 * len(CLAIMS) + 1)]  # fmt: skip
    whole = 0
    for seed, result in results.items():
        comparisons = result["decision"]["comparisons"]
        gaps = {(row["left"], row["right"], row["kind"]): row["difference"] for row in comparisons}
        cells = [difference(gaps[a, b, kind]) for kind in KINDS for a, b in CLAIMS]
        holds = all(gaps[a, b, kind]["low"] > 0 for kind in KINDS for a, b in CLAIMS)
        whole += holds
        lines.append(f"| {seed} | " + " | ".join(cells) + f" | {'yes' if holds else 'no'} |")
    lines += ["", f"All six differences are beyond their intervals in {whole} of {len(results)} seeds.", ""]
    return "\n".join(lines)


def score(metrics: Mapping[str, float], kind: str) -> str:
    value, low, high = (100 * metrics[f"{kind}_avg{suffix}"] for suffix in ("", "_low", "_high"))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def difference(gap: Mapping[str, float]) -> str:
    text = f"{100 * gap['value']:+.1f} [{100 * gap['low']:+.1f}, {100 * gap['high']:+.1f}]"
    return f"**{text}**" if gap["low"] > 0 else text


def machine() -> str:
    import torch

    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    return f"{platform.machine()}, {os.cpu_count()} cores, {versions}."


if __name__ == "__main__":
    main()
