"""The mixture of one pretraining stage: which pieces of which documents, in what order, in which rows.

Every draw comes from the source that is furthest below its share, so shares are met to within one piece at any moment.
A source gives its pieces in a seeded order, epoch after epoch; in each epoch a document of sampling weight w appears
w times on average. A web source too small for its share gives what it can in the epochs allowed. Pieces are packed a
shard at a time; those of the emptiest rows wait for the next shard.

- `feasible_shares`   the shares wanted, as far as sources are large enough
- `Pieces`            documents cut to the row length
- `Source`            an endless seeded stream of pieces of some classes
- `Mixer`             draws, packs, remembers where it is
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.artifacts import ArtifactError
from components.data.mixing.config import SYNTHETIC, WEB, Mixture
from components.data.mixing.corpus import Corpus
from components.training.packing import TokenArray, cut, fill, pack

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Pieces:
    """Pieces of documents: arrays over pieces, in the order of their documents."""

    document: Integers
    start: Integers
    end: Integers

    @classmethod
    def of(cls, corpus: Corpus, documents: Integers, capacity: int) -> Pieces:
        rows = [(document, *piece) for document in documents for piece in cut(int(corpus.lengths[document]), capacity)]
        document, start, end = np.array(rows, dtype=np.int64).reshape(-1, 3).T
        return cls(document, start, end)

    def __len__(self) -> int:
        return len(self.document)

    def length(self, piece: int) -> int:
        return int(self.end[piece] - self.start[piece])


@dataclass
class Source:
    """An endless stream of pieces; `epoch` and `position` say where it is."""

    name: str
    pieces: Pieces
    weights: NDArray[np.float64]   # by piece: how often in one epoch
    seed: tuple[int, ...]
    epoch: int = 0
    position: int = 0
    _order: Integers | None = field(default=None, repr=False)

    def tokens_per_epoch(self) -> float:
        """Expected, sampling weights applied."""
        return float(((self.pieces.end - self.pieces.start) * self.weights).sum())

    def draw(self) -> int:
        """The next piece."""
        if self._order is None:
            self._order = self._shuffle()
        while self.position >= len(self._order):
            self.epoch, self.position = self.epoch + 1, 0
            self._order = self._shuffle()
        self.position += 1
        return int(self._order[self.position - 1])

    def _shuffle(self) -> Integers:
        """Pieces of this epoch: all of a document or none, each document rounded up or down to whole copies."""
        generator = np.random.default_rng((*self.seed, self.epoch))
        _, document = np.unique(self.pieces.document, return_inverse=True)
        rounding = generator.random(document.max() + 1)[document]
        copies = np.floor(self.weights + rounding).astype(np.int64)
        return generator.permutation(np.repeat(np.arange(len(self.pieces)), copies))


def make_sources(corpus: Corpus, mixture: Mixture, seed: tuple[int, ...]) -> list[Source]:
    """One source per key of the mixture's weights.

    Raises:
        ArtifactError: a source without documents; says which classes there are.
    """
    usable = ~corpus.held_out & (corpus.weights > 0)
    named = [key for key in mixture.weights if key != WEB]
    sources = []
    for number, name in enumerate(mixture.weights):
        mine = ~np.isin(corpus.classes, [*named, SYNTHETIC]) if name == WEB else corpus.classes == name
        documents = np.flatnonzero(mine & usable)
        if not len(documents):
            classes = ", ".join(sorted({str(name) for name in corpus.classes[usable]})) or "none"
            raise ArtifactError(f"mixing: no document for the source {name!r}; classes with documents: {classes}")
        pieces = Pieces.of(corpus, documents, mixture.sequence_length)
        sources.append(Source(name, pieces, corpus.weights[pieces.document], (*seed, number)))
    return sources


def feasible_shares(
    wanted: NDArray[np.float64], epochs: NDArray[np.float64], limits: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Shares under a limit on epochs: what one source cannot give, the limited ones with room give by their shares.

    Where all limited sources are used up, all exceed their limit by the same factor; sources without a limit keep
    their shares unless there are no others.

    Args:
        wanted: shares, summing to 1.
        epochs: how often each source would be repeated at its wanted share.
        limits: most epochs of each, infinite for none.
    """
    most = np.where(np.isinf(limits), wanted, wanted * limits / epochs)
    budget = 1 - wanted[np.isinf(limits)].sum()
    limited = np.isfinite(limits)
    if not limited.any():
        return wanted
    if most[limited].sum() <= budget:   # nothing has room
        return np.where(limited, most * budget / most[limited].sum(), wanted)
    shares = wanted.copy()
    for _ in wanted:   # each round fills up one source or ends
        full = limited & (shares >= most)
        shares = np.where(full, most, shares)
        free = limited & ~full
        room = budget - shares[limited & full].sum()
        shares = np.where(free, wanted * room / max(wanted[free].sum(), 1e-12), shares)
    return shares


class Mixer:
    """Draws and packs the rows of one stage, a shard at a time. `state` and `restore` make it resumable."""

    def __init__(self, corpus: Corpus, mixture: Mixture, seed: tuple[int, ...], padding: int) -> None:
        self.sources = make_sources(corpus, mixture, seed)
        self._corpus = corpus
        wanted = np.array([mixture.weights[source.name] for source in self.sources])
        sizes = np.array([source.tokens_per_epoch() for source in self.sources])
        is_web = np.array([source.name != SYNTHETIC for source in self.sources])
        limits = np.where(is_web, mixture.maximum_epochs, np.inf)
        self.shares = feasible_shares(wanted, wanted * mixture.rows * mixture.sequence_length / sizes, limits)
        self._capacity = mixture.sequence_length
        self._seed = seed
        self._padding = padding
        self.drawn = np.zeros(len(self.sources), dtype=np.int64)    # tokens taken from each source
        self.packed = np.zeros(len(self.sources), dtype=np.int64)   # tokens of each source in finished rows
        self._waiting: list[tuple[int, int]] = []                   # (source, piece) drawn but in no row yet

    def shard(self, index: int, rows: int) -> tuple[TokenArray, list[list[str]]]:
        """The next `rows` rows, [rows, 2, sequence_length], in a seeded order, and the ids of each row's documents."""
        waiting = self._waiting
        tokens = sum(self._length(*item) for item in waiting)
        while tokens < rows * self._capacity:
            source = int(np.argmax(self.shares * (self.drawn.sum() + self._capacity) - self.drawn))
            piece = self.sources[source].draw()
            waiting.append((source, piece))
            self.drawn[source] += self._length(source, piece)
            tokens += self._length(source, piece)
        lengths = [self._length(*item) for item in waiting]
        packed = pack(lengths, self._capacity)
        packed.sort(key=lambda row: -sum(lengths[item] for item in row))   # stable: fullest rows first
        order = np.random.default_rng((*self._seed, index, rows)).permutation(rows)
        chosen = [packed[row] for row in order]
        for source, piece in (waiting[item] for row in chosen for item in row):
            self.packed[source] += self._length(source, piece)
        array = fill([self._tokens(*item) for item in waiting], chosen, self._capacity, self._padding)
        documents = [[self._document(*waiting[item]) for item in row] for row in chosen]
        self._waiting = [waiting[item] for item in sorted(item for row in packed[rows:] for item in row)]
        return array, documents

    def state(self) -> dict[str, Any]:
        """Where the mixer is, as JSON values."""
        return {
            "sources": [[source.epoch, source.position] for source in self.sources],
            "drawn": self.drawn.tolist(),
            "packed": self.packed.tolist(),
            "waiting": self._waiting,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state` of the same corpus, mixture and seed."""
        positions: Sequence[Sequence[int]] = state["sources"]
        for source, (epoch, position) in zip(self.sources, positions, strict=True):
            source.epoch, source.position = epoch, position
        self.drawn = np.array(state["drawn"], dtype=np.int64)
        self.packed = np.array(state["packed"], dtype=np.int64)
        self._waiting = [(source, piece) for source, piece in state["waiting"]]

    @property
    def waiting_tokens(self) -> int:
        """Tokens drawn that no row has taken."""
        return int((self.drawn - self.packed).sum())

    def _length(self, source: int, piece: int) -> int:
        return self.sources[source].pieces.length(piece)

    def _document(self, source: int, piece: int) -> str:
        return self._corpus.ids[int(self.sources[source].pieces.document[piece])]

    def _tokens(self, source: int, piece: int) -> TokenArray:
        pieces = self.sources[source].pieces
        return self._corpus.tokens(int(pieces.document[piece]), int(pieces.start[piece]), int(pieces.end[piece]))
