"""What the judge's server costs: throughput and latency against the same pools in the asking process.

Both have the same number of slots and formula workers on the same machine, so the ratio is the price of HTTP, of JSON
and of a second process. No program or formula is asked twice, since both remember verdicts.

    python benchmarks/judge_service.py [--programs 100] [--formulas 1000]        writes benchmarks/judge_service.md
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from datetime import date
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

from components.problems import CodeProblem, TestCase
from components.reward.judges import Judge, LocalJudge
from components.reward.sandbox import Limits
from components.reward.service.client import JudgeClient

TESTS, CLIENTS, ALONE = 10, 4, 100
PROGRAM = "n, *values = map(int, open(0).read().split())\nprint(*sorted(values), {serial})\n"
_serials = count(1)  # of this process; clients begin far apart
Ask = Callable[[Judge], "Future[Any]"]


def program(judge: Judge) -> Future[Any]:
    """A program that sorts, on ten tests."""
    serial = next(_serials)
    tests = []
    for number in range(TESTS):
        values = [(value * 7919 + number) % 101 for value in range(20)]
        expected = " ".join(map(str, sorted(values)))
        tests.append(TestCase(input=f"20 {' '.join(map(str, values))}\n", expected=f"{expected} {serial}\n"))
    problem = CodeProblem(id=str(serial), source="benchmark", prompt="sort", tests=tuple(tests))
    return judge.run(PROGRAM.format(serial=serial), problem, Limits())


def formula(judge: Judge) -> Future[Any]:
    """A formula that only algebra shows to be right."""
    serial = next(_serials)
    return judge.compare(
        f"\\frac{{x+{serial}}}{{2}}", f"Let me think. {'Hm. ' * 50}\\boxed{{\\frac{{{serial}+x}}{{2}}}}"
    )


def right(verdict: Any) -> bool:
    return verdict.passed if hasattr(verdict, "passed") else verdict.kind == "correct"


def throughput(judge: Judge, ask: Ask, number: int) -> float:
    """Verdicts a second when all are asked for at once."""
    started = time.perf_counter()
    futures = [ask(judge) for _ in range(number)]
    assert all(right(future.result()) for future in futures)
    return number / (time.perf_counter() - started)


def latency(judge: Judge, ask: Ask) -> tuple[float, float]:
    """(median, 99th percentile) in ms of a verdict, one after another."""
    times = []
    for _ in range(ALONE):
        started = time.perf_counter()
        assert right(ask(judge).result())
        times.append((time.perf_counter() - started) * 1e3)
    times.sort()
    return statistics.median(times), times[math.ceil(len(times) * 0.99) - 1]


def overtaking(url: str, ask: Ask, number: int) -> tuple[float, float]:
    """Seconds that an item of priority 5 takes behind `number` items of priority 0, and that those take."""
    with closing(JudgeClient(url)) as many, closing(JudgeClient(url, priority=5)) as urgent:
        started = time.perf_counter()
        waiting = [ask(many) for _ in range(number)]
        time.sleep(0.3)  # they are in the queue
        asked = time.perf_counter()
        assert right(ask(urgent).result())
        urgent_s = time.perf_counter() - asked
        assert all(right(future.result()) for future in waiting)
        return urgent_s, time.perf_counter() - started


@contextmanager
def server(slots: int) -> Iterator[str]:
    """A judge's process; its URL."""
    command = [sys.executable, "-m", "components.reward.service", "--port", "0", "--set", f"slots={slots}"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if found := re.search(r"listening on (http://\S+)", line):
                yield found[1]
                break
    finally:
        process.terminate()
        process.communicate()


def _client(url: str, begin: int, name: str, number: int, barrier: Any) -> None:
    global _serials
    _serials = count(begin)
    with closing(JudgeClient(url)) as judge:
        barrier.wait()
        throughput(judge, {"program": program, "formula": formula}[name], number)
    barrier.wait()


def many_clients(url: str, ask: Ask, number: int) -> float:
    """Verdicts a second that `CLIENTS` processes get together."""
    spawn = multiprocessing.get_context("spawn")
    barrier = spawn.Barrier(CLIENTS + 1)
    each = number // CLIENTS
    clients = [
        spawn.Process(target=_client, args=(url, next(_serials) + 10**6 * (n + 1), ask.__name__, each, barrier))
        for n in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    barrier.wait()
    started = time.perf_counter()
    barrier.wait()
    seconds = time.perf_counter() - started
    for client in clients:
        client.join()
    return each * CLIENTS / seconds


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--programs", type=int, default=100)
    arguments.add_argument("--formulas", type=int, default=1000)
    arguments.add_argument("--passes", type=int, default=3)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    slots = os.cpu_count() or 1
    kinds: list[tuple[str, Ask, int]] = [
        (f"programs, {TESTS} tests each", program, options.programs),
        ("formulas", formula, options.formulas),
    ]
    rows = []
    with closing(LocalJudge(slots, 1, "landlock")) as pools, server(slots) as url, closing(JudgeClient(url)) as client:
        for title, ask, number in kinds:
            for judge in (pools, client):
                throughput(judge, ask, 20)  # warm
            # side by side in each pass, the best of the passes: other work on the machine only ever slows
            rates = [
                (throughput(pools, ask, number), throughput(client, ask, number), many_clients(url, ask, number))
                for _ in range(options.passes)
            ]
            best = [max(column) for column in zip(*rates, strict=True)]
            for way, rate, judge in (("pools in the process", best[0], pools), ("server, one client", best[1], client)):
                rows.append((title, way, rate, best[0], *latency(judge, ask)))
            rows.append((title, f"server, {CLIENTS} client processes", best[2], best[0], math.nan, math.nan))
        urgent_s, all_s = overtaking(url, program, options.programs)
    lines = [
        f"# The judge's server against pools in the process ({date.today()})",
        "",
        f"`python benchmarks/judge_service.py --programs {options.programs} --formulas {options.formulas}`: all asked "
        f"for at once, best of {options.passes} passes; latency of {ALONE} asked for one after another. {slots} slots "
        "and 1 formula worker each, server and clients share the machine, nothing is asked twice.",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python "
        f"{platform.python_version()}, uvicorn {version('uvicorn')}, httpx {version('httpx')}",
        "",
        "| what | who judges | verdicts/s | of the pools' | median ms | p99 ms |",
        "|---|---|---:|---:|---:|---:|",
        *[
            f"| {title} | {way} | {rate:,.0f} | {rate / pool:.2f} | "
            + ("– | – |" if math.isnan(median) else f"{median:.1f} | {p99:.1f} |")
            for title, way, rate, pool, median, p99 in rows
        ],
        "",
        f"A program of priority 5 that came behind {options.programs} of priority 0 had its verdict after "
        f"{urgent_s * 1e3:.0f} ms; they took {all_s:.1f} s.",
    ]
    print("\n".join(lines))
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
