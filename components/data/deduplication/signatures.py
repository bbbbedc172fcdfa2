"""What the shuffle needs to know of a shard: each document's band keys, address, quality and id.

The quality of a copy is the number of its formulas and code blocks, then its length: near-duplicates say the same, and
what tells them apart is what was lost on the way. A tagger's scores of the two would differ by chance only.
"""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from components.artifacts import ArtifactError, partial_name
from components.data.deduplication.components import Rows
from components.data.deduplication.config import Config
from components.data.deduplication.minhash import signature_bands
from components.data.deduplication.urls import normalize_url

BATCH_ROWS = 4096
COLUMNS = ["id", "url", "formulas", "code_blocks", "text"]
_LENGTH_BITS = 40
_MOST = 2**64 - 1


def write_signatures(source: Path, keys: Path, documents: Path, config: Config) -> None:
    """Write `keys` [documents, bands] and `documents` [documents, (URL, quality, id)] of a shard, uint64.

    The URL is a hash, 0 where there is none; the better the quality, the smaller its number.

    Raises:
        ArtifactError: an id that is not 16 hex digits.
    """
    key_parts = [np.zeros((0, config.bands), dtype=np.uint64)]
    document_parts = [np.zeros((0, 3), dtype=np.uint64)]
    with pq.ParquetFile(source) as file:
        for batch in file.iter_batches(BATCH_ROWS, columns=COLUMNS):
            ids, urls, formulas, code_blocks, texts = (batch.column(name).to_pylist() for name in COLUMNS)
            key_parts.append(signature_bands(texts, config))
            rich = [(one or 0) + (other or 0) for one, other in zip(formulas, code_blocks, strict=True)]
            columns = [
                [url_hash(url) if config.urls else 0 for url in urls],
                [quality(count, len(text)) for count, text in zip(rich, texts, strict=True)],
                [_id(text, source) for text in ids],
            ]
            document_parts.append(np.array(columns, dtype=np.uint64).reshape(3, -1).T)
    _save(keys, np.concatenate(key_parts))
    _save(documents, np.concatenate(document_parts))  # last: its presence means that both are there


def quality(formulas_and_code: int, length: int) -> int:
    """A number that is smaller the better a copy is."""
    return _MOST - (min(formulas_and_code, (1 << 24) - 1) << _LENGTH_BITS | min(length, (1 << _LENGTH_BITS) - 1))


def url_hash(url: str) -> int:
    """64 bits of a normalised URL; 0 for an empty one."""
    normalized = normalize_url(url or "")
    if not normalized:
        return 0
    digest = blake2b(normalized.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def _id(text: str, source: Path) -> int:
    try:
        number = int(text, 16)
    except (TypeError, ValueError):
        number = -1
    if not 0 <= number <= _MOST or f"{number:016x}" != text:
        raise ArtifactError(f"{source}: document id {text!r}: 16 lower-case hex digits are needed")
    return number


def _save(path: Path, rows: Rows | NDArray[np.uint64]) -> None:
    partial = partial_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("wb") as file:
        np.save(file, np.ascontiguousarray(rows))
    partial.replace(path)
