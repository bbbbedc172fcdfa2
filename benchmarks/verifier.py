"""Math verdicts: time of each and verdicts a second, beside math-verify called directly (which has no such rules).

    python benchmarks/verifier.py [--count 1500] [--out benchmarks/verifier.md]
"""

from __future__ import annotations

import argparse
import math
import os
import platform
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from importlib.metadata import version
from pathlib import Path

from components.reward.math import MathPool, quick_verdict
from components.reward.memory import RecentlyUsed

GOLDS = ["42", "-7", "\\frac{3}{4}", "2\\sqrt{3}", "\\{1,2,3\\}", "(1,2)", "[0,1)", "x^2+2x+1", "3\\pi", "0.25", "1024",
         "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "50\\%", "e^{2}", "\\frac{x+1}{2}"]
FORMS = ["{gold}", "{gold}+0", "\\frac{{{gold}}}{{1}}", "{gold}.", "\\left({gold}\\right)", "{serial}", "{serial}.5",
         "\\frac{{{serial}}}{{3}}", "\\sqrt{{{serial}}}", "x+{serial}", "{serial}\\times 7", "\\text{{no}}"]


@dataclass(frozen=True)
class Row:
    """Of one way to get verdicts."""

    median_ms: float
    p99_ms: float
    a_second: float
    a_cpu_second: float


def mixed(count: int) -> list[tuple[str, str]]:
    rng = random.Random(0)
    pairs = []
    for serial in range(count):
        gold = rng.choice(GOLDS)
        answer = rng.choice(FORMS).format(gold=gold, serial=serial)
        pairs.append((gold, "Let me think. " * 50 + f"So \\boxed{{{answer}}}."))
    return pairs


def cpu_s(pid: int) -> float:
    """CPU seconds of a process and all below it that still live."""
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    own = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    return own / 1e9 + sum(map(cpu_s, children))


def timed(verify: Callable[[str, str], object], pairs: list[tuple[str, str]]) -> Row:
    """What a verdict takes, on the clock and of CPU (here and in worker processes)."""
    times = []
    before = cpu_s(os.getpid())
    for gold, completion in pairs:
        started = time.perf_counter()
        verify(gold, completion)
        times.append(time.perf_counter() - started)
    spent = cpu_s(os.getpid()) - before
    ordered = sorted(times)
    p99 = ordered[math.ceil(len(ordered) * 0.99) - 1]
    return Row(ordered[len(ordered) // 2] * 1e3, p99 * 1e3, len(times) / sum(times), len(times) / spent)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=1500)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    pairs = mixed(options.count)
    integers = [("17", "step by step " * 30 + f"\\boxed{{{serial % 97}}}") for serial in range(100_000)]
    rows = [("integers, in the caller's process", timed(quick_verdict, integers))]
    with MathPool(1) as pool:
        pool._memory = RecentlyUsed(0)                       # every verdict a fresh one
        pool.verify_many(mixed(40))                          # its processes are there
        rows.append(("mixed set, MathPool(1)", timed(lambda gold, text: pool.submit(gold, text).result(), pairs)))
        worst = 0.0
        for answer in ("9^{9^{9^{9}}}", "(10^8)!", "(" * 300 + "42" + ")" * 300, "7" * 4000):
            started = time.perf_counter()
            pool.submit("42", f"\\boxed{{{answer}}}").result()
            worst = max(worst, time.perf_counter() - started)

    from math_verify import parse, verify

    def direct(gold: str, completion: str) -> object:
        return verify(parse(f"\\boxed{{{gold}}}"), parse(completion))

    for gold, completion in mixed(40):
        direct(gold, completion)
    rows.append(("mixed set, math-verify directly, main thread", timed(direct, pairs[: options.count // 3])))
    lines = [
        f"# Math verifier ({date.today()})", "",
        f"`python benchmarks/verifier.py --count {options.count}`: {len(GOLDS)} kinds of answers in {len(FORMS)} "
        "forms, the memory of verdicts switched off; one client.", "",
        f"{platform.machine()}, {os.cpu_count()} cores ({os.getloadavg()[0]:.1f} load), Linux {platform.release()}, "
        f"Python {platform.python_version()}, math-verify {version('math-verify')}, sympy {version('sympy')}", "",
        "| what | median ms | p99 ms | verdicts/s | verdicts/s of CPU |", "|---|---:|---:|---:|---:|",
        *[f"| {name} | {row.median_ms:.3f} | {row.p99_ms:.1f} | {row.a_second:,.0f} | {row.a_cpu_second:,.0f} |"
          for name, row in rows],
        "", f"Slowest of four answers made to hang: {worst:.2f} s (killed at 2 s).",
    ]
    print("\n".join(lines))
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
