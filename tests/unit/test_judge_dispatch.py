"""The judge's queue against a model of it: bound, order, what is dropped."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.reward.math import Verdict
from components.reward.service.config import ServiceConfig
from components.reward.service.dispatch import Accepted, Dispatcher, QueueFullError
from components.reward.service.metrics import Metrics
from components.reward.service.schema import MathItem

AHEAD = 2            # items a lane hands over for its one worker


class Slow:
    """A judge whose verdicts are given by the test."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Future[Verdict]]] = []

    def compare(self, gold: str, completion: str) -> Future[Verdict]:
        self.asked.append((gold, Future()))
        return self.asked[-1][1]

    run: Any = None
    close: Any = None


@given(st.lists(st.tuples(st.integers(-2, 2), st.integers(1, 5), st.booleans()), max_size=12))
def test_batches_are_judged_by_priority_then_by_arrival(batches: list[tuple[int, int, bool]]) -> None:
    async def world() -> None:
        judge, bound = Slow(), 20
        dispatcher = Dispatcher(judge, ServiceConfig(queue_items=bound, batch_items=5), Metrics())
        expected, pending, kept, serial = [], 0, [], 0
        for priority, size, leaves in batches:
            names = [f"{serial + n}" for n in range(size)]
            items = [MathItem(kind="math", gold=name, completion="") for name in names]
            if pending + size > bound:
                with pytest.raises(QueueFullError):
                    dispatcher.accept(items, priority)
                continue
            serial += size
            work: Accepted = dispatcher.accept(items, priority)
            expected += [(-priority, int(name)) for name in names if not leaves or int(name) < AHEAD]
            if leaves:
                dispatcher.abandon(work)
            else:
                pending += size
                kept.append(work)
            assert dispatcher.pending == pending
        done = 0
        while done < len(judge.asked):
            judge.asked[done][1].set_result(Verdict("correct"))
            done += 1
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        first = sorted(expected, key=lambda entry: entry[1])[:AHEAD]     # those found the lane free
        rest = sorted(entry for entry in expected if entry not in first)
        assert [int(gold) for gold, _ in judge.asked] == [number for _, number in first + rest]
        for work in kept:
            outcomes = []
            while len(outcomes) < len(work.tickets):
                outcomes += await work.next_outcomes(1.0)
            assert sorted(outcome.index for outcome in outcomes) == list(range(len(work.tickets)))
        assert dispatcher.pending == 0
        await asyncio.wait_for(dispatcher.idle(), 1)

    asyncio.run(world())
