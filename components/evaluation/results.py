"""The results of an evaluation: per-sample records on disk, tables of passes in memory.

Used by the evaluation stage, which writes them, and by the gate and the model cards, which compare and quote them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.artifacts import Artifact, ArtifactError, write_text
from components.evaluation.judged import Judged

SAMPLES = "samples.jsonl"
KINDS = ("math", "code")


def write_samples(path: Path, judged: Sequence[Judged]) -> None:
    write_text(path, "".join(json.dumps(asdict(sample), ensure_ascii=False) + "\n" for sample in judged))


def read_samples(path: Path) -> list[Judged]:
    records: list[dict[str, Any]] = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [Judged(**{**record, "tests": tuple(record["tests"])}) for record in records]


def open_results(artifact: Artifact) -> list[Judged]:
    """The samples of an artifact of kind `evaluation`."""
    return read_samples(artifact.paths()[0])


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
    return names, np.array(rows).reshape(len(rows), -1)


def paired_tables(
    left: Sequence[Judged], right: Sequence[Judged], kind: str = ""
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Passes of both on the problems both have, in the same order."""
    (left_names, left_PK), (right_names, right_PK) = table(left, kind), table(right, kind)
    places = {name: place for place, name in enumerate(right_names)}
    common = [(place, places[name]) for place, name in enumerate(left_names) if name in places]
    left_rows, right_rows = [pair[0] for pair in common], [pair[1] for pair in common]
    return left_PK[left_rows], right_PK[right_rows]
