"""Inputs as units of files, and their pages in order with the position each stands at.

A unit is what one process reads from beginning to end; reading can go on after any position (`Cursor`).
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq

from components.config import ConfigError
from components.data.ingestion.config import SAMPLE, Source
from components.data.ingestion.remote import open_patiently
from components.data.ingestion.rows import START, Position, Refused, Row
from components.data.ingestion.warc import Wanted, read_warc

Cursor = tuple[int, Position]  # index of the file within the unit, position of the last record taken from it
BEGIN: Cursor = (0, START)
SHIPPED = Path(__file__).parent / "sample"
ENDINGS = {
    "warc": (".warc", ".warc.gz", ".wet", ".wet.gz"),
    "html_folder": (".html", ".htm", ".xhtml"),
    "parquet": (".parquet",),
    "jsonl": (".jsonl", ".jsonl.gz", ".ndjson", ".json.gz", ".jsonl.zst", ".jsonl.bz2", ".jsonl.xz"),
}


@dataclass(frozen=True)
class Unit:
    """Files of one source, read one after the other. `root` is the folder that names are told relative to."""

    source: Source
    root: str
    files: tuple[str, ...]

    def name(self, index: int) -> str:
        """What a file is called in records and messages: without the path that is only valid on this machine."""
        return self.files[index].removeprefix(self.root).lstrip("/") or self.files[index].rpartition("/")[2]


def plan_units(source: Source) -> list[Unit]:
    """Find the files of a source: one unit a file, or one for all where the order of files matters.

    Raises:
        ConfigError: nothing is there.
    """
    where = f"ingestion.sources: {source.name}"
    if source.format == "huggingface":
        return [Unit(source, "", (source.path,))]
    path = source.path
    if path.startswith(SAMPLE):
        path = str(SHIPPED / path.removeprefix(SAMPLE))
    filesystem, stripped = fsspec.core.url_to_fs(path)
    endings = ENDINGS[source.format]
    if any(character in stripped for character in "*?["):
        root = stripped[: min(stripped.find(c) for c in "*?[" if c in stripped)].rpartition("/")[0]
        files = [file for file in filesystem.glob(stripped) if _is_file(filesystem, file)]
        problem = f"{where}: no file matches {source.path}"
    elif not (stripped.lower().endswith(endings) and _is_file(filesystem, stripped)) and filesystem.isdir(stripped):
        root = stripped
        files = [file for file in filesystem.find(stripped) if file.lower().endswith(endings)]
        problem = f"{where}: the folder {source.path} holds no file that ends in {', '.join(endings)}"
    else:
        root = stripped.rpartition("/")[0]
        files = [stripped] if _is_file(filesystem, stripped) else []
        problem = f"{where}: {source.path}: no such file or folder"
    if not files:
        raise ConfigError(problem)
    files = sorted(filesystem.unstrip_protocol(file) for file in files)
    root = filesystem.unstrip_protocol(root)
    together = source.format == "html_folder" or source.limit is not None
    return [Unit(source, root, tuple(group)) for group in ([files] if together else [[file] for file in files])]


def _is_file(filesystem: fsspec.AbstractFileSystem, path: str) -> bool:
    """Asks for the size alone; `isfile` begins to fetch a URL, and `isdir` fetches all of it to look for links."""
    try:
        return bool(filesystem.info(path)["type"] == "file")
    except FileNotFoundError:
        return False


def read_unit(unit: Unit, cursor: Cursor, wanted: Wanted) -> Iterator[tuple[Row | Refused, Cursor]]:
    """Everything in a unit after `cursor`.

    Raises:
        ConfigError: a file cannot be what the source says (no Parquet file, missing columns).
    """
    first, after = cursor
    for index in range(first, len(unit.files)):
        for item, position in _read_file(unit, index, after, wanted):
            if isinstance(item, Row) and len(item.html) > wanted.page_bytes:
                item = Refused(item.url, "too_large", f"{len(item.html)} bytes")
            yield item, (index, position)
        after = START


def shipped_pages(page_bytes: int = 10**7) -> list[Row]:
    """The pages that come with the project, but for larger ones."""
    with (SHIPPED / "pages.warc.gz").open("rb") as file:
        return [item for item, _ in read_warc(file, "sample", START, Wanted(page_bytes)) if isinstance(item, Row)]


def _read_file(unit: Unit, index: int, after: Position, wanted: Wanted) -> Iterator[tuple[Row | Refused, Position]]:
    source, path, name = unit.source, unit.files[index], unit.name(index)
    if source.format == "huggingface":
        yield from _read_dataset(source, after)
    elif source.format == "warc":
        with open_patiently(path) as file:
            yield from read_warc(file, name, after, wanted)
    elif source.format == "parquet":
        with fsspec.open(path, "rb") as file:
            yield from _read_parquet(file, source, name, after)
    elif source.format == "jsonl":
        with fsspec.open(path, "rb", compression="infer") as file:
            yield from _read_jsonl(file, source, name, after)
    elif after == START:
        with fsspec.open(path, "rb") as file:
            html = file.read(wanted.page_bytes + 1)
        url = source.url_prefix + name
        yield (Row(url, html) if html.strip() else Refused(url, "empty")), (0, 0)


def _read_parquet(file: Any, source: Source, name: str, after: Position) -> Iterator[tuple[Row | Refused, Position]]:
    try:
        parquet = pq.ParquetFile(file)
    except pa.ArrowInvalid as error:
        raise ConfigError(f"{source.name}: {name}: not a Parquet file, or damaged: {error}") from None
    wanted = _present_columns(source, name, parquet.schema_arrow.names)
    rows = itertools.chain.from_iterable(
        batch.to_pylist() for batch in parquet.iter_batches(batch_size=64, columns=wanted)
    )
    for number, row in enumerate(rows):
        if (number, 0) > after:
            yield _from_columns(row, source, f"{name}#{number}"), (number, 0)


def _read_dataset(source: Source, after: Position) -> Iterator[tuple[Row | Refused, Position]]:
    import datasets  # heavy, and only needed here

    if (Path(source.path) / "dataset_info.json").exists() or (Path(source.path) / "dataset_dict.json").exists():
        loaded = datasets.load_from_disk(source.path)
        if isinstance(loaded, datasets.DatasetDict):
            if source.split not in loaded:
                known = ", ".join(loaded)
                raise ConfigError(f"{source.name}: {source.path} has no split {source.split!r}, only {known}")
            loaded = loaded[source.split]
    else:
        try:
            loaded = datasets.load_dataset(source.path, split=source.split)
        except (ValueError, OSError) as error:
            raise ConfigError(f"{source.name}: {source.path} (split {source.split}): {error}") from None
    wanted = _present_columns(source, source.path, loaded.column_names)
    loaded = loaded.select_columns(wanted)
    for number in range(after[0] + 1, len(loaded)):
        yield _from_columns(loaded[number], source, f"#{number}"), (number, 0)


def _present_columns(source: Source, name: str, present: list[str]) -> list[str]:
    columns = source.columns
    wanted = list(dict.fromkeys(column for column in (columns.html, columns.url, columns.content_type) if column))
    missing = [column for column in wanted if column not in present]
    if missing:
        raise ConfigError(
            f"{source.name}: {name} has no column {', '.join(missing)}; its columns: {', '.join(present)}. "
            f"Name the right ones in the source's `columns` (html, url, content_type; an empty name: there is none)"
        )
    return wanted


def _read_jsonl(file: Any, source: Source, name: str, after: Position) -> Iterator[tuple[Row | Refused, Position]]:
    for number, line in enumerate(file):
        if (number, 0) <= after or not line.strip():
            continue
        label = f"{name}#{number + 1}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Refused(label, "not_json", f"line {number + 1} of {name}: {error}"), (number, 0)
            continue
        if not isinstance(row, dict):
            yield Refused(label, "not_json", f"line {number + 1} of {name} is no object"), (number, 0)
            continue
        if number == 0:
            _present_columns(source, name, list(row))
        yield _from_columns(row, source, label), (number, 0)


def _from_columns(row: dict[str, Any], source: Source, label: str) -> Row | Refused:
    columns = source.columns
    html = row.get(columns.html)
    url = row.get(columns.url) if columns.url else None
    url = url if isinstance(url, str) and url else f"{source.name}/{label}"
    if isinstance(html, str):
        content_type = "text/html; charset=utf-8"  # it was decoded before it came here
        html = html.encode("utf-8", "replace")
    elif isinstance(html, bytes):
        content_type = str(row.get(columns.content_type) or "") if columns.content_type else ""
    else:
        return Refused(url, "no_html", f"{columns.html} is {type(html).__name__}")
    return Row(url, html, content_type) if html.strip() else Refused(url, "empty")
