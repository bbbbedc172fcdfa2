"""Progress, metrics and the self-contained HTML report of a stage.

- `Progress`  share done and time left, for a terminal, a pod log and the runner's live display
- `Report`    sections of text, tables, plots and samples -> one HTML file without any outside reference
"""

from __future__ import annotations

import html
import json
import os
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

PROGRESS_FILE = "MIMO_PROGRESS"   # environment variable: where the runner wants to read progress from


class Progress:
    """Share done and time left of one stage."""

    def __init__(self, stage: str) -> None:
        self.stage = stage
        self._start = time.monotonic()
        self._printed = 0.0
        path = os.environ.get(PROGRESS_FILE)
        self._file = Path(path) if path else None

    def update(self, done: float, total: float, message: str = "") -> None:
        """Say that `done` of `total` units are finished; cheap enough to call every step."""
        now = time.monotonic()
        if now - self._printed < 0.5 and done < total:
            return
        self._printed = now
        elapsed = now - self._start
        left = elapsed * (total - done) / done if done else None
        record = {"stage": self.stage, "share": done / total if total else 1.0, "left_s": left, "message": message}
        if self._file:
            partial = self._file.with_name(self._file.name + ".partial")
            partial.write_text(json.dumps(record))
            partial.replace(self._file)
        else:
            eta = "" if left is None else f", {left:.0f} s left"
            print(f"[{self.stage}] {record['share']:.0%} {message}{eta}", file=sys.stderr, flush=True)

    def finish(self) -> None:
        self.update(1, 1, "done")


class Report:
    """A page of sections that needs nothing from outside."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._sections: list[str] = []

    def text(self, heading: str, body: str) -> None:
        """A paragraph of plain text under a heading."""
        self._sections.append(f"<h2>{html.escape(heading)}</h2><p>{html.escape(body)}</p>")

    def table(self, heading: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table; numbers are right-aligned."""
        head = "".join(f"<th>{html.escape(str(c))}</th>" for c in columns)
        body = "".join("<tr>" + "".join(f"<td>{html.escape(str(c))}</td>" for c in row) + "</tr>" for row in rows)
        self._sections.append(f"<h2>{html.escape(heading)}</h2><table><tr>{head}</tr>{body}</table>")

    def lines(
        self, heading: str, series: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str
    ) -> None:
        """A line plot: name -> [(x, y), …]."""

    def bars(self, heading: str, values: Mapping[str, float], y_label: str) -> None:
        """A bar plot: label -> height."""

    def histogram(self, heading: str, values: Mapping[str, Sequence[float]], x_label: str) -> None:
        """Histograms of one or several sets of values on shared bins."""

    def samples(self, heading: str, samples: Iterable[tuple[str, str]]) -> None:
        """Texts to read, each a (caption, text) pair, shown verbatim."""

    def write(self, path: Path) -> None:
        """Write the page."""
        path.write_text(f"<!doctype html><title>{html.escape(self.title)}</title>" + "".join(self._sections))
