"""Share done and time left of one stage."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

PROGRESS_FILE = "MIMO_PROGRESS"   # environment variable: where the runner wants to read progress from

_FILE_EVERY_S = 0.5
_TERMINAL_EVERY_S = 0.5
_LOG_EVERY_S = 15.0   # a pod's log is kept, and read by people


class Progress:
    """Says how far a stage is: in a file where a runner asked for it, on one line of a terminal, or in a log."""

    def __init__(self, stage: str, silent: bool = False) -> None:
        self.stage = stage
        self._silent = silent   # another process speaks for this one
        path = os.environ.get(PROGRESS_FILE)
        self._file = Path(path) if path else None
        self._terminal = sys.stderr.isatty()
        self._every = _FILE_EVERY_S if self._file else _TERMINAL_EVERY_S if self._terminal else _LOG_EVERY_S
        self._said = float("-inf")
        self._first: tuple[float, float] | None = None   # (time, share) of the first update: a resumed stage
        # starts in the middle, and its speed is that of what it did itself

    def update(self, done: float, total: float, message: str = "") -> None:
        """Say that `done` of `total` units are finished; cheap enough to call every step."""
        if self._silent:
            return
        now = time.monotonic()
        share = min(1.0, done / total) if total else 1.0
        if self._first is None:
            self._first = now, share
        if now - self._said < self._every and share < 1:
            return
        self._said = now
        started, before = self._first
        left = (now - started) * (1 - share) / (share - before) if share > before else None
        if self._file:
            self._write({"stage": self.stage, "share": share, "left_s": left, "message": message})
        else:
            self._print(share, left, message)

    def finish(self) -> None:
        self.update(1, 1, "done")
        if self._terminal and not self._file:
            print(file=sys.stderr, flush=True)

    def _write(self, record: dict[str, object]) -> None:
        assert self._file is not None
        partial = self._file.with_name(self._file.name + ".partial")
        partial.write_text(json.dumps(record), encoding="utf-8")
        partial.replace(self._file)

    def _print(self, share: float, left: float | None, message: str) -> None:
        text = f"[{self.stage}] {share:4.0%} {message}" + ("" if left is None else f", {_duration(left)} left")
        if self._terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
