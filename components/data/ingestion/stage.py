"""The ingestion stage: pages of all sources, in order, in shards of a bounded size."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from components.artifacts import Artifact, ArtifactError, Shard, describe_shard, write_json
from components.data.documents import PAGE_SCHEMA, REJECTED_SCHEMA, Mapped, read_parquet, run_parallel, write_parquet
from components.data.ingestion.config import Config
from components.data.ingestion.readers import BEGIN, Cursor, Unit, plan_units, read_unit
from components.data.ingestion.rows import Refused, Row
from components.data.ingestion.warc import Wanted
from components.runner import Outputs


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the output `pages`: `part-UUUUU-NNNNN.parquet`, shard N of unit U (a file, or a folder of pages).

    Raises:
        ConfigError: a source is not there, or not what it is said to be.
        ArtifactError: no page at all.
    """
    units = [unit for source in config.sources for unit in plan_units(source)]
    directory, work = outputs.directory("pages"), outputs.work
    function = partial(_ingest, config=config, directory=directory, work=work)
    jobs = outputs.share(list(enumerate(units)))
    for done, _ in enumerate(run_parallel(function, jobs, config.workers), 1):
        outputs.progress.update(done, len(jobs), f"{done} of {len(jobs)} inputs")
    outputs.end_share()
    shards: list[Shard] = []
    counts: dict[str, Counter[str]] = {source.name: Counter() for source in config.sources}
    for index, unit in enumerate(units):
        for marker in _markers(work, index):
            counts[unit.source.name].update(marker["counts"])
            shards += _describe(directory, marker)
    total = sum(counts.values(), Counter())
    if not total["pages"]:
        raise ArtifactError(f"ingestion: no page in {', '.join(counts)}; set aside: {_reasons(total) or 'nothing'}")
    outputs.finish("pages", "pages", shards, {"pages": 0, "rejected": 0, **total})
    outputs.metrics.update({name: float(count) for name, count in total.items()})
    _report(counts, shards, directory, outputs)


@dataclass
class _Shard:
    """Pages and refusals gathered for one output shard."""

    mapped: Mapped = field(default_factory=Mapped)
    bytes: int = 0

    def add(self, item: Row | Refused, source: str) -> None:
        counts = self.mapped.counts
        url = item.url.encode("utf-8", "replace").decode()  # JSON may hold half a surrogate pair
        if isinstance(item, Row):
            page = {"id": _identity(url, item.html), "url": url, "source": source, "html": item.html}
            self.mapped.kept.append({**page, "content_type": item.content_type})
            self.bytes += len(item.html)
            counts.update(pages=1, html_bytes=len(item.html))
        else:
            detail = item.detail.encode("utf-8", "replace").decode()
            self.mapped.reject({"id": _identity(url, detail.encode()), "url": url}, item.reason, detail)
            counts["rejected"] += 1


def _identity(url: str, content: bytes) -> str:
    return hashlib.sha256(url.encode() + b"\0" + content).hexdigest()[:16]


def _ingest(job: tuple[int, Unit], *, config: Config, directory: Path, work: Path) -> None:
    """Read a unit from where its last complete shard ended."""
    index, unit = job
    markers = _markers(work, index)
    if markers and markers[-1]["last"]:
        return
    cursor = _cursor(markers[-1]["cursor"]) if markers else BEGIN
    taken = sum(marker["rows"] for marker in markers)
    number, shard = len(markers), _Shard()
    limit = unit.source.limit
    wanted = Wanted(config.page_bytes, config.content_types, frozenset(config.robots))
    for item, at in read_unit(unit, cursor, wanted):
        if limit is not None and taken + len(shard.mapped.kept) >= limit:
            break
        cursor = at
        shard.add(item, unit.source.name)
        kept, rejected = len(shard.mapped.kept), len(shard.mapped.rejected)
        if max(kept, rejected) >= config.pages_per_shard or shard.bytes >= config.shard_bytes:
            _write(shard.mapped, directory, work, f"{index:05d}-{number:05d}", cursor, last=False)
            taken += kept
            number, shard = number + 1, _Shard()
    _write(shard.mapped, directory, work, f"{index:05d}-{number:05d}", cursor, last=True)


def _write(mapped: Mapped, directory: Path, work: Path, name: str, cursor: Cursor, last: bool) -> None:
    if mapped.kept:
        write_parquet(directory / f"part-{name}.parquet", mapped.kept, PAGE_SCHEMA)
    if mapped.rejected:
        write_parquet(directory / "rejected" / f"part-{name}.parquet", mapped.rejected, REJECTED_SCHEMA)
    marker = {"name": name, "rows": len(mapped.kept), "rejected": len(mapped.rejected), "counts": mapped.counts}
    write_json(work / f"unit-{name}.json", {**marker, "cursor": cursor, "last": last})  # written last: complete


def _markers(work: Path, index: int) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted(work.glob(f"unit-{index:05d}-*.json"))]


def _cursor(value: list[Any]) -> Cursor:
    file, (major, minor) = value
    return file, (major, minor)


def _describe(directory: Path, marker: dict[str, Any]) -> list[Shard]:
    name = f"part-{marker['name']}.parquet"
    shards = []
    if marker["rows"]:
        shards.append(describe_shard(directory, directory / name, marker["rows"]))
    if marker["rejected"]:
        shards.append(describe_shard(directory, directory / "rejected" / name, marker["rejected"], role="rejected"))
    return shards


def _reasons(counts: Counter[str]) -> str:
    reasons = [(name.removeprefix("rejected_"), n) for name, n in sorted(counts.items()) if "_" in name]
    return ", ".join(f"{n} {reason}" for reason, n in reasons if reason != "html_bytes")


def _report(counts: dict[str, Counter[str]], shards: list[Shard], directory: Path, outputs: Outputs) -> None:
    report = outputs.report
    rows = [
        [name, count["pages"], f"{count['html_bytes'] / 1e6:.1f}", count["rejected"], _reasons(count)]
        for name, count in counts.items()
    ]
    report.table("Pages by source", ["source", "pages", "MB of HTML", "set aside", "reasons"], rows)
    first: dict[str, str] = {}
    for shard in shards:
        if shard.role == "rejected" and len(first) < 30:
            for row in read_parquet(directory / shard.path):
                first.setdefault(
                    f"{row['reason']}: {row['url']}" if row["reason"] == "broken_file" else row["reason"],
                    f"{row['url']}\n{row['detail']}",
                )
    report.samples("Set aside, an example of each reason", sorted(first.items()))
    page = next(shard for shard in shards if shard.role == "data")
    examples = read_parquet(directory / page.path)[:3]
    report.samples("First pages", [(row["url"], row["html"][:1500].decode("utf-8", "replace")) for row in examples])
