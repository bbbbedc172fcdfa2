"""What changes while a model is trained, as pure functions of tokens seen.

- `learning_rate`  pieces of constant, linear and cosine (report, section 2.3)
- `decay_begins`   where the first decaying piece starts: there the MTP weight falls from 0.3 to 0.1
- `step_rows`      rows of each step, with the batch ramp
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, model_validator

from components.config import StageConfig


class Piece(StageConfig):
    """One piece of a learning-rate schedule. Lengths are relative: the pieces are stretched over the stage's tokens."""

    tokens: float = Field(gt=0, description="length of the piece, in tokens of the full recipe or any unit")
    start: float = Field(ge=0, description="learning rate where the piece begins")
    end: float = Field(ge=0, description="learning rate where it ends")
    shape: Literal["constant", "linear", "cosine"] = Field(default="constant", description="course between the two")

    @model_validator(mode="after")
    def _constant_is_constant(self) -> Piece:
        if self.shape == "constant" and self.start != self.end:
            raise ValueError(f"a constant piece starts and ends at one rate, not {self.start} and {self.end}")
        return self


def learning_rate(pieces: Sequence[Piece], share: float) -> float:
    """The learning rate after `share` (0 to 1) of the stage's tokens."""
    position = share * sum(piece.tokens for piece in pieces)
    for piece in pieces:
        if position < piece.tokens:
            return _at(piece, position / piece.tokens)
        position -= piece.tokens
    return _at(pieces[-1], 1.0)


def _at(piece: Piece, share: float) -> float:
    if piece.shape == "cosine":   # half a period
        return piece.end + (piece.start - piece.end) * 0.5 * (1 + math.cos(math.pi * share))
    return piece.start + (piece.end - piece.start) * share


def decay_begins(pieces: Sequence[Piece]) -> float:
    """The share of the stage's tokens at which the rate first begins to fall; 1 if it never does."""
    total, position = sum(piece.tokens for piece in pieces), 0.0
    for piece in pieces:
        if piece.end < piece.start:
            return position / total
        position += piece.tokens
    return 1.0


def step_rows(rows: int, rows_per_step: int, *, first: int | None = None, ramp_rows: int = 0) -> list[int]:
    """How many of `rows` each step takes; they sum to `rows`, the last step may be smaller.

    Args:
        first: rows of the first step; the number grows linearly to `rows_per_step` over the first `ramp_rows` rows.
    """
    steps: list[int] = []
    seen = 0
    while seen < rows:
        wanted = rows_per_step
        if first is not None and seen < ramp_rows:
            wanted = round(first + (rows_per_step - first) * seen / ramp_rows)
        steps.append(min(wanted, rows - seen))
        seen += steps[-1]
    return steps
