"""The deduplication stage: signatures shard by shard, clusters over all shards, the best copy of each kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from components.artifacts import Artifact, describe_shard, partial_name, write_json
from components.data.deduplication.components import Rows
from components.data.deduplication.config import Config
from components.data.deduplication.index import KIND, Index, recipe, write_documents
from components.data.deduplication.plan import Plan
from components.data.deduplication.shuffle import Shuffle
from components.data.deduplication.signatures import write_signatures
from components.data.documents import (
    DOCUMENT_SCHEMA,
    REJECTED_SCHEMA,
    describe_part,
    run_parallel,
    write_parquet,
)
from components.data.ray_jobs import run_on_ray
from components.runner import Outputs

SAMPLES = 6
SIGNING, DECIDING = 0.6, 0.25  # of the time, roughly


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the outputs `documents` (one a cluster; the others are kept aside, each with the kept one's id) and `index`.

    With an input `index`, documents that earlier dumps hold are dropped, too, and the output index has them all.
    """
    sources = inputs["documents"].paths()
    older = Index.open(inputs["index"], config) if "index" in inputs else None
    signed = Plan(outputs.work, outputs.directory("index"), config, (), older)
    execute = partial(_execute, config=config)
    jobs = outputs.share(list(enumerate(sources)))
    for done, _ in enumerate(execute(partial(_sign, plan=signed), jobs), 1):
        outputs.progress.update(SIGNING * done, len(jobs), f"signatures: shard {done} of {len(jobs)}")
    outputs.end_share()

    counts = tuple(len(np.load(signed.signature("documents", shard), mmap_mode="r")) for shard in range(len(sources)))
    plan = Plan(signed.work, signed.index, config, counts, older)
    sizes = Shuffle(
        plan, execute, lambda share, what: outputs.progress.update(SIGNING + DECIDING * share, 1, what)
    ).run()
    write = partial(_write, plan=plan, directory=outputs.directory("documents"))
    for done, _ in enumerate(execute(write, list(enumerate(sources))), 1):
        share = SIGNING + DECIDING + (1 - SIGNING - DECIDING) * done / len(sources)
        outputs.progress.update(share, 1, f"writing: shard {done} of {len(sources)}")
    stats = [json.loads(_marker(plan, shard).read_text()) for shard in range(len(sources))]
    _finish(plan, stats, outputs)
    _report(plan, sizes, stats, sources, outputs)


def _execute(function: Any, jobs: Any, config: Config) -> Iterator[Any]:
    """Every job once, by processes here or on a Ray cluster."""
    if config.ray and len(jobs) > 1:
        return run_on_ray(function, list(jobs), config.ray)
    return run_parallel(function, list(jobs), config.workers)


def _sign(job: tuple[int, Path], *, plan: Plan) -> None:
    shard, source = job
    keys, documents = (plan.signature(what, shard) for what in ("keys", "documents"))
    if not documents.exists():
        write_signatures(source, keys, documents, plan.config)


def _marker(plan: Plan, shard: int) -> Path:
    """Written last: its presence means that the shard is complete."""
    return plan.work / "written" / f"part-{shard:05d}.json"


def _write(job: tuple[int, Path], *, plan: Plan, directory: Path) -> None:
    """Write a shard's kept documents, what it loses, and its part of the index's table."""
    shard, source = job
    if _marker(plan, shard).exists():
        return
    table = pq.read_table(source, columns=DOCUMENT_SCHEMA.names)
    by_url, by_text = plan.lost(shard)
    keep = np.ones(len(table), dtype=bool)
    rejected = []
    for reason, rows in (("same_url", by_url), ("near_duplicate", by_text)):
        places = rows[:, 0].astype(np.int64)
        keep[places] = False
        names = table.select(["id", "url"]).take(pa.array(places)).to_pylist()
        rejected += [
            {**name, "reason": reason, "detail": f"{kept:016x}"} for name, kept in zip(names, rows[:, 2], strict=True)
        ]
    _write_table(directory / f"part-{shard:05d}.parquet", table.filter(pa.array(keep)).cast(DOCUMENT_SCHEMA))
    if rejected:
        order = np.argsort(np.concatenate([by_url[:, 0], by_text[:, 0]]))
        path = directory / "rejected" / f"part-{shard:05d}.parquet"
        write_parquet(path, [rejected[number] for number in order], REJECTED_SCHEMA)
    ids = np.load(plan.signature("documents", shard))[:, 2]
    kept = np.arange(len(ids), dtype=np.uint64) + plan.starts()[shard]
    for rows in (by_url, by_text):
        kept[rows[:, 0].astype(np.int64)] = rows[:, 1]
    _marker(plan, shard).parent.mkdir(exist_ok=True)
    _save_table(plan, shard, np.column_stack([ids, kept]))
    samples = by_text[:: max(1, len(by_text) // SAMPLES)][:SAMPLES, :2].tolist()
    write_json(_marker(plan, shard), {"rows": int(keep.sum()), "same_url": len(by_url), "near_duplicate": len(by_text),
                                      "samples": samples})  # fmt: skip


def _write_table(path: Path, table: pa.Table) -> None:
    partial_path = partial_name(path)
    pq.write_table(table, partial_path, compression="zstd")
    partial_path.replace(path)


def _table(plan: Plan, shard: int) -> Path:
    return plan.work / "written" / f"table-{shard:05d}.npy"


def _save_table(plan: Plan, shard: int, rows: Rows) -> None:
    partial_path = partial_name(_table(plan, shard))
    with partial_path.open("wb") as file:
        np.save(file, rows)
    partial_path.replace(_table(plan, shard))


def _finish(plan: Plan, stats: list[dict[str, Any]], outputs: Outputs) -> None:
    counts: Counter[str] = Counter({"documents_read": sum(plan.counts)})
    shards = []
    for shard, numbers in enumerate(stats):
        lost = numbers["same_url"] + numbers["near_duplicate"]
        shards += describe_part(outputs.directory("documents"), shard, numbers["rows"], lost)
        counts.update(documents=numbers["rows"], rejected=lost)
        counts.update({f"rejected_{name}": numbers[name] for name in ("same_url", "near_duplicate") if numbers[name]})
    outputs.finish("documents", "documents", shards, counts)
    total = plan.base + sum(plan.counts)
    tables = [_table(plan, shard) for shard in range(len(stats))]
    write_documents(plan.index / "documents.npy", plan.older, tables, total)
    files = sorted(plan.index.glob("*.npy"))
    rows = {path: int(np.load(path, mmap_mode="r").shape[0 if path.stem == "documents" else 1]) for path in files}
    outputs.finish("index", KIND, [describe_shard(plan.index, path, rows[path]) for path in files],
                   {"documents": total, "recipe": recipe(plan.config)})  # fmt: skip
    outputs.metrics.update({name: float(count) for name, count in counts.items()}, documents_indexed=float(total))


def _report(
    plan: Plan, sizes: Counter[int], stats: list[dict[str, Any]], sources: list[Path], outputs: Outputs
) -> None:
    outputs.report.table("Funnel", ["", "documents"], [
        ["read", sum(plan.counts)],
        ["same URL as another", sum(one["same_url"] for one in stats)],
        ["near-duplicate of another", sum(one["near_duplicate"] for one in stats)],
        ["kept", sum(one["rows"] for one in stats)],
        ["in the index given", plan.base],
    ])  # fmt: skip
    bars = {str(size): float(sizes[size]) for size in sorted(sizes)}
    outputs.report.bars("Clusters of two and more by size", bars, "clusters")
    outputs.report.samples("Kept and dropped", _samples(plan, stats, sources))


def _samples(plan: Plan, stats: list[dict[str, Any]], sources: list[Path]) -> Iterator[tuple[str, str]]:
    """Beginnings of near-duplicates beside the copies kept in their place."""
    pairs = [(shard, row, kept) for shard, one in enumerate(stats) for row, kept in one["samples"]]
    starts = plan.starts()
    for shard, row, kept in pairs[:: max(1, len(pairs) // SAMPLES)][:SAMPLES]:
        yield _sample("dropped", sources[shard], row)
        if kept >= plan.base:
            holder = int(np.searchsorted(starts, np.uint64(kept), side="right")) - 1
            yield _sample("kept", sources[holder], kept - int(starts[holder]))


def _sample(role: str, source: Path, row: int) -> tuple[str, str]:
    document = pq.read_table(source, columns=["url", "text"]).slice(row, 1).to_pylist()[0]
    return f"{role}: {document['url']} ({len(document['text']):,} characters)", document["text"][:600]
