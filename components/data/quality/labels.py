"""Labelled texts: what taggers learn from and are measured on.

Two kinds of files. TSV for samples written by hand: the last column is `text`, the others are labels, `¶` stands for a
line break, `<a|b|c>` makes one sample of each alternative (the i-th of every group together). JSONL for real documents:
one object a line with the same names, the text as it is; the labelling stage writes it.

- `read_labels`      rows of either kind; samples made from one row have one `group`
- `folds_of`         a fold for each sample, whole groups together
- `document_labels`  rows with a class and three qualities, checked
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.config import ConfigError
from components.data.quality.taxonomy import QUALITIES

_CHOICE = re.compile(r"<([^<>|]*(?:\|[^<>|]*)+)>")


@dataclass(frozen=True)
class Sample:
    """A labelled text. An empty label says nothing."""

    labels: dict[str, str]
    text: str
    group: int   # samples of one group are variants of each other: never to be divided between learning and measuring


@dataclass(frozen=True)
class DocumentLabel:
    """What is known of a document: its class (empty if unknown) and those of its qualities that are, from 0 to 1."""

    domain: str
    qualities: dict[str, float]
    text: str
    group: int


def document_labels(path: Path) -> list[DocumentLabel]:
    """Rows with the columns `domain` and the three qualities.

    Raises:
        ConfigError: see `read_labels`; or a quality that is no number from 0 to 1.
    """
    found = []
    for sample in read_labels(path, ("domain", *QUALITIES, "text")):
        qualities = {}
        for name in QUALITIES:
            if sample.labels[name]:
                qualities[name] = _level(sample.labels[name], f"{path}: {name} of {sample.text[:40]!r}")
        found.append(DocumentLabel(sample.labels["domain"], qualities, sample.text, sample.group))
    return found


def _level(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ConfigError(f"{where}: {text!r} is no number from 0 (low) to 1 (high)")
    return value


def read_labels(path: Path, columns: tuple[str, ...]) -> list[Sample]:
    """Rows of a label file, alternatives expanded.

    Args:
        columns: names it must have; the last is `text`.

    Raises:
        ConfigError: no such file, other columns, or a row with too few cells; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"label file: cannot read {path}: {error}") from None
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    rows = _json_rows(path, numbered, columns) if path.suffix == ".jsonl" else _tsv_rows(path, numbered, columns)
    return [
        Sample(dict(zip(columns, cells[:-1], strict=False)), text, group)
        for group, cells in enumerate(rows)
        for text in ([cells[-1]] if path.suffix == ".jsonl" else _expand(cells[-1].replace("¶", "\n")))
    ]


def _tsv_rows(path: Path, lines: list[tuple[int, str]], columns: tuple[str, ...]) -> Iterator[list[str]]:
    rows = [(number, line.split("\t")) for number, line in lines if not line.startswith("#")]
    if not rows or tuple(rows[0][1]) != columns:
        raise ConfigError(f"{path}: the first row must name the columns {', '.join(columns)}, separated by tabs")
    for number, cells in rows[1:]:
        if len(cells) != len(columns) or not cells[-1].strip():
            raise ConfigError(f"{path}:{number}: {len(cells)} cells; a row needs {len(columns)}, the last not empty")
        yield cells


def _json_rows(path: Path, lines: list[tuple[int, str]], columns: tuple[str, ...]) -> Iterator[list[str]]:
    for number, line in lines:
        try:
            row = json.loads(line)
            cells = ["" if row.get(name) is None else str(row[name]) for name in columns]
        except (ValueError, AttributeError) as error:
            raise ConfigError(f"{path}:{number}: not a JSON object: {error}") from None
        if not cells[-1].strip():
            raise ConfigError(f"{path}:{number}: no `text`; a row has the names {', '.join(columns)}")
        yield cells


def folds_of(groups: Sequence[int], count: int) -> list[int]:
    """A fold from 0 to `count` - 1 for each sample: groups in the order of their hashes, dealt to folds in turn."""
    ordered = sorted(set(groups), key=lambda group: hashlib.sha256(str(group).encode()).digest())
    fold = {group: place % count for place, group in enumerate(ordered)}
    return [fold[group] for group in groups]


def _expand(text: str) -> Iterator[str]:
    groups = [match.group(1).split("|") for match in _CHOICE.finditer(text)]
    for number in range(max(map(len, groups), default=1)):
        yield _CHOICE.sub(lambda match, number=number: _pick(match.group(1), number), text)  # type: ignore[misc]


def _pick(group: str, number: int) -> str:
    alternatives = group.split("|")
    return alternatives[number % len(alternatives)]
