"""The index of all documents seen so far: what a later dump is compared with.

Documents are numbered in the order they came, over all dumps. Files of an index (`.npy`, uint64):

    urls-00000.npy …    [2, keys] sorted hashes of normalised URLs, and the number of the document each belongs to
    bands-00000.npy …   [2, keys] the same of band keys; files are ranges of keys, in order
    documents.npy       [documents, 2] id and the number of the document kept in its place, often itself
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.artifacts import Artifact, ArtifactError, partial_name
from components.data.deduplication.components import Rows
from components.data.deduplication.config import Config

KIND = "deduplication_index"
Numbers = NDArray[np.uint64]


@dataclass(frozen=True)
class Index:
    """An index on disk; only what is looked up is read."""

    directory: Path
    documents: int

    @staticmethod
    def open(artifact: Artifact, config: Config) -> Index:
        """Raises ArtifactError where its keys were made with another recipe."""
        made, wanted = artifact.manifest.totals.get("recipe"), recipe(config)
        if made != wanted:
            raise ArtifactError(f"{artifact.directory}: an index of recipe {made}; this config needs {wanted}")
        return Index(artifact.directory, int(artifact.manifest.totals["documents"]))

    def keys(self, family: str, first: int, last: int) -> Rows:
        """Rows (key, document) of `family` (`urls` or `bands`) with first <= key <= last, sorted."""
        parts = []
        for path in sorted(self.directory.glob(f"{family}-*.npy")):
            columns = np.load(path, mmap_mode="r")
            if columns.shape[1] and columns[0, 0] <= last and columns[0, -1] >= first:
                start = np.searchsorted(columns[0], np.uint64(first))
                end = np.searchsorted(columns[0], np.uint64(last), side="right")
                parts.append(np.array(columns[:, start:end]))
        return np.concatenate([np.zeros((2, 0), dtype=np.uint64), *parts], axis=1).T

    def ids(self, numbers: Numbers) -> Numbers:
        return self._documents()[numbers.astype(np.int64), 0]

    def kept(self, numbers: Numbers) -> Numbers:
        """The documents kept in the place of these: the same text as that kept for the same URL."""
        table = self._documents()
        for _ in range(2):
            numbers = table[numbers.astype(np.int64), 1]
        return numbers

    def _documents(self) -> Rows:
        return _load(self.directory / "documents.npy")


@lru_cache(maxsize=2)
def _load(path: Path) -> Rows:
    return np.load(path, mmap_mode="r")


def recipe(config: Config) -> str:
    """What two sets of keys must have in common to be compared."""
    return f"{config.ngram}-grams, {config.bands}x{config.hashes}, seed {config.seed}, urls {config.urls}"


def write_keys(path: Path, old: Rows, new: Rows) -> None:
    """Write sorted rows (key, document); a key of `old` keeps its document."""
    if len(old):
        places = np.minimum(np.searchsorted(old[:, 0], new[:, 0]), len(old) - 1)
        new = new[old[places, 0] != new[:, 0]]
    rows = np.concatenate([old, new])
    _save(path, [rows[np.argsort(rows[:, 0], kind="stable")].T], (2, len(rows)))


def write_documents(path: Path, index: Index | None, parts: Iterable[Path], documents: int) -> None:
    """Write documents.npy: that of an older index, then the parts."""
    older = [index.directory / "documents.npy"] if index else []
    _save(path, (np.load(part, mmap_mode="r") for part in [*older, *parts]), (documents, 2))


def _save(path: Path, parts: Iterable[Rows], shape: tuple[int, int]) -> None:
    partial = partial_name(path)
    with partial.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": np.lib.format.dtype_to_descr(np.dtype(np.uint64)), "fortran_order": False, "shape": shape}
        )
        for part in parts:
            np.ascontiguousarray(part).tofile(file)
    partial.replace(path)
