"""The live view of a run: a table on a terminal, plain lines elsewhere.

Reads the progress files that the tasks write; never touches the tasks.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

_MARKS = {"waiting": "·", "running": "▶", "done": "✓", "cached": "✓", "given": "✓", "failed": "✗"}
_STYLES = {"running": "bold cyan", "done": "green", "cached": "green", "given": "dim", "failed": "bold red"}


def duration(seconds: float) -> str:
    """`7 s`, `3 m 20 s`, `2 h 05 m`."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    if seconds < 3600:
        return f"{seconds // 60:.0f} m {seconds % 60:02.0f} s"
    return f"{seconds // 3600:.0f} h {seconds % 3600 // 60:02.0f} m"


@dataclass
class _Line:
    status: str = "waiting"
    share: float = 0.0
    left_s: float | None = None
    message: str = ""
    seconds: float = 0.0
    started: float = 0.0


@dataclass
class Display:
    """Shows the nodes of one run. `expected` holds the seconds each took in an earlier run, where known."""

    console: Console
    directory: Path
    names: list[str]
    expected: Mapping[str, float]
    _lines: dict[str, _Line] = field(default_factory=dict)
    _live: Live | None = None
    _said: str = ""
    _said_at: float = 0.0

    def __post_init__(self) -> None:
        self._lines = {name: _Line() for name in self.names}
        self._start = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._poll, daemon=True)

    def __enter__(self) -> Display:
        if self.console.is_terminal:
            self._live = Live(get_renderable=self._table, console=self.console, refresh_per_second=4)
            self._live.start()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        if self._live is not None:
            self._live.stop()

    def started(self, name: str) -> None:
        line = self._lines[name]
        line.status, line.started = "running", time.monotonic()
        if self._live is None:
            self.console.print(f"[{self._count()}] {name}: started", markup=False, highlight=False)

    def ended(self, name: str, status: str, seconds: float) -> None:
        line = self._lines[name]
        line.status, line.seconds, line.share, line.message = status, seconds, 1.0, ""
        if self._live is None:
            told = "cached" if status == "cached" else f"{status}, {duration(seconds)}"
            self.console.print(f"[{self._count()}] {name}: {told}{self._left()}", markup=False, highlight=False)

    def _count(self) -> str:
        ended = sum(line.status in ("done", "cached", "failed") for line in self._lines.values())
        return f"{ended}/{len(self._lines)}"

    def _left(self) -> str:
        left = self._time_left()
        return "" if not left else f"; about {duration(left)} to go in all"

    def _time_left(self) -> float | None:
        """Seconds to go for the whole run; None where a coming node has never been timed."""
        total = 0.0
        for name, line in self._lines.items():
            if line.status in ("done", "cached", "failed"):
                continue
            if line.status == "running" and line.left_s is not None:
                total += line.left_s
            elif name in self.expected:
                total += self.expected[name] * (1 - line.share)
            else:
                return None
        return total

    def _poll(self) -> None:
        while not self._stop.wait(0.25):
            for name, line in self._lines.items():
                if line.status == "running":
                    self._read(name, line)

    def _read(self, name: str, line: _Line) -> None:
        path = self.directory / "nodes" / f"{name}.progress.json"
        try:
            record = json.loads(path.read_text())
        except (FileNotFoundError, json.JSONDecodeError):
            return
        line.share, line.left_s, line.message = record["share"], record["left_s"], record["message"]
        now = time.monotonic()
        left = "" if not line.left_s else f", {duration(line.left_s)} left"
        text = f"{name}: {line.share:.0%}{left}  {line.message}"
        if self._live is None and now - self._said_at > 15 and text != self._said:
            self._said_at, self._said = now, text
            self.console.print(f"[{self._count()}] {text}", markup=False, highlight=False)

    def _table(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for name, line in self._lines.items():
            style = _STYLES.get(line.status, "dim")
            mark = Text(_MARKS.get(line.status, "?"), style=style)
            if line.status == "running":
                left = "" if line.left_s is None else f"{duration(line.left_s)} left"
                elapsed = duration(time.monotonic() - line.started)
                bar: RenderableType = ProgressBar(total=1.0, completed=line.share, width=20)
                table.add_row(mark, Text(name, style=style), bar, f"{line.share:4.0%}", elapsed, left,
                              Text(line.message[:60], style="dim"))
            elif line.status in ("done", "failed", "cached"):
                took = "cached" if line.status == "cached" else duration(line.seconds)
                table.add_row(mark, Text(name, style=style), "", "", took, "", "")
            else:
                table.add_row(mark, Text(name, style=style), "", "", "", "", "")
        to_go = self._time_left()
        foot = f"{self._count()} stages, {duration(time.monotonic() - self._start)} so far"
        return Group(table, Text(foot + ("" if to_go is None else f", about {duration(to_go)} to go"), style="bold"))
