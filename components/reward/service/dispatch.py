"""The bounded queue between requests and pools. Lives in the event loop's thread; needs no locks.

Both kinds of problem have a lane. A lane hands over as many items as keep its pool busy and holds the others back, so
that an item of higher priority overtakes all that wait.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from components.reward import code, math
from components.reward.judges import Judge
from components.reward.service.config import ServiceConfig
from components.reward.service.metrics import Metrics
from components.reward.service.schema import CodeItem, MathItem, Outcome

_log = logging.getLogger(__name__)
_LONGEST_WAIT_S = 30


class QueueFullError(Exception):
    """There is no room; try again in `retry_after_s` seconds."""

    def __init__(self, retry_after_s: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_after_s} s")
        self.retry_after_s = retry_after_s


@dataclass(order=True)
class _Ticket:
    """One accepted item."""

    rank: tuple[int, int]
    index: int = field(compare=False)
    item: MathItem | CodeItem | None = field(compare=False)     # None: it is being judged, or abandoned
    work: Accepted = field(compare=False)
    open: bool = field(default=True, compare=False)             # neither answered nor abandoned


class Accepted:
    """An accepted batch: its tickets, and its outcomes as they come."""

    def __init__(self) -> None:
        self.tickets: list[_Ticket] = []
        self.since = time.monotonic()
        self._outcomes: asyncio.Queue[Outcome] = asyncio.Queue()

    def put(self, outcome: Outcome) -> None:
        self._outcomes.put_nowait(outcome)

    async def next_outcomes(self, seconds: float) -> list[Outcome]:
        """All outcomes that are there, at least one; none if `seconds` pass without any."""
        try:
            outcomes = [await asyncio.wait_for(self._outcomes.get(), seconds)]
        except TimeoutError:
            return []
        while not self._outcomes.empty():
            outcomes.append(self._outcomes.get_nowait())
        return outcomes


class _Lane:
    def __init__(self, name: str, workers: int) -> None:
        self.name, self.ahead = name, 2 * workers    # one to work on, one at hand
        self.waiting: list[_Ticket] = []
        self.running = 0
        self.seconds = 0.05                          # that a verdict takes here, by recent ones

    def backlog_s(self) -> float:
        return (len(self.waiting) + self.running) * self.seconds / self.ahead


class Dispatcher:
    """Accepts items up to a bound and has them judged, by priority, then by arrival."""

    def __init__(self, judge: Judge, config: ServiceConfig, metrics: Metrics) -> None:
        self._judge, self._bound, self._metrics = judge, config.queue_items, metrics
        self._lanes = {"math": _Lane("math", config.math_workers), "code": _Lane("code", config.slots)}
        self._serial = 0
        self.pending = 0                             # accepted, and neither answered nor abandoned
        self._idle = asyncio.Event()
        self._idle.set()

    def accept(self, items: Sequence[MathItem | CodeItem], priority: int) -> Accepted:
        """Queue all items, or none.

        Raises:
            QueueFullError: they do not fit.
        """
        if self.pending + len(items) > self._bound:
            raise QueueFullError(self.retry_after_s())
        work = Accepted()
        for index, item in enumerate(items):
            self._serial += 1
            ticket = _Ticket((-priority, self._serial), index, item, work)
            heapq.heappush(self._lanes[item.kind].waiting, ticket)
            self._metrics.queued.labels(item.kind).inc()
            work.tickets.append(ticket)
        self.pending += len(items)
        self._idle.clear()
        for lane in self._lanes.values():
            self._feed(lane)
        return work

    def abandon(self, work: Accepted) -> None:
        """Forget what is not yet answered: its client has gone away. What is being judged already ends by itself."""
        for ticket in work.tickets:
            if ticket.open:
                ticket.open = False
                self._metrics.abandoned.inc()
                if ticket.item is not None:          # still waiting: the lane drops it when it comes up
                    self._metrics.queued.labels(ticket.item.kind).dec()
                    ticket.item = None
                self._leave()

    def retry_after_s(self) -> int:
        """Whole seconds in which, at the present pace, the queue will have emptied."""
        return max(1, min(_LONGEST_WAIT_S, ceil(max(lane.backlog_s() for lane in self._lanes.values()))))

    async def idle(self) -> None:
        """Wait until everything accepted is answered."""
        await self._idle.wait()

    def _leave(self) -> None:
        self.pending -= 1
        if self.pending == 0:
            self._idle.set()

    def _feed(self, lane: _Lane) -> None:
        while lane.waiting and lane.running < lane.ahead:
            ticket = heapq.heappop(lane.waiting)
            if ticket.item is None:
                continue
            item, ticket.item = ticket.item, None
            self._metrics.queued.labels(lane.name).dec()
            self._metrics.waited.labels(lane.name).observe(time.monotonic() - ticket.work.since)
            self._metrics.running.labels(lane.name).inc()
            lane.running += 1
            self._start(lane, ticket, item)

    def _start(self, lane: _Lane, ticket: _Ticket, item: MathItem | CodeItem) -> None:
        loop, started = asyncio.get_running_loop(), time.monotonic()
        try:
            verdict: Future[Any] = (
                self._judge.compare(item.gold, item.completion) if isinstance(item, MathItem)
                else self._judge.run(item.program, item.problem, item.limits.limits())
            )
        except Exception as error:
            verdict = Future()
            verdict.set_exception(error)
        # call_soon: a verdict that is known already must not end in here, or a full queue of them would recurse
        verdict.add_done_callback(
            lambda done: loop.call_soon_threadsafe(self._finish, lane, ticket, done, started)
        )

    def _finish(self, lane: _Lane, ticket: _Ticket, done: Future[Any], started: float) -> None:
        seconds = time.monotonic() - started
        lane.running -= 1
        lane.seconds += 0.05 * (seconds - lane.seconds)
        self._metrics.running.labels(lane.name).dec()
        self._metrics.judged.labels(lane.name).observe(seconds)
        outcome = _outcome(ticket.index, done)
        self._metrics.verdicts.labels(lane.name, outcome.kind).inc()
        for kind in outcome.tests:
            self._metrics.tests.labels(kind).inc()
        if ticket.open:
            ticket.open = False
            ticket.work.put(outcome)
            self._leave()
        self._feed(lane)


def _outcome(index: int, done: Future[Any]) -> Outcome:
    error = done.exception()
    if error is not None:                            # a bug of ours says nothing about the completion
        _log.error("a verdict failed", exc_info=error)
        return Outcome(index=index, kind="infrastructure")
    verdict: math.Verdict | code.CodeVerdict = done.result()
    if isinstance(verdict, math.Verdict):
        return Outcome(index=index, kind=verdict.kind)
    kind: math.Kind = "infrastructure" if verdict.infrastructure else "correct" if verdict.passed else "wrong"
    return Outcome(index=index, kind=kind, tests=list(verdict.tests))
