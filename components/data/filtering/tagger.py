"""fastText classifiers, trained deterministically.

fastText with one thread leaves nine tenths of its input matrix uninitialised (`DenseMatrix::uniform` fills block 0 of
10 only), and with more threads their race decides the result. So the matrix is given whole, as pretrained vectors drawn
from the seed, and there are no hash buckets, whose rows no vector file can fill: pairs of words or parts of words must
be tokens of the line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import fasttext
import numpy as np

from components.config import ConfigError
from components.data.filtering.config import Training

_PREFIX = "__label__"
_LINE_END = "</s>"   # fastText's own token, at the end of every line


class Tagger:
    """A classifier of lines of tokens."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def train(cls, samples: Iterable[tuple[str, str]], training: Training, seed: int, work: Path) -> Tagger:
        """Train on (label, line) pairs; the same pairs in the same order give the same model.

        Args:
            samples: tokens of a line are separated by white space; none may begin like a fastText label.
            work: a directory for the files fastText reads.

        Raises:
            ConfigError: fewer than two labels.
        """
        pairs = [(label, _tokens(line)) for label, line in samples]
        labels = {label for label, _ in pairs}
        if len(labels) < 2:
            raise ConfigError(f"filtering.labels: a tagger needs two labels or more, there are {len(labels)}")
        lines = work / "training.txt"
        lines.write_text("".join(f"{_PREFIX}{label} {' '.join(line)}\n" for label, line in pairs), encoding="utf-8")
        vectors = work / "training.vec"
        vocabulary = sorted({_LINE_END, *(token for _, line in pairs for token in line)})
        values = np.random.default_rng(seed).uniform(-1, 1, (len(vocabulary), training.dimension)) / training.dimension
        rows = [
            f"{token} {' '.join(map('{:.6f}'.format, row))}\n" for token, row in zip(vocabulary, values, strict=True)
        ]
        vectors.write_text(f"{len(vocabulary)} {training.dimension}\n" + "".join(rows), encoding="utf-8")
        model = fasttext.train_supervised(
            str(lines), pretrainedVectors=str(vectors), lr=training.learning_rate, dim=training.dimension,
            epoch=training.epochs, wordNgrams=1, minn=0, maxn=0, bucket=0, minCount=1, thread=1, seed=seed, verbose=0,
        )  # fmt: skip
        lines.unlink()
        vectors.unlink()
        return cls(model)

    def predict(self, lines: Sequence[str]) -> list[dict[str, float]]:
        """The probability of each label, for each line."""
        labels, probabilities = self._model.predict([" ".join(_tokens(line)) for line in lines], k=-1)
        return [
            {label.removeprefix(_PREFIX): min(1.0, float(value)) for label, value in zip(names, values, strict=True)}
            for names, values in zip(labels, probabilities, strict=True)
        ]

    def save(self, path: Path) -> None:
        partial = path.with_suffix(".partial")
        self._model.save_model(str(partial))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Tagger:
        return cls(fasttext.load_model(str(path)))


def _tokens(line: str) -> list[str]:
    """Tokens as fastText splits them; a label in the text is no token, or a page could label itself."""
    return [token for token in line.replace("\0", " ").split() if not token.startswith(_PREFIX)]
