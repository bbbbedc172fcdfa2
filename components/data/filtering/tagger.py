"""fastText classifiers, trained deterministically, and several of them asked in one pass.

Training. fastText with one thread leaves nine tenths of its input matrix uninitialised (`DenseMatrix::uniform` fills
block 0 of 10 only), and with more threads their race decides the result. So the matrix is given whole, as pretrained
vectors drawn from the seed, and there are no hash buckets, whose rows no vector file can fill: pairs of words or parts
of words must be tokens of the line.

Asking. Without buckets a fastText classifier is the mean of its tokens' rows, a matrix and a softmax. So a token's row
times the matrix is what the token says for each label, and a line says the mean of that. Classifiers that read the same
tokens have theirs side by side here: a token is looked up once for all of them.

- `Tagger`   one classifier: train, save, load
- `Panel`    what classifiers say of the same tokens
- `WordPanel`  one classifier whose tokens come from words, and words are remembered
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fasttext
import numpy as np
from numpy.typing import NDArray

from components.config import ConfigError
from components.data.filtering.config import Training

_PREFIX = "__label__"
_LINE_END = "</s>"  # fastText's own token, at the end of every line
_REMEMBERED = 1 << 16  # words
_ROWS = 1 << 16  # token rows added up at once
Vectors = NDArray[np.float32]


class Tagger:
    """A classifier of lines of tokens."""

    def __init__(self, model: Any) -> None:
        self._model = model

    @classmethod
    def train(cls, samples: Iterable[tuple[str, Iterable[str]]], training: Training, seed: int, work: Path) -> Tagger:
        """Train on (label, tokens) pairs; the same pairs in the same order give the same model.

        Args:
            samples: tokens hold no white space, and none may begin like a fastText label.
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

    def arrays(self) -> tuple[dict[str, Vectors], list[str], Vectors]:
        """(Token -> its row; labels; a row for each label)."""
        rows = self._model.get_input_matrix()
        words = self._model.get_words()
        labels = [label.removeprefix(_PREFIX) for label in self._model.get_labels()]
        return dict(zip(words, rows, strict=False)), labels, self._model.get_output_matrix()

    def predict(self, line: Iterable[str]) -> dict[str, float]:
        """The probability of each label as fastText itself computes it; slow, for comparison."""
        labels, values = self._model.predict([" ".join(_tokens(line))], k=-1)
        return {label.removeprefix(_PREFIX): float(p) for label, p in zip(labels[0], values[0], strict=True)}

    def save(self, path: Path) -> None:
        partial = path.with_suffix(".partial")
        self._model.save_model(str(partial))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Tagger:
        return cls(fasttext.load_model(str(path)))


class Panel:
    """Classifiers that read the same tokens."""

    def __init__(self, taggers: Mapping[str, Tagger]) -> None:
        arrays = {name: tagger.arrays() for name, tagger in taggers.items()}
        words = sorted({word for rows, *_ in arrays.values() for word in rows})
        self._ids = {word.encode(): number for number, word in enumerate(words)}
        ends = np.cumsum([0, *(len(labels) for _, labels, _ in arrays.values())])
        # a last column counts the tokens that a classifier knows: their number is what its mean is taken over
        self._rows = np.zeros((len(words), int(ends[-1]) + len(arrays)), dtype=np.float32)
        self._heads: dict[str, tuple[slice, int, list[str]]] = {}
        for place, (name, (rows, labels, output)) in enumerate(arrays.items()):
            columns, counter = slice(int(ends[place]), int(ends[place + 1])), int(ends[-1]) + place
            for word, row in rows.items():
                number = self._ids[word.encode()]
                self._rows[number, columns], self._rows[number, counter] = output @ row, 1
            self._heads[name] = (columns, counter, labels)

    def judge(self, lines: Sequence[Iterable[bytes]]) -> dict[str, tuple[list[str], Vectors]]:
        """By classifier its labels and their probabilities (N, labels) for each of N lines of tokens."""
        know, end = self._ids.get, self._ids[_LINE_END.encode()]
        sums = np.empty((len(lines), self._rows.shape[1]), dtype=np.float32)
        ids: list[int] = []
        starts: list[int] = []
        first = 0
        for place, line in enumerate(lines, 1):
            starts.append(len(ids))
            ids += [number for token in line if (number := know(token)) is not None]
            ids.append(end)
            if len(ids) >= _ROWS or place == len(lines):
                sums[first:place] = np.add.reduceat(self._rows[ids], starts, axis=0)
                ids, starts, first = [], [], place
        return {
            name: (labels, _softmax(sums[:, columns] / sums[:, counter, None]))
            for name, (columns, counter, labels) in self._heads.items()
        }


class WordPanel:
    """A classifier whose tokens come from words: what a word says is remembered, since few words make most texts."""

    def __init__(self, tagger: Tagger, tokens_of: Callable[[str], Iterable[str]]) -> None:
        rows, self.labels, output = tagger.arrays()
        self._tokens_of = tokens_of
        # as in Panel, a last column counts
        self._rows = {word: np.append(output @ row, np.float32(1)) for word, row in rows.items()}
        self._nothing = np.zeros(len(self._rows[_LINE_END]), dtype=np.float32)
        self._sums: dict[str, Vectors] = {}

    def judge(self, lines: Sequence[Sequence[str]]) -> Vectors:
        """(N, labels): probabilities for each of N lines of words."""
        if len(self._sums) > _REMEMBERED:
            self._sums.clear()
        for word in {word for line in lines for word in line}.difference(self._sums):
            known = [self._rows[token] for token in self._tokens_of(word) if token in self._rows]
            self._sums[word] = np.sum(known, axis=0, dtype=np.float32) if known else self._nothing
        end, sums = self._rows[_LINE_END], self._sums
        total = np.stack([np.add.reduce([sums[word] for word in line] or [self._nothing]) + end for line in lines])
        return _softmax(total[:, :-1] / total[:, -1:])


def _softmax(values_NL: Vectors) -> Vectors:
    powers = np.exp(values_NL - values_NL.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def _tokens(line: Iterable[str]) -> list[str]:
    """Tokens that fastText takes as they are; a label in the text is no token, or a page could label itself."""
    return [token for token in line if token and not token.startswith(_PREFIX)]
