"""Verdicts on mathematical answers.

- `last_box`       the answer: the last `\\boxed{…}` within the last 4,096 characters
- `quick_verdict`  exact matches, plain integers and words, decided on the spot
- `MathPool`       everything else, by math-verify in worker processes that can be killed
- `verify`         one verdict, from a pool this process keeps

What counts as an answer is the evaluated-answer rule of `components/reward/formulas.py`.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import threading
from array import array
from collections.abc import Iterable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from components.reward.memory import RecentlyUsed

Kind = Literal["correct", "wrong", "unparsable", "timeout", "infrastructure"]

TAIL = 4096                   # characters at the end of a completion in which the answer must lie
TIMEOUT_S = 2.0               # of one comparison
_START_S = 60.0               # for the first process to import sympy on a busy machine
_ATTEMPTS = 2

_BOX = "\\boxed"
_INTEGER = re.compile(r"[+-]?[0-9]+")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]+")
_NOISE = re.compile(r"\\(?:(?:left|right)(?![A-Za-z])\.?|displaystyle(?![A-Za-z]))|\\[!,;: ]|(?<!\\)\$|~")
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\{([^{}]*)\}")


@dataclass(frozen=True)
class Verdict:
    """`kind`, and what it pays: 1.0 for correct, None (mask it) for infrastructure, 0.0 for the rest."""

    kind: Kind

    @property
    def reward(self) -> float | None:
        return None if self.kind == "infrastructure" else float(self.kind == "correct")


_CORRECT, _WRONG, _UNPARSABLE = Verdict("correct"), Verdict("wrong"), Verdict("unparsable")


def last_box(completion: str) -> str | None:
    """The content of the last outermost `\\boxed{…}` in the tail of a completion; None if none is complete.

    A box that is open at the end counts as the last one and is no answer. A box that holds nothing but a box is
    unwrapped.
    """
    tail = completion[-TAIL:]
    start, content = tail.find(_BOX), None
    while start >= 0:
        opening = start + len(_BOX)
        while opening < len(tail) and tail[opening] == " ":
            opening += 1
        if opening >= len(tail):
            return None
        if tail[opening] != "{":
            start = tail.find(_BOX, opening)
            continue
        end = _closing_brace(tail, opening)
        if end < 0:
            return None
        content = tail[opening + 1 : end].strip()
        start = tail.find(_BOX, end)
    while content and content.startswith(_BOX + "{") and _closing_brace(content, len(_BOX)) == len(content) - 1:
        content = content[len(_BOX) + 1 : -1].strip()
    return content or None


def _closing_brace(text: str, opening: int) -> int:
    depth, index = 0, opening
    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 1                       # \{ and \} are set braces
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return -1


@lru_cache(maxsize=65536)
def normalise(answer: str) -> str:
    """An answer without what carries no meaning: spacing, dollar signs, \\left, \\dfrac, outer groups, a full stop."""
    text = _NOISE.sub(" ", answer).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("{,}", "")
    text = " ".join(text.split())
    text = text[:-1].rstrip() if text.endswith(".") else text
    while text.startswith("{") and _closing_brace(text, 0) == len(text) - 1:
        text = text[1:-1].strip()            # a group is not a set: sets have \{ \}
    return text if re.search("[A-Za-z]", text) else text.replace(" ", "")


def quick_verdict(gold: str, completion: str) -> Verdict | None:
    """The verdict where it takes no algebra, else None. About a microsecond for plain integers."""
    box = last_box(completion)
    return _UNPARSABLE if box is None else _quick(gold, box)


def _quick(gold: str, box: str) -> Verdict | None:
    if _BOX in box:
        return _UNPARSABLE                   # boxes inside an answer: which one is meant?
    answer, truth = normalise(box), normalise(gold)
    if answer == truth:
        return _CORRECT
    if not answer:
        return _UNPARSABLE
    if _INTEGER.fullmatch(truth) and _INTEGER.fullmatch(answer):
        return _CORRECT if _integer(truth) == _integer(answer) else _WRONG
    words, true_words = _words(answer), _words(truth)
    if words is not None and true_words is not None:
        return _CORRECT if words == true_words else _WRONG
    return None


def _integer(text: str) -> str:
    digits = text.lstrip("+-").lstrip("0") or "0"
    return "-" + digits if text[0] == "-" and digits != "0" else digits


def _words(text: str) -> str | None:
    """The text as words or as the letter of a choice, in lower case; None if it is something else."""
    plain = _TEXT.sub(r"\1", text).strip().rstrip(".")
    if len(plain) == 3 and plain[0] == "(" and plain[2] == ")" and plain[1].isalpha():
        plain = plain[1]
    wrapped = plain != text or len(plain) == 1
    if _WORDS.fullmatch(plain) or (wrapped and len(plain) == 1 and plain.isalpha()):
        return " ".join(plain.split()).casefold()
    return None


class MathPool:
    """Worker processes that compare formulas, each killed and replaced when a comparison takes over two seconds.

    The workers are forked from one process that has loaded sympy once, so a replacement costs milliseconds. A
    comparison that hangs holds up its own worker only.

    Args:
        workers: comparisons at the same time.
    """

    def __init__(self, workers: int = 1) -> None:
        self._memory = RecentlyUsed(1 << 16)
        self._jobs: queue.SimpleQueue[tuple[str, str, Future[Verdict]] | None] = queue.SimpleQueue()
        self._parent = _Parent()
        self._closed = False
        self._threads = [
            threading.Thread(target=self._work, name=f"math-{index}", daemon=True) for index in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, gold: str, completion: str) -> Future[Verdict]:
        """The verdict on a completion's answer, later."""
        if self._closed:
            raise RuntimeError("the math pool is closed")
        future: Future[Verdict] = Future()
        box = last_box(completion)
        known = _UNPARSABLE if box is None else _quick(gold, box) or self._memory.get((gold, box))
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
        worker = _Worker(self._parent)
        while (job := self._jobs.get()) is not None:
            gold, box, future = job
            if not future.set_running_or_notify_cancel():
                continue
            try:
                verdict = worker.compare(gold, box)
            except BaseException as error:   # a bug here must reach the caller, not end the thread
                future.set_exception(error)
                continue
            if verdict.kind != "infrastructure":
                self._memory.put((gold, box), verdict)
            future.set_result(verdict)
        worker.stop()


class _Parent:
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
        with self._lock:
            self._stop()

    def _start(self) -> None:
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "components.reward.math_worker", str(theirs.fileno())],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()], start_new_session=True,
        )
        theirs.close()

    def _stop(self) -> None:
        if self._channel is not None:
            self._channel.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._channel = self._process = None


class _Worker:
    """One worker process. Used by one thread."""

    def __init__(self, parent: _Parent) -> None:
        self._parent = parent
        self._control: socket.socket | None = None
        self._handle = -1                    # a pidfd: the kill can never hit a process that took over the number

    def compare(self, gold: str, box: str) -> Verdict:
        for _ in range(_ATTEMPTS):
            try:
                if self._control is None:
                    self._start()
                assert self._control is not None
                self._control.send(json.dumps([gold[:TAIL], box]).encode())
            except OSError:
                self.stop()
                continue
            if not _readable(self._control, TIMEOUT_S):
                self.stop()
                return Verdict("timeout")
            with suppress(OSError):
                if reply := self._control.recv(64):
                    return Verdict(reply.decode())   # type: ignore[arg-type]
            self.stop()                      # it died: of this comparison, or of something else
        return Verdict("infrastructure")

    def _start(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._parent.fork(theirs)
        if not _readable(self._control, _START_S) or not (hello := self._control.recv(64)):
            raise OSError("the worker did not start")
        self._handle = os.pidfd_open(int(hello))

    def stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._handle >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._handle, signal.SIGKILL)
            os.close(self._handle)
        self._control, self._handle = None, -1


def _readable(connection: socket.socket, seconds: float) -> bool:
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


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
