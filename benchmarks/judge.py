"""What a test of a program costs: our judge beside a Python start per test and, where installed, bubblewrap per test.

    python benchmarks/judge.py [--programs 40] [--tests 10] [--rounds 5] [--out benchmarks/judge.md]
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
from contextlib import ExitStack
from datetime import date
from pathlib import Path

from components.problems import CodeProblem, TestCase
from components.reward.code import judge_many
from components.reward.sandbox import LEVELS, SandboxError, SandboxPool

Way = Callable[[list[tuple[str, CodeProblem]]], None]
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


def slot_counts() -> list[int]:
    """1, 2, 4, … up to the number of cores."""
    cores = os.cpu_count() or 1
    return sorted({1, *(1 << power for power in range(1, 10) if 1 << power < cores), cores})


def open_ways(stack: ExitStack) -> dict[str, tuple[Way, int]]:
    """What is compared: a name, how jobs are run, and by how much less work the slow ones are measured."""
    ways: dict[str, tuple[Way, int]] = {}
    for level in LEVELS:
        for slots in slot_counts():
            try:
                pool = stack.enter_context(SandboxPool(slots, level=level))
            except SandboxError as error:
                print(f"level {level}: {error}", file=sys.stderr)
                break

            def ours(part: list[tuple[str, CodeProblem]], pool: SandboxPool = pool) -> None:
                pool.memory._entries.clear()
                assert all(verdict.passed for verdict in judge_many(part, pool))
            ways[f"judge, level {level}, {slots} slot{'s' * (slots > 1)}"] = ours, 1
    python = str(Path(sys.executable).resolve())             # the interpreter, not the environment's link to it
    ways["python -I -S per test"] = spawn([python, "-I", "-S"]), 8
    ways["python per test"] = spawn([sys.executable]), 8
    if bwrap := shutil.which("bwrap"):
        inside = [bwrap, "--unshare-all", "--ro-bind", "/", "/", "--die-with-parent", python, "-I", "-S"]
        ways["bubblewrap + python -I -S per test"] = spawn(inside), 8
    else:
        print("bubblewrap is not installed: not compared", file=sys.stderr)
    return ways


def measure(programs: int, tests: int, rounds: int) -> dict[str, float]:
    """The least milliseconds a test of each way, all taken in turn so that a busy minute hits all of them."""
    jobs = make(programs, tests)
    best: dict[str, float] = {}
    with ExitStack() as stack:
        ways = open_ways(stack)
        for _ in range(rounds):
            for name, (run, share) in ways.items():
                part = jobs[: max(1, len(jobs) // share)]
                started = time.perf_counter()
                run(part)
                spent = (time.perf_counter() - started) / (len(part) * tests) * 1e3
                best[name] = min(spent, best.get(name, spent))
    return best


def summary(best: dict[str, float]) -> list[str]:
    """The ratios that matter, a line for each level."""
    lines = []
    for level in LEVELS:
        counts = [count for count in slot_counts() if f"judge, level {level}, {count} slot{'s' * (count > 1)}" in best]
        if not counts:
            continue
        one = best[f"judge, level {level}, 1 slot"]
        line = f"- {level}: a test costs {one / best['python -I -S per test']:.2f} of a Python start"
        if bubblewrap := best.get("bubblewrap + python -I -S per test"):
            line += f", bubblewrap {bubblewrap / one:.1f} times as much"
        gains = [f"{count} slots {one / best[f'judge, level {level}, {count} slots']:.2f}" for count in counts[1:]]
        lines.append(f"{line}; speed-up over one slot: {', '.join(gains)}")
    return lines


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--programs", type=int, default=40)
    arguments.add_argument("--tests", type=int, default=10)
    arguments.add_argument("--rounds", type=int, default=5)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    best = measure(options.programs, options.tests, options.rounds)
    least = min(value for name, value in best.items() if name.endswith(" 1 slot"))
    lines = [
        f"# Judge: milliseconds a test ({date.today()})", "",
        f"`python benchmarks/judge.py --programs {options.programs} --tests {options.tests}`: a sorting program, "
        f"{options.tests} tests each; wall time, best of {options.rounds} passes taken in turn; one client.", "",
        f"{platform.machine()}, {os.cpu_count()} cores ({os.getloadavg()[0]:.1f} load), Linux {platform.release()}, "
        f"Python {platform.python_version()}", "",
        "| way | ms a test | times our best with one slot |", "|---|---:|---:|",
        *[f"| {name} | {value:.2f} | {value / least:.1f} |" for name, value in best.items()], "", *summary(best),
    ]
    print("\n".join(lines))
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
