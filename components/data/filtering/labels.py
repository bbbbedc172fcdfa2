"""Labelled texts: TSV files whose last column is `text` and whose other columns are labels.

`¶` stands for a line break; `<a|b|c>` makes one sample of each alternative (the i-th of every group together).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from components.config import ConfigError

SEEDS = Path(__file__).parent / "seeds"
_CHOICE = re.compile(r"<([^<>|]*(?:\|[^<>|]*)+)>")


def read_labels(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """Rows of a label file, alternatives expanded.

    Args:
        columns: names it must have; the last is `text`.

    Raises:
        ConfigError: no such file, other columns, or a row with too few cells; names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"filtering.labels: cannot read {path}: {error}") from None
    rows = [(number, line.split("\t")) for number, line in enumerate(lines, 1) if line and not line.startswith("#")]
    if not rows or tuple(rows[0][1]) != columns:
        raise ConfigError(f"{path}: the first row must name the columns {', '.join(columns)}, separated by tabs")
    samples = []
    for number, cells in rows[1:]:
        if len(cells) != len(columns) or not cells[-1].strip():
            raise ConfigError(f"{path}:{number}: {len(cells)} cells; a row needs {len(columns)}, the last not empty")
        for text in _expand(cells[-1].replace("¶", "\n")):
            samples.append(dict(zip(columns, [*cells[:-1], text], strict=True)))
    return samples


def _expand(text: str) -> Iterator[str]:
    groups = [match.group(1).split("|") for match in _CHOICE.finditer(text)]
    for number in range(max(map(len, groups), default=1)):
        yield _CHOICE.sub(lambda match, number=number: _pick(match.group(1), number), text)   # type: ignore[misc]


def _pick(group: str, number: int) -> str:
    alternatives = group.split("|")
    return alternatives[number % len(alternatives)]
