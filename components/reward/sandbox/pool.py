"""The door of the sandbox: slots at the strongest level this machine grants, and a queue before them."""

from __future__ import annotations

import queue
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from components.reward.memory import RecentlyUsed
from components.reward.sandbox.levels import LEVELS, Level, SandboxError, SlotUser, readable_home, self_test
from components.reward.sandbox.records import Execution, Limits
from components.reward.sandbox.slot import Slot

T = TypeVar("T")
Run = Callable[..., list[Execution]]      # with the arguments of `Slot.run`


class SandboxPool:
    """A number of slots that run programs at the strongest level this machine grants.

    Args:
        slots: programs run at the same time.
        minimum_level: the weakest acceptable of `LEVELS`.
        level: exactly this level (for tests and benchmarks); the strongest one that works when not given.
        scratch_limits: the quota of the slots' scratch directories; programs' own limits come with each submit.

    Raises:
        SandboxError: the minimum level is not reached; says what each level lacked and what to change.
    """

    def __init__(
        self, slots: int = 2, minimum_level: Level = "landlock", level: Level | None = None,
        scratch_limits: Limits | None = None,
    ) -> None:
        limits = scratch_limits or Limits()
        self._base = Path(tempfile.mkdtemp(prefix="mimo-sandbox-"))
        self._base.chmod(0o711)
        self._remove_base = weakref.finalize(self, shutil.rmtree, self._base, ignore_errors=True)
        self.memory = RecentlyUsed(4096)         # verdicts of `reward.code`; goes when the pool goes
        self.reports: dict[str, str] = {}        # level -> "ok" or what it lacked
        self._slots: list[Slot] = []
        self._users: list[SlotUser] = []
        self._jobs: queue.SimpleQueue[tuple[Callable[[Run], Any], Future[Any]] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._closed = False
        try:
            self.level = self._choose(slots, minimum_level, level, limits)
        except BaseException:
            self.close()
            raise
        self._threads = [
            threading.Thread(target=self._serve, args=(slot,), name=f"sandbox-{index}", daemon=True)
            for index, slot in enumerate(self._slots)
        ]
        for thread in self._threads:
            thread.start()

    def _choose(self, slots: int, minimum: Level, only: Level | None, limits: Limits) -> Level:
        candidates = [only] if only else list(reversed(LEVELS[LEVELS.index(minimum):]))
        for level in candidates:
            try:
                self._open(level, slots, limits)
                self.reports[level] = "ok"
                return level
            except SandboxError as error:
                self.reports[level] = str(error)
                self._release()
        lacks = "\n".join(f"  {name}: {what}" for name, what in self.reports.items())
        raise SandboxError(
            f"no sandbox of level {candidates[-1]!r} or stronger on this machine:\n{lacks}\n"
            "Change one of these: a kernel with Landlock (5.13 or newer, 'landlock' in /sys/kernel/security/lsm); a "
            "container whose seccomp profile allows the landlock_* calls (the runtime's default does); for 'user', "
            "start as root with CAP_SETUID, CAP_SETGID and CAP_CHOWN; for 'namespaces', allow unshare and mount; or "
            f"accept a weaker level with minimum_level ({', '.join(LEVELS)}, weakest first)."
        )

    @property
    def description(self) -> str:
        """One line for a person: the level, and what the stronger ones lacked."""
        lacking = "; ".join(f"{level}: {report}" for level, report in self.reports.items() if report != "ok")
        return f"sandbox: level {self.level}, self-test passed" + (f" ({lacking})" if lacking else "")

    def _open(self, level: Level, slots: int, limits: Limits) -> None:
        home = readable_home(level, self._base)
        for _ in range(slots):
            user = SlotUser.acquire(level)
            self._users.append(user)
            slot = Slot(level, user, home, self._base, limits)
            self._slots.append(slot)
            slot.start()
        self_test(level, lambda program: self._slots[0].run(program, [b"41\n"], limits=Limits(wall_s=20))[0])

    def _release(self) -> None:
        for slot in self._slots:
            slot.stop()
        for user in self._users:
            user.release()
        self._slots, self._users = [], []

    def _serve(self, slot: Slot) -> None:
        while (job := self._jobs.get()) is not None:
            task, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                result = task(slot.run)
            except BaseException as error:       # a bug here must reach the caller, not end the slot
                future.set_exception(error)
            else:
                future.set_result(result)

    def work(self, task: Callable[[Run], T]) -> Future[T]:
        """Have `task` run programs, one after the other, on the next free slot.

        Args:
            task: called on the slot's thread with `Slot.run`; what it returns or raises is the future's.
        """
        if self._closed:
            raise RuntimeError("the sandbox pool is closed")
        future: Future[T] = Future()
        self._jobs.put((task, future))
        return future

    def submit(
        self, program: str, inputs: Sequence[bytes], function: str = "", limits: Limits | None = None
    ) -> Future[list[Execution]]:
        """Run one program once per input on the next free slot; see `Slot.run`."""
        return self.work(lambda run: run(program, inputs, function, limits))

    def close(self) -> None:
        """Finish what was submitted, end all slots. Safe to call twice."""
        if not self._closed:
            self._closed = True
            for _ in self._threads:
                self._jobs.put(None)
            for thread in self._threads:
                thread.join()
            self._release()
            self._remove_base()

    def __enter__(self) -> SandboxPool:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
