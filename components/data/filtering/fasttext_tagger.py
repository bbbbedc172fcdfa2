"""The fast tagger: a fastText classifier for the class and one for each quality, trained in the stage on label files.

A quality's classifier knows the levels that its labels have (two in the seed set, six from a teacher); its raw score is
the level it expects, and a calibration makes that the level it should have expected.

- `train`              labelled texts -> classifiers, calibrations and what they are worth, in a directory
- `FastTextTagger`     loads them and tags documents
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.artifacts import write_json
from components.data.filtering.config import Config
from components.data.filtering.masking import Masked, features, mask
from components.data.filtering.tagger import Panel, Tagger, Vectors
from components.data.quality.agreement import kappa
from components.data.quality.calibration import Calibration, fit, measured
from components.data.quality.labels import DocumentLabel, document_labels, folds_of
from components.data.quality.taxonomy import QUALITIES

SEEDS = Path(__file__).parent / "seeds"
MEASURED = "measured.json"
CALIBRATION = "calibration.json"
FOLDS = 5
NAMES = ("domain", *QUALITIES)


def train(config: Config, directory: Path) -> dict[str, dict[str, float]]:
    """Train, calibrate and measure, unless `directory` holds the result already.

    Returns: by tagger, what was measured on texts it had not learned from.

    Raises:
        ConfigError: a label file that cannot be used.
    """
    done = directory / MEASURED        # written last
    if done.exists():
        return json.loads(done.read_text())
    labels = document_labels(Path(config.labels.documents.path or SEEDS / "documents.tsv"))
    lines = [[token.decode() for token in features(mask(label.text))] for label in labels]
    found: dict[str, dict[str, float]] = {}
    calibrations = {}
    for name in NAMES:
        known = [(value, line, label.group) for label, line in zip(labels, lines, strict=True)
                 if (value := _value(label, name)) != ""]
        pairs = [(value, line) for value, line, _ in known]
        _train(pairs, config, directory).save(directory / f"{name}.bin")
        held_out, folds = _held_out(name, known, config, directory)
        values = [value for value, *_ in known]
        if name == "domain":
            found[name] = _accuracy(values, held_out)
        elif held_out:
            raw, right = list(map(float, held_out)), list(map(float, values))
            calibrations[name] = fit(raw, right).as_dict()
            found[name] = measured(raw, right, folds)
        else:
            found[name] = {"texts": float(len(known))}
    write_json(directory / CALIBRATION, calibrations)
    write_json(done, found)
    return found


def _value(label: DocumentLabel, name: str) -> str:
    """A label as fastText's class; empty if unknown."""
    if name == "domain":
        return label.domain
    return f"{label.qualities[name]:g}" if name in label.qualities else ""


def _train(pairs: list[tuple[str, list[str]]], config: Config, directory: Path) -> Tagger:
    return Tagger.train(pairs, config.training, config.seed, directory)


def _held_out(
    name: str, known: list[tuple[str, list[str], int]], config: Config, directory: Path
) -> tuple[list[str], list[int]]:
    """What classifiers say of each text that did not learn from it or its variants; nothing if there are too few.

    Returns: the class or the expected level of each text, as text; and its fold.
    """
    folds = folds_of([group for *_, group in known], FOLDS)
    said = [""] * len(known)
    for fold in range(FOLDS):
        pairs = [(value, line) for (value, line, _), own in zip(known, folds, strict=True) if own != fold]
        places = [place for place, own in enumerate(folds) if own == fold]
        if not places or len({value for value, _ in pairs}) < 2:
            return [], []
        panel = Panel({name: _train(pairs, config, directory)})
        labels, shares = panel.judge([[token.encode() for token in known[place][1]] for place in places])[name]
        answers = top(labels, shares) if name == "domain" else map(str, _expected(labels, shares).tolist())
        for place, answer in zip(places, answers, strict=True):
            said[place] = answer
    return said, folds


def _expected(labels: Sequence[str], shares_NL: Vectors) -> NDArray[np.float64]:
    """The level that each of N distributions over levels expects."""
    return np.clip(shares_NL.astype(np.float64) @ np.array(list(map(float, labels))), 0.0, 1.0)


def _accuracy(values: list[str], said: list[str]) -> dict[str, float]:
    found = {"texts": float(len(values)), "classes": float(len(set(values)))}
    if said:
        found["accuracy"] = sum(one == value for one, value in zip(said, values, strict=True)) / len(values)
        found["kappa"] = kappa(said, values)
    return found


class FastTextTagger:
    """The classifiers of a directory; a `DocumentTagger`."""

    def __init__(self, directory: Path) -> None:
        self._panel = Panel({name: Tagger.load(directory / f"{name}.bin") for name in NAMES})
        points: dict[str, Any] = json.loads((directory / CALIBRATION).read_text())
        self._calibrations = {
            name: Calibration.from_dict(points[name]) if name in points else Calibration() for name in QUALITIES
        }

    def judge(self, texts: Sequence[str], masked: Sequence[Masked]) -> list[tuple[str, dict[str, float]]]:
        """See `DocumentTagger.judge`."""
        said = self._panel.judge([features(one) for one in masked])
        domains = top(*said["domain"])
        scores = {name: self._calibrations[name](_expected(*said[name])).tolist() for name in QUALITIES}
        return [(domain, {name: scores[name][place] for name in QUALITIES}) for place, domain in enumerate(domains)]


def top(labels: Sequence[str], shares_NL: Vectors) -> list[str]:
    """The likeliest label of each of N distributions; of equals the first in the alphabet."""
    order = np.argsort(np.array(labels))
    return [labels[place] for place in order[shares_NL[:, order].argmax(axis=1)]]
