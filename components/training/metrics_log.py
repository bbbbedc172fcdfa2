"""`metrics.jsonl`: a line a step, also passed on to the trackers. The leader writes, every process knows all lines."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from components.artifacts import write_text
from components.runner import Outputs
from components.training.parallel import World
from components.training.trackers import Tracker, open_trackers

NAME = "metrics.jsonl"
Line = dict[str, float]


class MetricsLog:
    """Attributes:
    history: the lines of all steps so far, those before a resume included.
    """

    def __init__(self, history: list[Line], file: IO[str] | None, track: Tracker) -> None:
        self.history = history
        self._file = file
        self._track = track

    def write(self, line: Line) -> None:
        self.history.append(line)
        if self._file:
            self._file.write(json.dumps(line) + "\n")
            self._track(line)

    def sync(self) -> None:
        """Bring all lines to the disk."""
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())


@contextmanager
def open_log(outputs: Outputs, steps: int, trackers: Sequence[str], world: World) -> Iterator[MetricsLog]:
    """The log after `steps` steps; lines of later ones belong to work that was lost and are cut off.

    Raises:
        ConfigError: a tracker's library is not installed.
    """
    path = outputs.root / NAME
    history = _read(path, steps)
    world.wait()   # all have read it
    if not world.leader:
        yield MetricsLog(history, None, lambda line: None)
        return
    write_text(path, "".join(json.dumps(line) + "\n" for line in history))
    with path.open("a") as file, open_trackers(trackers, outputs, steps) as track:
        yield MetricsLog(history, file, track)


def _read(path: Path, steps: int) -> list[Line]:
    lines: list[Line] = []
    for text in path.read_text().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:   # torn by a kill
            break
    return [line for line in lines if line["step"] <= steps]
