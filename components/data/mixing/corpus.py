"""The tokenised corpus: every document of both inputs as token ids in memory-mapped files, with an index.

- `hash_share`, `is_held_out`    which documents no training stage may see
- `tokenize`                     one shard of documents -> token file and index
- `Corpus`                       all shards, as arrays over documents
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from components.artifacts import write_json
from components.data.documents import Record
from components.data.mixing.config import SYNTHETIC
from components.training.packing import TokenArray

BATCH = 64   # documents encoded at once, in the library's threads
UNTAGGED = "untagged"   # class of web documents without a domain


def hash_share(document_id: str) -> float:
    """A number in [0, 1) from a document's id alone: the same in every run, on any corpus."""
    return int.from_bytes(hashlib.sha256(f"held out/{document_id}".encode()).digest()[:7], "big") / 2**56


def is_held_out(document_id: str, share: float) -> bool:
    return hash_share(document_id) < share


def tokenize(documents: Sequence[Record], path: Path, encoder: Tokenizer, end_of_text: int, *, synthetic: bool) -> None:
    """Write the tokens of all documents to `path` (.npy), each ended by `end_of_text`, and their index beside it.

    The index is written last: its presence means that the shard is complete.
    """
    pieces: list[TokenArray] = []
    lengths: list[int] = []
    for start in range(0, len(documents), BATCH):
        texts = [document["text"] for document in documents[start : start + BATCH]]
        for encoding in encoder.encode_batch_fast(texts, add_special_tokens=False):
            pieces.append(np.array([*encoding.ids, end_of_text], dtype=np.uint32))
            lengths.append(len(pieces[-1]))
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.save(file, np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.uint32))
    partial.replace(path)
    index = {
        "ids": [document["id"] for document in documents],
        "lengths": lengths,
        "classes": [SYNTHETIC if synthetic else document["domain"] or UNTAGGED for document in documents],
        "weights": [float(document["scores"].get("sampling_weight", 1.0)) for document in documents],
    }
    write_json(path.with_suffix(".json"), index)


class Corpus:
    """Documents of all token files, in order.

    Attributes (arrays over documents):
        ids, classes: as in the documents; `synthetic` for all synthetic ones.
        lengths: tokens, the end-of-text token included.
        weights: how often a document is seen in one pass over its source, on average.
        held_out: never in a training stage.
    """

    def __init__(self, paths: Iterable[Path], held_out_share: float) -> None:
        self._tokens: list[TokenArray] = []
        ids: list[str] = []
        classes: list[str] = []
        weights: list[float] = []
        lengths: list[int] = []
        starts: list[int] = []
        shards: list[int] = []
        for number, path in enumerate(paths):
            index = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
            self._tokens.append(np.load(path, mmap_mode="r" if index["ids"] else None))
            ids += index["ids"]
            classes += index["classes"]
            weights += index["weights"]
            lengths += index["lengths"]
            starts += [0, *np.cumsum(index["lengths"])[:-1].tolist()][: len(index["ids"])]
            shards += [number] * len(index["ids"])
        self.ids = ids
        self.classes = np.array(classes, dtype=object)
        self.weights = np.array(weights, dtype=np.float64)
        self.lengths = np.array(lengths, dtype=np.int64)
        self.held_out = held_out(ids, self.classes != SYNTHETIC, held_out_share)
        self._starts = starts
        self._shards = shards

    def tokens(self, document: int, start: int, end: int) -> TokenArray:
        """Tokens `start` to `end` of a document."""
        offset = self._starts[document]
        return self._tokens[self._shards[document]][offset + start : offset + end]


def held_out(ids: Sequence[str], is_web: NDArray[np.bool_], share: float) -> NDArray[np.bool_]:
    """Which documents are held out: by hash, and of web documents at least the one with the smallest hash."""
    hashes = np.array([hash_share(document_id) for document_id in ids])
    chosen = hashes < share
    if is_web.any() and not (chosen & is_web).any():
        chosen[np.flatnonzero(is_web)[hashes[is_web].argmin()]] = True
    return chosen
