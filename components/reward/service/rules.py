"""By which rules this code judges, so that a stage and its judge can tell whether they would agree.

Verdicts depend on the code of the rewards, on the Python that runs programs, and on the libraries that read formulas.
A stage's results must not depend on where its judge runs, so a client refuses a judge of other rules.
"""

from __future__ import annotations

import hashlib
import sys
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from components.config import digest

LIBRARIES = ("math-verify", "latex2sympy2-extended", "sympy")
_ROOM = Path(__file__).resolve().parent.parent
_CALLERS = {"config.py", "judges.py", "rewards.py"}          # they choose and pay verdicts, they give none


@lru_cache
def rules() -> dict[str, str]:
    """What verdicts depend on, by name."""
    sources = hashlib.sha256()
    files = [path for path in (*_ROOM.glob("*.py"), *_ROOM.glob("sandbox/*.py")) if path.name not in _CALLERS]
    for path in sorted([*files, _ROOM.parent / "problems.py"]):
        sources.update(hashlib.sha256(path.read_bytes()).digest())
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    return {"python": python, "sources": sources.hexdigest()[:16], **{name: _version(name) for name in LIBRARIES}}


@lru_cache
def rules_digest() -> str:
    """One name for `rules()`."""
    return digest(rules())[:16]


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "none"
