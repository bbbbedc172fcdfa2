"""Web pages and documents: record schemas, sharded Parquet, and the resumable shard-by-shard map.

Artifacts of kind `pages` hold raw HTML, of kind `documents` extracted Markdown, of kind `conversations` messages.
Shards are Parquet files `part-00000.parquet`, …; what a stage drops is kept beside them in `rejected/` with a reason.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from components.artifacts import Artifact, Shard, describe_shard, partial_name, write_json
from components.runner import Outputs

Record = dict[str, Any]

PAGE_SCHEMA = pa.schema([
    ("id", pa.string()),              # sha256 of url and html, 16 hex digits: the same page has the same id anywhere
    ("url", pa.string()),
    ("source", pa.string()),          # the configured name of the input it came from
    ("html", pa.large_binary()),      # bytes as fetched
    ("content_type", pa.string()),    # HTTP Content-Type as sent, may be empty
])
DOCUMENT_SCHEMA = pa.schema([
    ("id", pa.string()),
    ("url", pa.string()),
    ("source", pa.string()),
    ("title", pa.string()),
    ("text", pa.large_string()),      # Markdown: $…$, $$…$$, fenced code
    ("formulas", pa.int32()),
    ("code_blocks", pa.int32()),
    ("thread", pa.bool_()),           # a forum or question-and-answer thread
    ("language", pa.string()),        # ISO 639-1, empty until tagged
    ("domain", pa.string()),          # tagger's class, empty until tagged
    ("scores", pa.map_(pa.string(), pa.float32())),   # tagger's quality scores in [0, 1]; sampling_weight, 1 if absent
])
CONVERSATION_SCHEMA = pa.schema([
    ("id", pa.string()),
    ("source", pa.string()),          # synthesis route and generator
    ("problem_id", pa.string()),      # the problem it answers, empty if none
    ("messages", pa.list_(pa.struct([("role", pa.string()), ("content", pa.large_string())]))),
])
REJECTED_SCHEMA = pa.schema([
    ("id", pa.string()),
    ("url", pa.string()),
    ("reason", pa.string()),          # a short key to count by
    ("detail", pa.large_string()),    # what a person would want to know
])


@dataclass
class Mapped:
    """What a transform makes of one shard: records kept, records set aside with a reason, and counts to add up."""

    kept: list[Record] = field(default_factory=list)
    rejected: list[Record] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def reject(self, record: Mapping[str, Any], reason: str, detail: str = "") -> None:
        self.rejected.append({"id": record["id"], "url": record.get("url", ""), "reason": reason, "detail": detail})
        self.counts[f"rejected_{reason}"] += 1


def write_parquet(path: Path, records: Iterable[Record], schema: pa.Schema) -> int:
    """Write records as one Parquet file that appears whole or not at all; returns the number of rows."""
    table = pa.Table.from_pylist(list(records), schema=schema)
    partial_path = partial_name(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, partial_path, compression="zstd")
    partial_path.replace(path)
    return table.num_rows


def read_parquet(path: Path) -> list[Record]:
    """All records of a Parquet file; map columns come back as dicts."""
    table = pq.read_table(path)
    maps = [column.name for column in table.schema if pa.types.is_map(column.type)]
    records = table.to_pylist()
    for record in records:
        for name in maps:
            record[name] = dict(record[name] or ())
    return records


def read_documents(artifact: Artifact) -> Iterator[Record]:
    """Records of all data shards, in order."""
    for path in artifact.paths():
        yield from read_parquet(path)


def map_shards(
    artifact: Artifact,
    outputs: Outputs,
    name: str,
    transform: Callable[[list[Record]], Mapped],
    *,
    kind: str,
    schema: pa.Schema,
    workers: int,
    totals: Mapping[str, int | float | str] | None = None,
) -> Counter[str]:
    """Apply `transform` to every shard of `artifact`, one output shard each, and finish output `name`.

    Shards already written by an interrupted run, or by another rank, are kept. The result does not depend on `workers`.
    Does not return where the stage is shared by ranks: when this rank's shards are done, nothing is left for it to do.
    `transform` must be picklable (a top-level function or a `functools.partial` of one).

    Returns: the added-up counts, with `documents` (kept) and `rejected`.
    """
    directory = outputs.directory(name)
    sources = artifact.paths()
    work = partial(_map_one, directory=directory, work=outputs.work / name, transform=transform, schema=schema)
    jobs = outputs.share(list(enumerate(sources)))
    for done, _ in enumerate(run_parallel(work, jobs, workers), 1):
        outputs.progress.update(done, len(jobs), f"{name}: shard {done} of {len(jobs)}")
    outputs.end_share()
    shards: list[Shard] = []
    counts: Counter[str] = Counter()
    for index in range(len(sources)):
        stats = json.loads((outputs.work / name / f"part-{index:05d}.json").read_text())
        counts.update(stats["counts"])
        shards += describe_part(directory, index, stats["rows"], stats["rejected"])
    counts["documents"] = sum(shard.rows for shard in shards if shard.role == "data")
    counts["rejected"] = sum(shard.rows for shard in shards if shard.role == "rejected")
    outputs.finish(name, kind, shards, {**counts, **(totals or {})})
    return counts


def describe_part(directory: Path, index: int, rows: int, rejected: int) -> list[Shard]:
    """Manifest entries of shard `index` and of what was set aside from it."""
    shards = [describe_shard(directory, directory / f"part-{index:05d}.parquet", rows)]
    if rejected:
        path = directory / "rejected" / f"part-{index:05d}.parquet"
        shards.append(describe_shard(directory, path, rejected, role="rejected"))
    return shards


def _map_one(
    job: tuple[int, Path],
    *,
    directory: Path,
    work: Path,
    transform: Callable[[list[Record]], Mapped],
    schema: pa.Schema,
) -> None:
    index, source = job
    marker = work / f"part-{index:05d}.json"   # written last: its presence means the shard is complete
    if marker.exists():
        return
    mapped = transform(read_parquet(source))
    rows = write_parquet(directory / f"part-{index:05d}.parquet", mapped.kept, schema)
    if mapped.rejected:
        write_parquet(directory / "rejected" / f"part-{index:05d}.parquet", mapped.rejected, REJECTED_SCHEMA)
    work.mkdir(parents=True, exist_ok=True)
    write_json(marker, {"rows": rows, "rejected": len(mapped.rejected), "counts": dict(mapped.counts)})


def run_parallel(function: Callable[[Any], Any], jobs: list[Any], workers: int) -> Iterator[Any]:
    """Call a picklable function on every job; yield results as jobs finish. The first failure stops the rest."""
    if workers <= 1 or len(jobs) <= 1:
        for job in jobs:
            yield function(job)
        return
    context = get_context("forkserver")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_die_with_parent) as pool:
        pending: set[Future[Any]] = {pool.submit(function, job) for job in jobs}
        while pending:
            finished, pending = wait(pending, return_when=FIRST_COMPLETED)
            for future in finished:
                try:
                    yield future.result()
                except BaseException:
                    pool.shutdown(cancel_futures=True)
                    raise


def _die_with_parent() -> None:
    """A worker whose parent was killed must not go on writing beside the one that continues its work."""

    def watch() -> None:
        parent = parent_process()
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
