"""The judge over time: 10,000 programs leave nothing behind, and a fixed corpus gets the verdicts it always got.

    python benchmarks/endurance.py [--programs 10000] [--corpus 1000] [--out benchmarks/endurance.md]

Exits with 1 if anything is left, or any verdict is not what it was.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from datetime import date
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from corpus import GOLDEN, LIMITS, corpus, digest

from components.problems import CodeProblem
from components.reward.code import judge_many
from components.reward.sandbox import LEVELS, SandboxError, SandboxPool

SAMPLES = 10
MEMORY_SLACK_MB = 2.0  # between the middle and the end: the allocator's pages, not a leak


def processes(pid: int) -> list[int]:
    """A process and all below it."""
    children = [int(child) for task in Path(f"/proc/{pid}/task").iterdir()
                for child in (task / "children").read_text().split()]  # fmt: skip
    return [pid] + [below for child in children for below in processes(child)]


def memory_mb(pid: int) -> float:
    """Private memory of a process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 1024


def footprint(pool: SandboxPool) -> dict[str, float]:
    """What the judge holds when no program runs."""
    for slot in pool._slots:
        slot._end_program()  # or the last program's process may be about to end
    family = processes(os.getpid())
    return {
        "processes": len(family),
        "threads": threading.active_count(),
        "descriptors": sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in family),
        "files": sum(1 for _ in pool._base.rglob("*")),
        "memory MB": round(sum(memory_mb(pid) for pid in family), 1),
    }


def short_programs(start: int, count: int) -> Iterator[tuple[str, CodeProblem]]:
    """Programs of the corpus with their first test, which ends soon; each is another one."""
    for program, problem in islice(corpus(start + count), start, None):
        yield program, problem.model_copy(update={"tests": problem.tests[:1]})


def endurance(programs: int) -> tuple[list[tuple[int, float, dict[str, float]]], bool]:
    """(programs judged, seconds, footprint) at every tenth, and whether nothing grew."""
    rows = []
    started = time.perf_counter()
    with SandboxPool(os.cpu_count() or 1) as pool:
        for part in range(SAMPLES):
            each = programs // SAMPLES
            verdicts = judge_many(short_programs(part * each, each), pool, LIMITS)
            assert not any(verdict.infrastructure for verdict in verdicts)
            rows.append(((part + 1) * each, time.perf_counter() - started, footprint(pool)))
    middle, end = rows[SAMPLES // 2 - 1][2], rows[-1][2]
    kept = all(end[key] == middle[key] for key in end if key != "memory MB")
    return rows, kept and end["memory MB"] - middle["memory MB"] <= MEMORY_SLACK_MB


def same_verdicts(count: int) -> tuple[list[str], bool]:
    """A table row for each level and number of slots, and whether all digests are one, and the golden one."""
    rows, digests = [], set()
    for level in LEVELS:
        for slots in (1, (os.cpu_count() or 1) + 1):
            try:
                with SandboxPool(slots, level=level) as pool:
                    started = time.perf_counter()
                    verdicts = judge_many(corpus(count), pool, LIMITS)
            except SandboxError as error:
                rows.append(f"| {level} | {slots} | not granted here: {error} | |")
                continue
            digests.add(digest(verdicts))
            rows.append(f"| {level} | {slots} | {digest(verdicts)} | {time.perf_counter() - started:.0f} |")
    kinds = Counter(kind for verdict in verdicts for kind in verdict.tests)
    rows += ["", "Verdicts on tests: " + ", ".join(f"{kind} {number}" for kind, number in sorted(kinds.items())) + "."]
    return rows, len(digests) == 1 and (digests == {GOLDEN[count]} if count in GOLDEN else True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--programs", type=int, default=10_000)
    arguments.add_argument("--corpus", type=int, default=1_000)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    rows, kept = endurance(options.programs)
    table, same = same_verdicts(options.corpus)
    columns = list(rows[0][2])
    lines = [
        f"# Judge: endurance and determinism ({date.today()})",
        "",
        f"{platform.machine()}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}",
        "",
        f"`python benchmarks/endurance.py --programs {options.programs}`: what the judge holds while programs of the "
        f"corpus go through {os.cpu_count()} slots. {'Nothing grows.' if kept else '**Something grows.**'}",
        "",
        f"| programs | seconds | {' | '.join(columns)} |",
        "|---:|---:|" + "---:|" * len(columns),
        *[
            f"| {done:,} | {seconds:.0f} | {' | '.join(f'{now[key]:g}' for key in columns)} |"
            for done, seconds, now in rows
        ],
        "",
        f"Verdicts on the corpus of {options.corpus:,} programs (`corpus.py`): "
        + (
            f"the same everywhere{', and the golden ones' * (options.corpus in GOLDEN)}."
            if same
            else "**not the same.**"
        ),
        "",
        "| level | slots | digest | seconds |",
        "|---|---:|---|---:|",
        *table,
    ]
    print("\n".join(lines))
    options.out.write_text("\n".join(lines) + "\n")
    sys.exit(not (kept and same))


if __name__ == "__main__":
    main()
