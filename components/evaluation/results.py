"""The results of an evaluation: per-sample records on disk, tables of passes in memory.

Used by the evaluation stage, which writes them, and by the gate and the model cards, which compare and quote them.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.artifacts import Artifact, ArtifactError, write_text
from components.evaluation.judged import Judged
from components.evaluation.metrics import Interval, interval, pass_at_k

SAMPLES = "samples.jsonl"
SUMMARY = "summary.json"
DECISION = "decision.json"   # of the gate
KINDS = ("math", "code")
_FIELDS = {field.name for field in fields(Judged)}


def write_samples(path: Path, judged: Sequence[Judged]) -> None:
    """Write samples as JSON lines; the file appears whole or not at all."""
    write_text(path, "".join(json.dumps(asdict(sample)) + "\n" for sample in judged))


def read_samples(path: Path) -> list[Judged]:
    """All samples of a file.

    Raises:
        ArtifactError: a line that is no judged sample; names file and line.
    """
    samples = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                record: dict[str, Any] = json.loads(line)
                if record.keys() != _FIELDS:
                    raise ValueError(f"missing or unknown keys: {', '.join(sorted(record.keys() ^ _FIELDS))}")
            except (ValueError, AttributeError) as error:
                raise ArtifactError(f"{path}:{number}: not a judged sample: {error}") from None
            samples.append(Judged(**{**record, "tests": tuple(record["tests"])}))
    return samples


def open_results(artifact: Artifact) -> list[Judged]:
    """The samples of an artifact of kind `evaluation`."""
    return [sample for path in artifact.paths() for sample in read_samples(path)]


def table(judged: Sequence[Judged], kind: str = "") -> tuple[list[str], NDArray[np.float64]]:
    """(problem ids, passes [problems, samples]) of one kind of problem, or of all.

    A sample that could not be judged (an infrastructure failure, nobody's mistake) counts as its problem's mean; a
    problem without any judged sample is left out.

    Raises:
        ArtifactError: problems with different numbers of samples.
    """
    groups: dict[str, list[Judged]] = {}
    for sample in judged:
        if not kind or sample.kind == kind:
            groups.setdefault(sample.problem, []).append(sample)
    rows, names = [], []
    for name, group in groups.items():
        known = [float(sample.passed) for sample in group if sample.reward is not None]
        if known:
            mean = sum(known) / len(known)
            rows.append([float(sample.passed) if sample.reward is not None else mean for sample in group])
            names.append(name)
    if len({len(row) for row in rows}) > 1:
        raise ArtifactError("evaluation results: problems have different numbers of samples")
    return names, np.array(rows, dtype=np.float64).reshape(len(rows), len(rows[0]) if rows else 0)


def paired_tables(
    left: Sequence[Judged], right: Sequence[Judged], kind: str = ""
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Passes of both on the problems both have, in the same order."""
    (left_names, left_PK), (right_names, right_PK) = table(left, kind), table(right, kind)
    places = {name: place for place, name in enumerate(right_names)}
    common = [(place, places[name]) for place, name in enumerate(left_names) if name in places]
    left_rows, right_rows = [pair[0] for pair in common], [pair[1] for pair in common]
    return left_PK[left_rows], right_PK[right_rows]


@dataclass(frozen=True)
class Score:
    """The numbers of a group of problems: of a kind, or of a source."""

    problems: int               # with at least one judged sample
    samples: int                # of all problems
    avg: Interval
    pass_at: dict[int, Interval]
    mean_tokens: float
    truncated: float            # share of samples that max_tokens ended
    unjudged: int               # samples without a verdict
    verdicts: dict[str, int]


def score(judged: Sequence[Judged], ks: Sequence[int], seed: int) -> Score | None:
    """The numbers of a group's samples; None if none of them could be judged."""
    names, passes_PK = table(judged)
    if not names:
        return None
    return Score(
        problems=len(names), samples=len(judged), avg=interval(passes_PK.mean(1), seed),
        pass_at={k: interval(pass_at_k(passes_PK, k), seed) for k in ks},
        mean_tokens=sum(sample.tokens for sample in judged) / len(judged),
        truncated=sum(sample.finish == "length" for sample in judged) / len(judged),
        unjudged=sum(sample.reward is None for sample in judged),
        verdicts=dict(sorted(Counter(sample.verdict for sample in judged).items())),
    )  # fmt: skip


def score_groups(judged: Sequence[Judged], ks: Sequence[int], seed: int) -> tuple[dict[str, Score], dict[str, Score]]:
    """(kind -> score, source -> score); groups in which nothing could be judged are left out."""
    sources = sorted({sample.source for sample in judged})
    kinds = {kind: score([sample for sample in judged if sample.kind == kind], ks, seed) for kind in KINDS}
    by_source = {source: score([each for each in judged if each.source == source], ks, seed) for source in sources}
    return _known(kinds), _known(by_source)


def _known(found: dict[str, Score | None]) -> dict[str, Score]:
    return {name: each for name, each in found.items() if each is not None}
