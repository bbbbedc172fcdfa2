"""Inputs as they really come: truncated, damaged, empty, mislabelled, of every format. Nothing is lost silently."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from warcio.statusandheaders import StatusAndHeaders
from warcio.warcwriter import WARCWriter

from components.artifacts import ArtifactError, open_artifact
from components.config import ConfigError, build
from components.data.documents import read_documents, read_parquet
from components.data.ingestion.config import Config
from components.data.ingestion.readers import SHIPPED
from components.data.ingestion.rows import START, Refused, Row
from components.data.ingestion.warc import Wanted, read_warc
from components.runner import execute

WARC = (SHIPPED / "pages.warc.gz").read_bytes()
WHOLE = list(read_warc(io.BytesIO(WARC), "x", START, Wanted(10**7)))


def ingest(folder: Path, **source: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(pages, what was set aside) of one source."""
    config = {"sources": [{"name": "s", **source}], "pages_per_shard": 7}
    output = execute("ingestion", config, {}, folder / "store").output("pages")
    artifact = open_artifact(output, "pages")
    return list(read_documents(artifact)), [row for path in artifact.paths("rejected") for row in read_parquet(path)]


Response = tuple[str, str, list[tuple[str, str]], bytes]  # URL, status, headers, body


def write_warc(path: Path, responses: list[Response], compress: bool = True) -> None:
    with path.open("wb") as file:
        writer = WARCWriter(file, gzip=compress)
        for url, status, headers, body in responses:
            http = StatusAndHeaders(status, headers, protocol="HTTP/1.1")
            writer.write_record(writer.create_warc_record(url, "response", payload=io.BytesIO(body), http_headers=http))


HTML = [("Content-Type", "text/html; charset=utf-8")]
GZIPPED = [*HTML, ("Content-Encoding", "gzip")]
CHUNKED = [*HTML, ("Transfer-Encoding", "chunked")]


def test_the_shipped_pages_are_whole() -> None:
    assert len(WHOLE) == 300 and all(isinstance(item, Row) for item, _ in WHOLE)
    urls = [item.url for item, _ in WHOLE]
    assert len(set(urls)) == 300
    assert {url.split("/")[2] for url in urls} == {
        "docs.sympy.org",
        "docs.scipy.org",
        "www.sqlite.org",
        "www.postgresql.org",
    }


@settings(max_examples=60, deadline=None)
@given(st.integers(1, len(WARC) - 1))
def test_a_truncated_warc_gives_all_before_the_break(cut: int) -> None:
    positions = [position[0] for _, position in WHOLE]
    data = WARC[:cut]
    found = list(read_warc(io.BytesIO(data), "cut.warc.gz", START, Wanted(10**7)))
    rows = [item for item, _ in found if isinstance(item, Row)]
    complete = sum(position <= cut for position in positions[1:])  # every page before the last one that begins
    assert rows == [item for item, _ in WHOLE[: len(rows)]]
    assert len(rows) >= complete
    broken = [item for item, _ in found if isinstance(item, Refused)]
    if cut not in positions:
        assert [item.reason for item in broken] == ["broken_file"] and "cut.warc.gz" in broken[0].detail


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 298), st.booleans())
def test_reading_goes_on_after_any_record(index: int, plain: bool) -> None:
    data = gzip.decompress(WARC) if plain else WARC
    positions = [position for _, position in read_warc(io.BytesIO(data), "x", START, Wanted(10**7))]
    rest = [item for item, _ in read_warc(io.BytesIO(data), "x", positions[index], Wanted(10**7))]
    assert rest == [item for item, _ in WHOLE[index + 1 :]]


def test_a_truncated_file_is_reported_and_the_rest_ingested(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.warc.gz").write_bytes(WARC[:100_000])
    write_warc(tmp_path / "in/b.warc", [("https://x.org/", "200 OK", HTML, b"<p>later file</p>")], compress=False)
    pages, rejected = ingest(tmp_path, format="warc", path=str(tmp_path / "in"))
    assert len(pages) > 3 and pages[-1]["html"] == b"<p>later file</p>"
    assert [(row["reason"], row["url"]) for row in rejected] == [("broken_file", "a.warc.gz")]
    assert str(tmp_path) not in rejected[0]["detail"]


def test_responses_that_are_no_pages_are_set_aside(tmp_path: Path) -> None:
    write_warc(
        tmp_path / "x.warc.gz",
        [
            ("https://x.org/ok", "200 OK", HTML, b"<p>fine</p>"),
            ("https://x.org/gone", "404 Not Found", HTML, b"<p>gone</p>"),
            ("https://x.org/pdf", "200 OK", [("Content-Type", "application/pdf")], b"%PDF"),
            ("https://x.org/empty", "200 OK", HTML, b" "),
            ("https://x.org/gzip", "200 OK", GZIPPED, gzip.compress(b"<p>packed</p>")),
            ("https://x.org/undone", "200 OK", GZIPPED, b"<p>unpacked</p>"),
            ("https://x.org/chunks", "200 OK", CHUNKED, b"4\r\n<p>a\r\n5\r\nb</p>\r\n0\r\n\r\n"),
            ("https://x.org/bomb", "200 OK", GZIPPED, gzip.compress(b"<p>" + b" " * 20_000_000)),
            ("https://x.org/ok", "200 OK", HTML, b"<p>fine</p>"),
        ],
    )
    pages, rejected = ingest(tmp_path, format="warc", path=str(tmp_path / "x.warc.gz"))
    assert [row["html"] for row in pages] == [
        b"<p>fine</p>",
        b"<p>packed</p>",
        b"<p>unpacked</p>",
        b"<p>ab</p>",
        b"<p>fine</p>",
    ]
    assert pages[0] == pages[-1]
    assert {row["url"].rpartition("/")[2]: row["reason"] for row in rejected} == {
        "gone": "http_status",
        "pdf": "content_type",
        "empty": "empty",
        "bomb": "too_large",
    }


PAGES = [{"html": f"<p>page {n} é</p>", "url": f"https://x.org/{n}"} for n in range(20)]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "jsonl.gz", "html_folder", "huggingface", "saved dataset"])
def test_every_format_gives_the_same_pages(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.mkdir()
    lines = "\n".join(map(json.dumps, PAGES)).encode()
    source = {"format": kind.partition(".")[0], "path": str(path)}
    if kind == "html_folder":
        for page in PAGES:
            (path / f"{page['url'][14:]:0>2}.html").write_text(page["html"])
        source["url_prefix"] = "https://x.org/"
    elif kind in ("parquet", "huggingface"):
        pq.write_table(pa.Table.from_pylist(PAGES), path / "part.parquet", row_group_size=3)
    elif kind == "saved dataset":
        import datasets

        datasets.Dataset.from_list(PAGES).save_to_disk(str(path))
        source["format"] = "huggingface"
    else:
        (path / f"part.{kind}").write_bytes(gzip.compress(lines) if kind.endswith("gz") else lines)
    pages, rejected = ingest(tmp_path, **source)
    assert [row["html"].decode() for row in pages] == [page["html"] for page in PAGES]
    if kind != "html_folder":
        assert [row["url"] for row in pages] == [page["url"] for page in PAGES]
    assert rejected == []


def test_lines_that_are_no_json_are_set_aside(tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").write_text(
        '{"html": "<p>a</p>", "url": "u"}\n{"html": \n[1]\n\n{"html": null, "url": "v"}\n'
        '{"html": "<p>\\ud800</p>", "url": "w\\udfff"}\n' + "[" * 100_000 + "\n"
    )
    pages, rejected = ingest(tmp_path, format="jsonl", path=str(tmp_path / "x.jsonl"))
    assert [row["url"] for row in pages] == ["u", "w?"]
    assert [row["reason"] for row in rejected] == ["not_json", "not_json", "no_html", "not_json"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"format": "warc", "path": "nowhere.warc.gz"}, "no such file"),
        ({"format": "html_folder", "path": "."}, r"holds no file that ends in \.html"),
        ({"format": "warc", "path": "*.warc.gz"}, "no file matches"),
        ({"format": "parquet", "path": "text.parquet"}, "text.parquet: not a Parquet file"),
        (
            {"format": "parquet", "path": "other.parquet"},
            "other.parquet has no column html, url; its columns: body, link",
        ),
        ({"format": "jsonl", "path": "other.jsonl"}, "other.jsonl has no column html"),
    ],
)
def test_wrong_sources_are_named(
    source: dict[str, str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.parquet").write_text("no parquet")
    (tmp_path / "other.jsonl").write_text('{"body": "x"}\n')
    pq.write_table(pa.table({"body": ["x"], "link": ["y"]}), tmp_path / "other.parquet")
    with pytest.raises(ConfigError, match=message):
        ingest(tmp_path, **source)


def test_no_page_at_all_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.warc.gz").write_bytes(b"<html>a saved error page</html>")
    with pytest.raises(ArtifactError, match="no page in s; set aside: 1 broken_file"):
        ingest(tmp_path, format="warc", path=str(tmp_path / "x.warc.gz"))


def test_columns_and_limits(tmp_path: Path) -> None:
    rows = [{"body": b"<p>\xe9</p>", "link": "https://x.org/1", "type": "text/html; charset=latin-1"}] * 5
    for name in ("a", "b"):
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / f"{name}.parquet")
    columns = {"html": "body", "url": "link", "content_type": "type"}
    pages, _ = ingest(tmp_path, format="parquet", path=str(tmp_path / "*.parquet"), columns=columns, limit=8)
    assert len(pages) == 8
    assert (pages[0]["html"], pages[0]["content_type"]) == (b"<p>\xe9</p>", "text/html; charset=latin-1")


def test_two_sources_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="same name"):
        build(Config, {"sources": [{"name": "a", "format": "warc", "path": "x"}] * 2}, "ingestion")
