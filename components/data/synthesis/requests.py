"""What the teacher is asked: the requests of the three routes, planned before any is sent."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from components.config import ConfigError
from components.data.synthesis.config import Analysis, Config, General
from components.data.synthesis.reading import analysis_prompt, summary_prompt
from components.problems import CodeProblem, MathProblem

OUTPUTS = ("documents", "conversations")
ROUTES = ("analysis", "problems", "general")


@dataclass(frozen=True)
class Request:
    """One prompt for the teacher.

    Attributes:
        id: stable over restarts.
        origin: what it was made from: a document's title or a problem's source.
        url: of the document it was made from, empty if none.
        problem: what its answers are verified against, if a rule can.
    """

    id: str
    route: str
    prompt: str
    origin: str
    url: str = ""
    problem: MathProblem | CodeProblem | None = None


def plan(
    config: Config, documents: Sequence[Mapping[str, Any]], problems: Sequence[MathProblem | CodeProblem]
) -> dict[str, list[Request]]:
    """Requests for each output, no prompt in both, each list in a seeded order."""
    analyses = _analyses(config.analysis, documents)
    solutions = (Request(f"problem/{problem.id}", "problems", problem.prompt, problem.source, problem=problem)
                 for problem in problems)
    general = _general(config.general, documents)
    requests = {}
    for output in OUTPUTS:
        taken = [
            *islice(analyses, getattr(config.analysis, output)),
            *islice(solutions, getattr(config.problems, output)),
            *islice(general, getattr(config.general, output)),
        ]
        random.Random(f"{output}/{config.seed}").shuffle(taken)
        requests[output] = taken
    return requests


def _analyses(config: Analysis, documents: Iterable[Mapping[str, Any]]) -> Iterator[Request]:
    """Documents by falling score, then by how many formulas and code blocks they hold; plain text is left out."""
    ranked = sorted(
        (
            document
            for document in documents
            if document["scores"].get(config.score, 0.0) >= config.minimum
            and (document["formulas"] or document["code_blocks"])
        ),
        key=lambda document: (
            -document["scores"].get(config.score, 0.0),
            -(document["formulas"] or 0) - (document["code_blocks"] or 0),
            document["id"],
        ),
    )
    for document in ranked:
        prompt = analysis_prompt(document, config.characters)
        yield Request(f"analysis/{document['id']}", "analysis", prompt, document["title"], document["url"])


def _general(config: General, documents: Iterable[Mapping[str, Any]]) -> Iterator[Request]:
    if config.queries:
        yield from _from_file(Path(config.queries))
        return
    for document in sorted(documents, key=lambda document: document["id"]):
        prompt = summary_prompt(document, config.characters)
        yield Request(f"general/{document['id']}", "general", prompt, document["title"], document["url"])


def _from_file(path: Path) -> Iterator[Request]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"synthesis.general.queries: cannot read {path}: {error}") from None
    for line in dict.fromkeys(filter(None, map(str.strip, lines))):
        yield Request(f"general/{hashlib.sha256(line.encode()).hexdigest()[:16]}", "general", line, path.name)
