"""The deduplication stage: signatures shard by shard, clusters over all shards, the best copy of each kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from components.artifacts import Artifact, write_json
from components.data.deduplication.config import Config
from components.data.deduplication.minhash import Keys, cluster, signature_bands
from components.data.deduplication.urls import normalize_url
from components.data.documents import (
    DOCUMENT_SCHEMA,
    REJECTED_SCHEMA,
    Mapped,
    Record,
    describe_part,
    read_parquet,
    run_parallel,
    write_parquet,
)
from components.runner import Outputs

SAMPLES = 6
Clusters = NDArray[np.int64]


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the output `documents`: one document a cluster; the others are kept aside, each with the kept one's id."""
    sources = inputs["documents"].paths()
    work = partial(_sign, config=config, work=outputs.work)
    for done, _ in enumerate(run_parallel(work, list(enumerate(sources)), config.workers), 1):
        outputs.progress.update(0.8 * done, len(sources), f"signatures: shard {done} of {len(sources)}")
    keys, documents = _read_signatures(outputs.work, len(sources), config)
    url_kept = _same_url(documents) if config.urls else np.arange(len(documents), dtype=np.int64)
    kept = choose(documents, keys, url_kept)
    _write(sources, documents, url_kept, kept, outputs)
    _report(documents, url_kept, kept, sources, outputs)


def _sign(job: tuple[int, Path], *, config: Config, work: Path) -> None:
    """Band keys of one shard, and what is needed to choose between copies."""
    index, source = job
    marker = work / f"signatures-{index:05d}.json"   # written last
    if marker.exists():
        return
    records = read_parquet(source)
    keys = signature_bands((record["text"] for record in records), config)
    partial_path = work / f"signatures-{index:05d}.partial"
    with partial_path.open("wb") as file:
        np.save(file, keys)
    partial_path.replace(work / f"signatures-{index:05d}.npy")
    write_json(marker, [
        {"id": record["id"], "url": record["url"], "shard": index, "row": row,
         "quality": [(record["formulas"] or 0) + (record["code_blocks"] or 0), len(record["text"])]}
        for row, record in enumerate(records)
    ])  # fmt: skip


def _read_signatures(work: Path, shards: int, config: Config) -> tuple[Keys, list[Record]]:
    names = [work / f"signatures-{index:05d}" for index in range(shards)]
    documents = [document for name in names for document in json.loads(name.with_suffix(".json").read_text())]
    keys = [np.load(name.with_suffix(".npy")) for name in names]
    return np.concatenate([np.zeros((0, config.bands), dtype=np.uint64), *keys]), documents


def _same_url(documents: list[Record]) -> Clusters:
    """For each document the best one with the same normalised URL, maybe itself."""
    groups: dict[str, list[int]] = {}
    for index, document in enumerate(documents):
        groups.setdefault(normalize_url(document["url"]) or f"no URL {index}", []).append(index)
    kept = np.arange(len(documents), dtype=np.int64)
    for members in groups.values():
        kept[members] = _best(documents, members)
    return kept


def choose(documents: list[Record], keys: Keys, url_kept: Clusters) -> Clusters:
    """For each document the one that is kept in its place, maybe itself: the best of its cluster.

    Only one document an address goes into the clusters; the others follow it.
    """
    survivors = np.flatnonzero(url_kept == np.arange(len(documents)))
    clusters = cluster(keys[survivors])
    kept = np.arange(len(documents), dtype=np.int64)
    by_cluster = sorted(zip(clusters.tolist(), survivors.tolist(), strict=True))
    for _, group in groupby(by_cluster, key=lambda pair: pair[0]):
        members = [member for _, member in group]
        kept[members] = _best(documents, members)
    return kept[url_kept]


def _best(documents: list[Record], members: list[int]) -> int:
    """Most formulas and code blocks, then longest text; ties go to the smallest id, then to the first."""
    return min(members, key=lambda member: (*(-value for value in documents[member]["quality"]),
                                            documents[member]["id"], member))  # fmt: skip


def _write(
    sources: list[Path], documents: list[Record], url_kept: Clusters, kept: Clusters, outputs: Outputs
) -> None:
    directory = outputs.directory("documents")
    shards, counts = [], Counter({"documents_read": len(documents)})
    position = 0
    for index, source in enumerate(sources):
        mapped = Mapped()
        records = read_parquet(source)
        for number, record in enumerate(records, position):
            winner = documents[kept[number]]
            if kept[number] == number:
                mapped.kept.append(record)
            else:
                reason = "near_duplicate" if url_kept[number] == number else "same_url"
                mapped.reject(record, reason, f"{winner['id']} {winner['url']}")
        position += len(records)
        write_parquet(directory / f"part-{index:05d}.parquet", mapped.kept, DOCUMENT_SCHEMA)
        if mapped.rejected:
            write_parquet(directory / "rejected" / f"part-{index:05d}.parquet", mapped.rejected, REJECTED_SCHEMA)
        shards += describe_part(directory, index, len(mapped.kept), len(mapped.rejected))
        counts.update(mapped.counts)
        outputs.progress.update(0.8 + 0.2 * (index + 1) / len(sources), 1, "writing")
    counts["documents"] = sum(shard.rows for shard in shards if shard.role == "data")
    counts["rejected"] = len(documents) - counts["documents"]
    outputs.finish("documents", "documents", shards, counts)
    outputs.metrics.update({name: float(count) for name, count in counts.items()})


def _report(
    documents: list[Record], url_kept: Clusters, kept: Clusters, sources: list[Path], outputs: Outputs
) -> None:
    everyone = np.arange(len(documents))
    same_url = int((url_kept != everyone).sum())
    survivors = int((kept == everyone).sum())
    outputs.report.table("Funnel", ["", "documents"], [
        ["read", len(documents)],
        ["same URL as another", same_url],
        ["near-duplicate of another", len(documents) - same_url - survivors],
        ["kept", survivors],
    ])  # fmt: skip
    sizes = Counter(np.unique(kept, return_counts=True)[1].tolist())
    outputs.report.bars("Clusters by size", {str(size): float(sizes[size]) for size in sorted(sizes)}, "clusters")
    outputs.report.samples("Kept and dropped", _samples(documents, url_kept, kept, sources))


def _samples(
    documents: list[Record], url_kept: Clusters, kept: Clusters, sources: list[Path]
) -> Iterator[tuple[str, str]]:
    """Beginnings of near-duplicates beside the copies kept in their place."""
    dropped = np.flatnonzero((kept != np.arange(len(documents))) & (url_kept == np.arange(len(documents))))
    for number in dropped[:: max(1, len(dropped) // SAMPLES)][:SAMPLES]:
        for role, index in (("dropped", number), ("kept", kept[number])):
            document = documents[index]
            text = read_parquet(sources[document["shard"]])[document["row"]]["text"]
            yield f"{role}: {document['url']} ({len(text):,} characters)", text[:600]
