"""What a test of a program costs: our judge beside a Python start per test and, where installed, bubblewrap per test.

    python benchmarks/judge.py [--programs 40] [--tests 10] [--out benchmarks/judge.md]
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

from components.problems import CodeProblem, TestCase
from components.reward.code import judge_many
from components.reward.sandbox import LEVELS, SandboxError, SandboxPool

PROGRAM = """import sys, collections, heapq
n, *values = map(int, sys.stdin.read().split())
heapq.heapify(values)
print(*[heapq.heappop(values) for _ in range(n)])
print(len(collections.Counter(values)), {serial})
"""


def make(programs: int, tests: int) -> list[tuple[str, CodeProblem]]:
    jobs = []
    for serial in range(programs):
        cases = []
        for number in range(tests):
            values = [(value * 7919 + number) % 101 for value in range(20)]
            ordered = " ".join(map(str, sorted(values)))
            cases.append(TestCase(input=f"20 {' '.join(map(str, values))}\n", expected=f"{ordered}\n0 {serial}\n"))
        problem = CodeProblem(id=str(serial), source="benchmark", prompt="sort", tests=tuple(cases))
        jobs.append((PROGRAM.format(serial=serial), problem))
    return jobs


def spawn(command: list[str]) -> Callable[[list[tuple[str, CodeProblem]]], None]:
    def run(jobs: list[tuple[str, CodeProblem]]) -> None:
        for program, problem in jobs:
            for test in problem.tests:
                done = subprocess.run([*command, "-c", program], input=test.input, capture_output=True, text=True)
                assert done.stdout == test.expected, done.stderr
    return run


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--programs", type=int, default=40)
    arguments.add_argument("--tests", type=int, default=10)
    arguments.add_argument("--out", type=Path)
    options = arguments.parse_args()
    jobs = make(options.programs, options.tests)
    rows: list[tuple[str, float]] = []

    def measure(name: str, run: Callable[[list[tuple[str, CodeProblem]]], None], share: int = 1) -> None:
        part = jobs[: max(1, len(jobs) // share)]
        times = []
        for _ in range(3):
            started = time.perf_counter()
            run(part)
            times.append((time.perf_counter() - started) / (len(part) * options.tests) * 1e3)
        rows.append((name, sorted(times)[1]))

    python = str(Path(sys.executable).resolve())             # the interpreter, not the environment's link to it
    for level in LEVELS:
        for slots in (1, os.cpu_count() or 1):
            try:
                with SandboxPool(slots, level=level) as pool:
                    def ours(part: list[tuple[str, CodeProblem]], pool: SandboxPool = pool) -> None:
                        pool.memory._entries.clear()
                        assert all(verdict.passed for verdict in judge_many(part, pool))
                    measure(f"judge, level {level}, {slots} slot{'s' * (slots > 1)}", ours)
            except SandboxError as error:
                print(f"level {level}: {error}", file=sys.stderr)
    measure("python -I -S per test", spawn([python, "-I", "-S"]), share=8)
    measure("python per test", spawn([sys.executable]), share=8)
    if bwrap := shutil.which("bwrap"):
        inside = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--die-with-parent", python, "-I", "-S"]
        measure("bubblewrap + python -I -S per test", spawn(inside), share=8)
    else:
        print("bubblewrap is not installed: not compared", file=sys.stderr)

    best = min(value for name, value in rows if name.startswith("judge") and "1 slot" in name)
    lines = [
        f"# Judge: milliseconds a test ({date.today()})", "",
        f"`python benchmarks/judge.py --programs {options.programs} --tests {options.tests}`: a sorting program, "
        f"{options.tests} tests each; wall time, median of 3 passes; one client.", "",
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}",
        "", "| way | ms a test | times our best with one slot |", "|---|---:|---:|",
        *[f"| {name} | {value:.2f} | {value / best:.1f} |" for name, value in rows],
    ]
    print("\n".join(lines))
    if options.out:
        options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
