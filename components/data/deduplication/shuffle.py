"""The global part of deduplication: from signatures to which document is kept in the place of which.

Every step is a set of tasks that read files and write files, so one process, many, or many machines that share a disk
can do them, each any number of times. A task's rows go to parts: key ranges, hashes of nodes, or groups of shards. Each
part's rows are compared in memory that grows with its distinct keys, which the number of parts bounds, never with the
number of equal ones: a million copies of one page are a stream of rows.

    urls      rows (URL, quality, id, document)       who has the same address, and who is the best of them
    bands     rows (band key, document)               edges between near-duplicates
    stars     edges                                   components, by the rounds of `components.py`
    choose    rows (component, quality, id, document) the best copy of each component

Nothing in the result depends on the number of parts, groups or workers.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

from components.artifacts import write_json
from components.data.deduplication import tasks
from components.data.deduplication.plan import Plan

Task = Callable[[Plan, str, int], tasks.Stats]
Execute = Callable[[Callable[[Any], None], Sequence[Any]], Iterator[Any]]
MOST_ROUNDS = 64  # a round halves the longest path at least


class Shuffle:
    """Runs the tasks that are not done.

    Args:
        execute: calls a function once for every job, in any order, anywhere that sees the plan's directories.
        progress: told the share done and what is being done.
    """

    def __init__(self, plan: Plan, execute: Execute, progress: Callable[[float, str], None]) -> None:
        self._plan, self._execute, self._progress = plan, execute, progress
        self._groups, self._parts = range(len(plan.groups)), range(plan.parts)

    def run(self) -> Counter[int]:
        """Afterwards `Plan.lost` knows what is dropped. Returns how many clusters there are of each size."""
        self._start()
        self._progress(0.0, "URLs")
        self._phase("urls-map", tasks.urls_map, self._groups)
        self._phase("urls-reduce", tasks.urls_reduce, self._parts, read=["urls-map"])
        self._progress(0.2, "buckets")
        self._phase("bands-map", tasks.bands_map, self._groups)
        self._phase("bands-reduce", tasks.bands_reduce, self._parts, read=["bands-map"])
        stars = self._connect(["bands-map.edges", "bands-reduce"])
        self._progress(0.8, "best copies")
        self._phase("settle", partial(tasks.settle, sources=stars), self._parts, read=stars)
        self._phase("choose-map", tasks.choose_map, self._groups, read=["settle"])
        sizes: Counter[int] = Counter()
        for stats in self._phase("choose-reduce", tasks.choose_reduce, self._parts, read=["choose-map"]):
            sizes.update({int(size): count for size, count in stats["sizes"].items()})
        return sizes

    def _connect(self, edges: list[str]) -> list[str]:
        """Rounds until no edge changes; returns where the stars are."""
        for turn in range(MOST_ROUNDS):
            self._progress(0.8 - 0.4 * 0.5**turn, f"components, round {turn + 1}")
            names = [f"large-{turn:02d}", f"small-{turn:02d}"]
            longer = self._phase(names[0], partial(tasks.large, sources=edges), self._parts, read=edges)
            wider = self._phase(names[1], partial(tasks.small, sources=names[:1]), self._parts, read=names[:1])
            edges = names[1:]
            if not any(stats["new"] for stats in longer + wider):
                return edges
        raise RuntimeError(f"deduplication: components not found in {MOST_ROUNDS} rounds")

    def _start(self) -> None:
        """Work cut otherwise, by a start with other memory, is of no use to this one."""
        mark = self._plan.spills / "plan.json"
        cut = {"bits": self._plan.bits, "groups": [shards.stop for shards in self._plan.groups]}
        if not mark.exists() or json.loads(mark.read_text()) != cut:
            shutil.rmtree(self._plan.spills, ignore_errors=True)
            for path in self._plan.index.glob("*"):
                path.unlink()
            self._plan.spills.mkdir()
            write_json(mark, cut)

    def _phase(self, name: str, task: Task, jobs: Sequence[int], read: Sequence[str] = ()) -> list[tasks.Stats]:
        """Do a phase that is not done, and remove what it has read to the end."""
        done = self._plan.spills / f"{name}.json"
        if not done.exists():
            for _ in self._execute(partial(_once, plan=self._plan, name=name, task=task), jobs):
                pass
            write_json(done, [json.loads(self._plan.marker(name, job).read_text()) for job in jobs])
        for other in read:
            shutil.rmtree(self._plan.spills / other, ignore_errors=True)
        stats: list[tasks.Stats] = json.loads(done.read_text())
        return stats


def _once(job: int, *, plan: Plan, name: str, task: Task) -> None:
    marker = plan.marker(name, job)
    if not marker.exists():
        stats = task(plan, name, job)
        marker.parent.mkdir(exist_ok=True)  # a task without rows has written nothing
        write_json(marker, stats)
