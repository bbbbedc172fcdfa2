"""The taggers of the stage: language, domain, and three quality scores.

- `train_all`    labelled texts -> five classifiers in a directory
- `Taggers`      loads them and tags documents
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from components.data.filtering.config import Config, Labels
from components.data.filtering.labels import SEEDS, read_labels
from components.data.filtering.masking import Masked, features, letters, mask
from components.data.filtering.tagger import Tagger

QUALITIES = ("knowledge_density", "reasoning_depth", "educational_value")
COLUMNS = ("domain", *QUALITIES, "text")
NAMES = ("language", "domain", *QUALITIES)
HIGH, LOW = "1", "0"

LANGUAGE_WORDS = 20   # less prose than this says nothing about the language


@dataclass(frozen=True)
class Tags:
    """What the taggers say of one document. `language` is empty if there is too little prose to tell."""

    masked: Masked
    language: str
    language_confidence: float
    domain: str
    scores: dict[str, float]


def train_all(config: Config, directory: Path) -> dict[str, int]:
    """Train every tagger that `directory` does not hold yet; returns the number of samples by tagger and label."""
    directory.mkdir(exist_ok=True)
    samples = _samples(config.labels)
    for name in NAMES:
        path = directory / f"{name}.bin"
        if not path.exists():
            training = config.language_training if name == "language" else config.training
            Tagger.train(samples[name], training, config.seed, directory).save(path)
    counts: dict[str, int] = {}
    for name, pairs in samples.items():
        for label, _ in pairs:
            counts[f"{name}: {label}"] = counts.get(f"{name}: {label}", 0) + 1
    return counts


def _samples(labels: Labels) -> dict[str, list[tuple[str, str]]]:
    """(label, line) pairs for each tagger."""
    samples: dict[str, list[tuple[str, str]]] = {name: [] for name in NAMES}
    for row in read_labels(Path(labels.documents.path or SEEDS / "documents.tsv"), COLUMNS):
        line = features(mask(row["text"]))
        for name in COLUMNS[:-1]:
            if row[name]:
                samples[name].append((row[name], line))
    for row in read_labels(Path(labels.languages.path or SEEDS / "languages.tsv"), ("language", "text")):
        samples["language"].append((row["language"], letters(mask(row["text"]))[0]))
    return samples


class Taggers:
    """All taggers of a directory."""

    def __init__(self, directory: Path) -> None:
        self._taggers = {name: Tagger.load(directory / f"{name}.bin") for name in NAMES}

    def tag(self, texts: Sequence[str]) -> list[Tags]:
        """Tags of each text."""
        if not texts:
            return []
        masked = [mask(text) for text in texts]
        lines = [features(one) for one in masked]
        prose = [letters(one) for one in masked]
        languages = self._taggers["language"].predict([line for line, _ in prose])
        domains = self._taggers["domain"].predict(lines)
        qualities = {name: self._taggers[name].predict(lines) for name in QUALITIES}
        tags = []
        for number, one in enumerate(masked):
            language, confidence = _top(languages[number])
            if prose[number][1] < LANGUAGE_WORDS:
                language, confidence = "", 0.0
            scores = {name: qualities[name][number].get(HIGH, 0.0) for name in QUALITIES}
            scores |= {"math_share": min(1.0, one.math), "code_share": min(1.0, one.code)}
            tags.append(Tags(one, language, confidence, _top(domains[number])[0], scores))
        return tags


@lru_cache(maxsize=1)
def load_taggers(directory: Path) -> Taggers:
    """The taggers of `directory`, loaded once in a process."""
    return Taggers(directory)


def _top(probabilities: dict[str, float]) -> tuple[str, float]:
    """The likeliest label; of equals the first in the alphabet."""
    return min(probabilities.items(), key=lambda pair: (-pair[1], pair[0]), default=("", 0.0))
