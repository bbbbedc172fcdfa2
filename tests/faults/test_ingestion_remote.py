"""WARC files on a server that knows ranges: killed, it goes on from the record; a failing server costs no page."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import open_artifact
from components.data.documents import read_documents, read_parquet
from components.data.ingestion import remote
from components.data.ingestion.readers import SHIPPED
from components.data.ingestion.remote import PatientFile, SourceError
from components.runner import execute

WARC = (SHIPPED / "pages.warc.gz").read_bytes()
CHILD = """
import json, sys
from components.runner import execute
execute(*json.loads(sys.argv[1]))
"""


class Handler(BaseHTTPRequestHandler):
    """Serves the shipped WARC file; `server.ranges` are those asked for, `server.failing` says which requests fail."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_HEAD(self) -> None:
        self._head(200, len(WARC))

    def do_GET(self) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        end = min(int(match[2]) + 1 if match and match[2] else len(WARC), len(WARC))
        self.server.ranges.append((start, end))
        if self.server.failing(len(self.server.ranges)):
            self.close_connection = True  # in the middle of the answer
            self._head(206 if match else 200, end - start, start, end)
            self.wfile.write(WARC[start : (start + end) // 2])
            return
        self._head(206 if match else 200, end - start, start, end)
        for at in range(start, end, 1 << 16):
            self.wfile.write(WARC[at : min(at + (1 << 16), end)])

    def _head(self, status: int, length: int, start: int = 0, end: int = 0) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("Accept-Ranges", "bytes")
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{end - 1}/{len(WARC)}")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.handle_error = lambda request, address: None  # a killed client
    server.ranges, server.failing = [], lambda number: False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def config(server: Any) -> dict[str, Any]:
    path = f"http://127.0.0.1:{server.server_address[1]}/pages.warc.gz"
    return {"sources": [{"name": "s", "format": "warc", "path": path}], "pages_per_shard": 20}


def pages(output: Path) -> list[tuple[str, bytes]]:
    return [(row["url"], row["html"]) for row in read_documents(open_artifact(output, "pages"))]


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, bytes]]:
    source = {"name": "s", "format": "warc", "path": "sample:pages.warc.gz"}
    return pages(execute("ingestion", {"sources": [source]}, {}, tmp_path_factory.mktemp("local")).output("pages"))


def test_a_url_gives_what_the_file_gives(server: Any, expected: list[tuple[str, bytes]], tmp_path: Path) -> None:
    output = execute("ingestion", config(server), {}, tmp_path).output("pages")
    assert pages(output) == expected and len(expected) == 300


def test_killed_it_reads_on_from_the_record(server: Any, expected: list[tuple[str, bytes]], tmp_path: Path) -> None:
    arguments = json.dumps(["ingestion", config(server), {}, str(tmp_path)])
    child = subprocess.Popen([sys.executable, "-c", CHILD, arguments], start_new_session=True)
    deadline = time.monotonic() + 240
    while not list(tmp_path.glob("ingestion/*.partial/work/**/unit-00000-0000[2-9].json")):
        assert child.poll() is None and time.monotonic() < deadline, "it ended before it could be killed"
        time.sleep(0.002)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    markers = sorted(tmp_path.glob("ingestion/*.partial/work/**/unit-00000-*.json"))
    done = json.loads(markers[-1].read_text())["cursor"][1][0]
    server.ranges.clear()
    assert pages(execute("ingestion", config(server), {}, tmp_path).output("pages")) == expected
    starts = [start for start, end in server.ranges if end - start > 1]
    assert done > 0 and starts and min(starts) >= done, (done, server.ranges)


def test_a_failing_server_costs_no_page(
    server: Any, expected: list[tuple[str, bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(PatientFile.__init__, "__defaults__", ((0.01, 0.01, 0.01),))
    server.failing = lambda number: number % 2 == 1
    assert pages(execute("ingestion", config(server), {}, tmp_path).output("pages")) == expected
    assert len(server.ranges) > 1


def test_a_dead_server_is_no_broken_file(server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PatientFile.__init__, "__defaults__", ((0.01,),))
    server.failing = lambda number: True
    with pytest.raises(SourceError, match=r"pages.warc.gz: reading at byte \d+ failed 2 times"):
        execute("ingestion", config(server), {}, tmp_path)
    assert not list(tmp_path.glob("ingestion/*.partial/work/**/unit-*.json"))  # nothing was taken for the end
    assert len(remote.PAUSES) >= 3


def record(kind: str, url: str, block: bytes, content_type: str) -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:uuid:{url}>\r\nWARC-Target-URI: {url}\r\n"
        f"WARC-Date: 2024-01-01T00:00:00Z\r\nContent-Type: {content_type}\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def response(url: str, html: bytes, *headers: str, content_type: str = "text/html") -> bytes:
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Type: {content_type}", *headers]).encode()
    return record("response", url, head + b"\r\n\r\n" + html, "application/http; msgtype=response")


def test_wet_files_go_through_as_text(tmp_path: Path) -> None:
    text = "Slide rules\n\nA slide rule multiplies by adding lengths: x < y & y > z.\n" * 3
    (tmp_path / "x.warc.wet").write_bytes(
        record("warcinfo", "urn:x", b"software: x\r\n", "application/warc-fields")
        + record("conversion", "https://x.org/1", text.encode(), "text/plain")
        + record("conversion", "https://x.org/2", b" \n", "text/plain")
    )
    source = {"name": "s", "format": "warc", "path": str(tmp_path)}
    output = execute("ingestion", {"sources": [source]}, {}, tmp_path / "store").output("pages")
    documents = execute("extraction", {}, {"pages": output}, tmp_path / "store").output("documents")
    (row,) = read_documents(open_artifact(documents, "documents"))
    assert row["text"] == text and row["title"] == "Slide rules"


def test_robots_and_content_types(tmp_path: Path) -> None:
    page = b"<html><head>%s</head><p>text</p></html>"
    (tmp_path / "x.warc").write_bytes(
        b"".join(
            [
                response("u:open", page % b"<meta name='robots' content='index, follow'>"),
                response("u:meta", page % b'<META content="NOARCHIVE, NoIndex" name=Robots />'),
                response("u:header", page % b"", "X-Robots-Tag: noai, noimageai"),
                response(
                    "u:other-robot",
                    page % b"<meta name='googlebot' content='noindex'>",
                    "X-Robots-Tag: somebot: noindex",
                ),
                response("u:until", page % b"", "X-Robots-Tag: unavailable_after: 2030-01-01"),
                response("u:second", page % b"", "X-Robots-Tag: max-snippet: 10", "X-Robots-Tag: none"),
                response(
                    "u:in text", page % b"" + b"<p>write &lt;meta name=robots content=noindex&gt; to stay out</p>"
                ),
                response("u:plain", b"text", content_type="text/plain"),
            ]
        )
    )
    source = {"name": "s", "format": "warc", "path": str(tmp_path / "x.warc")}

    def ingest(**more: Any) -> tuple[list[str], dict[str, str]]:
        output = execute("ingestion", {"sources": [source], **more}, {}, tmp_path / "store").output("pages")
        artifact = open_artifact(output, "pages")
        rejected = [row for path in artifact.paths("rejected") for row in read_parquet(path)]
        return [url for url, _ in pages(output)], {row["url"]: row["reason"] for row in rejected}

    taken, refused = ingest()
    assert taken == ["u:open", "u:other-robot", "u:until", "u:in text"]
    assert refused == {"u:meta": "robots", "u:header": "robots", "u:second": "robots", "u:plain": "content_type"}
    taken, refused = ingest(robots=[], content_types=["text/plain", "text/html"])
    assert len(taken) == 8 and refused == {}
