"""The supervisor's side of the processes that compare formulas: fork, ask, wait, kill, replace.

No signals in threads, no executor: a worker that does not answer is killed by its handle, whatever it is doing.
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from array import array
from collections.abc import Callable
from contextlib import suppress

from components.reward.answers import TAIL, Verdict, unboxed

TIMEOUT_S = 2.0  # of one comparison
_BLAMED_CPU_S = 0.25  # CPU time from which a comparison that did not end is the answer's fault, not the machine's
_START_S = 60.0  # for the first process to import sympy on a busy machine
_ATTEMPTS = 2
_LIFETIME = 5000  # comparisons, then a fresh worker: the parser's tables only grow


class Parent:
    """The process that has loaded sympy and forks workers; started when first needed and again if it dies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None

    def fork(self, control: socket.socket) -> None:
        """Fork a worker that answers on `control`; raises OSError when that cannot be had."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._stop()
                self._start()
            assert self._channel is not None
            try:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array("i", [control.fileno()]))]
                self._channel.sendmsg([b"fork"], rights)
            except OSError:
                self._stop()
                raise

    def close(self) -> None:
        """End the process; its workers end when their supervisor hangs up."""
        with self._lock:
            self._stop()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "components.reward.math_worker", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()

    def _stop(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None


class Worker:
    """One worker process. Used by one thread."""

    def __init__(self, parent: Parent) -> None:
        self._parent = parent
        self._control: socket.socket | None = None
        self._pid = 0
        self._handle = -1  # a pidfd: the kill can never hit a process that took over the number
        self._answered = 0

    def compare(self, gold: str, box: str, slow_s: float, when_slow: Callable[[], None]) -> Verdict:
        """The verdict on a box's content; `when_slow` is called once if it takes longer than `slow_s` seconds.

        `timeout` if the comparison used CPU for two seconds of clock; `infrastructure` if it hardly got any CPU, or if
        no worker is to be had, or if workers keep dying.
        """
        for _ in range(_ATTEMPTS):
            try:
                if self._control is None:
                    self._start()
                assert self._control is not None
                before = self._cpu_s()
                self._control.send(json.dumps([unboxed(gold)[:TAIL], box]).encode())
            except OSError:
                self.stop()
                continue
            if not readable(self._control, slow_s):
                when_slow()
                if not readable(self._control, TIMEOUT_S - slow_s):
                    blamed = self._cpu_s() - before >= _BLAMED_CPU_S
                    self.stop()
                    return Verdict("timeout" if blamed else "infrastructure")
            with suppress(OSError):
                if reply := self._control.recv(64):
                    self._answered += 1
                    if self._answered >= _LIFETIME:
                        self.stop()
                    return Verdict(reply.decode())  # type: ignore[arg-type]
            self.stop()  # it died: of this comparison, or of something else
        return Verdict("infrastructure")

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._parent.fork(theirs)
        if not readable(self._control, _START_S) or not (hello := self._control.recv(64)):
            raise OSError("the worker did not start")
        self._pid = int(hello)
        self._handle = os.pidfd_open(self._pid)
        self._answered = 0

    def _cpu_s(self) -> float:
        try:
            return time.clock_gettime((~self._pid << 3) | 2)  # CPUCLOCK_SCHED of another process
        except OSError:  # it is gone
            return 0.0

    def stop(self) -> None:
        """Kill the process, if there is one."""
        if self._control is not None:
            self._control.close()
        if self._handle >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)
        self._control, self._handle = None, -1


def readable(connection: socket.socket, seconds: float) -> bool:
    """Can something be read from it within `seconds`?"""
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(seconds * 1000))
