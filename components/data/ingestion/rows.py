"""What every reader yields: pages and refusals, each with the position it stands at."""

from __future__ import annotations

from dataclasses import dataclass

Position = tuple[int, int]  # grows along a file; (gzip member or byte offset, offset inside) or (row, 0)
START: Position = (-1, -1)  # before the first record


@dataclass(frozen=True)
class Row:
    """A page as it was found."""

    url: str
    html: bytes
    content_type: str = ""


@dataclass(frozen=True)
class Refused:
    """A record that gives no page."""

    url: str
    reason: str
    detail: str = ""
