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
from datetime import date
from importlib.metadata import version
from pathlib import Path

from components.reward.math import MathPool, quick_verdict
from components.reward.memory import RecentlyUsed

GOLDS = ["42", "-7", "\\frac{3}{4}", "2\\sqrt{3}", "\\{1,2,3\\}", "(1,2)", "[0,1)", "x^2+2x+1", "3\\pi", "0.25", "1024",
         "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "50\\%", "e^{2}", "\\frac{x+1}{2}"]
FORMS = ["{gold}", "{gold}+0", "\\frac{{{gold}}}{{1}}", "{gold}.", "\\left({gold}\\right)", "{serial}", "{serial}.5",
         "\\frac{{{serial}}}{{3}}", "\\sqrt{{{serial}}}", "x+{serial}", "{serial}\\times 7", "\\text{{no}}"]


def mixed(count: int) -> list[tuple[str, str]]:
    rng = random.Random(0)
    pairs = []
    for serial in range(count):
        gold = rng.choice(GOLDS)
        answer = rng.choice(FORMS).format(gold=gold, serial=serial)
        pairs.append((gold, "Let me think. " * 50 + f"So \\boxed{{{answer}}}."))
    return pairs


def timed(verify: Callable[[str, str], object], pairs: list[tuple[str, str]]) -> tuple[float, float, float]:
    """(median ms, 99th percentile ms, verdicts a second)."""
    times = []
    for gold, completion in pairs:
        started = time.perf_counter()
        verify(gold, completion)
        times.append(time.perf_counter() - started)
    ordered = sorted(times)
    return ordered[len(ordered) // 2] * 1e3, ordered[math.ceil(len(ordered) * 0.99) - 1] * 1e3, len(times) / sum(times)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--count", type=int, default=1500)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    pairs = mixed(options.count)
    integers = [("17", "step by step " * 30 + f"\\boxed{{{serial % 97}}}") for serial in range(100_000)]
    rows = []
    started = time.perf_counter()
    for gold, completion in integers:
        quick_verdict(gold, completion)
    rate = len(integers) / (time.perf_counter() - started)
    rows.append(("integers, in the caller's process", (1e3 / rate, float("nan"), rate)))
    with MathPool(1) as pool:
        pool._memory = RecentlyUsed(0)                       # every verdict a fresh one
        pool.verify_many(mixed(40))
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
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python "
        f"{platform.python_version()}, math-verify {version('math-verify')}, sympy {version('sympy')}", "",
        "| what | median ms | p99 ms | verdicts/s |", "|---|---:|---:|---:|",
        *[f"| {name} | {median:.3f} | {'–' if math.isnan(p99) else f'{p99:.1f}'} | {rate:,.0f} |"
          for name, (median, p99, rate) in rows],
        "", f"Slowest of four answers made to hang: {worst:.2f} s (killed at 2 s).",
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
