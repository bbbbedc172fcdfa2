"""Verdicts on mathematical answers.

- `MathPool`  math-verify in worker processes that can be killed, behind the quick verdicts of `answers.py`
- `verify`    one verdict, from a pool this process keeps

What counts as an answer is the evaluated-answer rule of `components/reward/formulas.py`.
"""

from __future__ import annotations

import atexit
import queue
import threading
from collections.abc import Iterable
from concurrent.futures import Future

from components.reward.answers import TAIL, UNPARSABLE, Kind, Verdict, last_box, quick, quick_verdict
from components.reward.math_processes import TIMEOUT_S, Parent, Worker
from components.reward.memory import RecentlyUsed

__all__ = ["TAIL", "TIMEOUT_S", "Kind", "MathPool", "Verdict", "last_box", "quick_verdict", "verify"]

_SLOW_S = 0.1  # a comparison that takes longer makes room for another worker
_SPARE = 4  # workers for those; the pool is never larger than `workers` and these


class MathPool:
    """Worker processes that compare formulas, each killed and replaced when a comparison takes two seconds.

    The workers are forked from one process that has loaded sympy once, so a replacement costs milliseconds. A
    comparison that takes long holds up no other: a spare worker goes on with the queue.

    Args:
        workers: comparisons at the same time, not counting up to four slow ones.
    """

    def __init__(self, workers: int = 1) -> None:
        self._memory = RecentlyUsed(1 << 16)
        self._jobs: queue.SimpleQueue[tuple[str, str, Future[Verdict]] | None] = queue.SimpleQueue()
        self._parent = Parent()
        self._turns = threading.Semaphore(workers)
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"math-{index}", daemon=True) for index in range(workers + _SPARE)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, gold: str, completion: str) -> Future[Verdict]:
        """The verdict on a completion's answer, later."""
        if self._closed:
            raise RuntimeError("the math pool is closed")
        future: Future[Verdict] = Future()
        box = last_box(completion)
        known = UNPARSABLE if box is None else quick(gold, box) or self._memory.get((gold, box))
        if known is not None:
            future.set_result(known)
        else:
            assert box is not None
            self._jobs.put((gold, box, future))
        return future

    def verify_many(self, pairs: Iterable[tuple[str, str]]) -> list[Verdict]:
        """Verdicts on (gold, completion) pairs, in their order."""
        return [future.result() for future in [self.submit(gold, completion) for gold, completion in pairs]]

    def close(self) -> None:
        """Finish what was submitted and end all processes. Safe to call twice."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._jobs.put(None)
            for thread in self._threads:
                thread.join()
            self._parent.close()

    def __enter__(self) -> MathPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _work(self) -> None:
        worker = Worker(self._parent)
        while True:
            turn = _Turn(self._turns)
            job = self._jobs.get()
            if job is None:
                turn.give_up()
                break
            gold, box, future = job
            if future.set_running_or_notify_cancel():
                try:
                    verdict = worker.compare(gold, box, _SLOW_S, turn.give_up)
                except BaseException as error:  # a bug here must reach the caller, not end the thread
                    future.set_exception(error)
                else:
                    if verdict.kind != "infrastructure":
                        self._memory.put((gold, box), verdict)
                    future.set_result(verdict)
            turn.give_up()
        worker.stop()


class _Turn:
    """The right to take the next job, held until the job is done or known to be slow."""

    def __init__(self, turns: threading.Semaphore) -> None:
        self._turns: threading.Semaphore | None = turns
        turns.acquire()

    def give_up(self) -> None:
        if self._turns is not None:
            self._turns.release()
            self._turns = None


_shared: MathPool | None = None
_shared_lock = threading.Lock()


def verify(gold: str, completion: str) -> Verdict:
    """The verdict on the answer of `completion` against `gold` (LaTeX, a number or words, with or without a box)."""
    global _shared
    verdict = quick_verdict(gold, completion)
    if verdict is not None:
        return verdict
    with _shared_lock:
        if _shared is None:
            _shared = MathPool(1)
            atexit.register(_shared.close)
    return _shared.submit(gold, completion).result()
