"""One judged sample; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Judged:
    """One sample of one problem. `reward` is None when it could not be judged."""

    problem: str
    kind: str
    source: str
    sample: int
    text: str
    tokens: int
    finish: str
    reward: float | None
    verdict: str
    passed: bool
    tests: tuple[str, ...]
