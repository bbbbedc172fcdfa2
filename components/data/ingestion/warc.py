"""WARC and WET files: pages with their byte offsets, up to the end or to where the file breaks.

FastWARC parses the records. Decompression is done here because FastWARC ends a truncated gzip file as if it were whole.
"""

from __future__ import annotations

import bisect
import http.client
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from components.data.ingestion.remote import SourceError
from components.data.ingestion.robots import forbidding
from components.data.ingestion.rows import START, Position, Refused, Row

CHUNK = 1 << 16
MAX_HEAD = 1 << 18  # HTTP header bytes read beyond the page


@dataclass(frozen=True)
class Wanted:
    """Which records are pages."""

    page_bytes: int  # larger pages are refused
    content_types: tuple[str, ...] = ("text/html", "application/xhtml+xml")
    robots: frozenset[str] = frozenset()  # directives that refuse a page


def read_warc(file: BinaryIO, name: str, after: Position, wanted: Wanted) -> Iterator[tuple[Row | Refused, Position]]:
    """Responses (WARC) and conversions (WET) of a plain or gzipped file, each with its position.

    Args:
        file: read forwards from one place, by `seek`.
        name: what to call the file in messages.
        after: position of the last record already taken; the file is read from there.
        wanted: which of them are pages.

    A break (truncated or damaged file) ends the iteration with a `Refused` that names the offset.
    """
    offset = file.seek(after[0]) if after[0] > 0 else 0
    start = file.read(2)
    stream = (_Members if start == b"\x1f\x8b" else _Plain)(file, offset, start)
    last = after
    try:
        for record in ArchiveIterator(stream, parse_http=False, record_types=WarcRecordType.any_type):
            last = stream.locate(record.stream_pos)
            if last <= after:
                continue
            item, problem = _read_record(record, wanted)
            if stream.failure:
                raise stream.failure
            if problem:
                yield _broken(name, last, stream.broken or problem), last
                return
            if item:
                yield item, last
    except OSError as error:
        stream.broken = stream.broken or str(error)
    if stream.failure:
        raise stream.failure
    if last == START:
        stream.broken = stream.broken or "there is no WARC record in it"
    if stream.broken:
        at = max(last, stream.locate(stream.end))
        yield _broken(name, at, stream.broken), at


def _read_record(record: WarcRecord, wanted: Wanted) -> tuple[Row | Refused | None, str]:
    """What a record gives (None: it is no response), or what is wrong with the file."""
    if record.headers.get("Content-Length") is None:
        return None, "a record without its length"
    block = b""
    if record.record_type in (WarcRecordType.response, WarcRecordType.conversion):
        block = record.reader.read(min(record.content_length, wanted.page_bytes + MAX_HEAD))
    length = len(block)
    while chunk := record.reader.read(CHUNK):
        length += len(chunk)
    if length < record.content_length:
        return None, f"a record of {record.content_length} bytes ends after {length}"
    url = (record.headers.get("WARC-Target-URI") or "").strip("<>")
    if record.record_type == WarcRecordType.conversion:
        return _converted(url, block, length, record.headers.get("Content-Type") or "", wanted), ""
    return (_page(url, block, length, wanted) if record.record_type == WarcRecordType.response else None), ""


def _broken(name: str, at: Position, why: str) -> Refused:
    where = f"byte {at[0]}" + (f" (+{at[1]} decompressed)" if at[1] else "")
    return Refused(name, "broken_file", f"{name}: broken in what starts at {where}: {why}; what stands before was read")


def _converted(url: str, block: bytes, length: int, content_type: str, wanted: Wanted) -> Row | Refused:
    """The text that somebody made of a page."""
    if content_type.partition(";")[0].strip().lower() != "text/plain":
        return Refused(url, "content_type", content_type[:100])
    if length > wanted.page_bytes:
        return Refused(url, "too_large", f"{length} bytes")
    return Row(url, block, "text/plain; charset=utf-8") if block.strip() else Refused(url, "empty")


def _page(url: str, block: bytes, length: int, wanted: Wanted) -> Row | Refused:
    """The page in an HTTP response of `length` bytes, of which `block` is the beginning."""
    head, separator, body = block.partition(b"\r\n\r\n")
    if not separator:
        return Refused(url, "no_http_header", repr(block[:100]))
    status_line, _, fields = head.partition(b"\r\n")
    if status_line.split(b" ")[1:2] != [b"200"]:
        return Refused(url, "http_status", status_line[:100].decode("latin-1"))
    try:
        headers = http.client.parse_headers(io.BytesIO(fields + b"\r\n\r\n"))
    except http.client.HTTPException as error:  # too many or too long lines
        return Refused(url, "http_header", str(error))
    content_type = str(headers.get("Content-Type", ""))
    if content_type.partition(";")[0].strip().lower() not in wanted.content_types:
        return Refused(url, "content_type", content_type[:100])
    if length - len(head) > wanted.page_bytes:
        return Refused(url, "too_large", f"{length - len(head)} bytes")
    if "chunked" in str(headers.get("Transfer-Encoding", "")).lower():
        body = _dechunk(body)
    encoding = str(headers.get("Content-Encoding", "")).strip().lower()
    if encoding in ("gzip", "x-gzip", "deflate"):
        body = _inflate(body, wanted.page_bytes)
        if len(body) > wanted.page_bytes:
            return Refused(url, "too_large", f"over {wanted.page_bytes} bytes decompressed")
    elif encoding not in ("", "identity") and b"<" not in body[:1000]:  # archives often hold decoded bodies
        return Refused(url, "content_encoding", encoding[:100])
    if wanted.robots:
        directive = forbidding(body, map(str, headers.get_all("X-Robots-Tag", [])), wanted.robots)
        if directive:
            return Refused(url, "robots", directive)
    return Row(url, body, content_type) if body.strip() else Refused(url, "empty")


def _dechunk(body: bytes) -> bytes:
    """Undo Transfer-Encoding: chunked; the body as it is where it has been undone already."""
    parts: list[bytes] = []
    at = 0
    while at < len(body):
        line_end = body.find(b"\r\n", at, at + 1000)
        size = body[at:line_end].partition(b";")[0].strip() if line_end >= 0 else b""
        if not size or size.strip(b"0123456789abcdefABCDEF"):
            return b"".join(parts) or body
        start, length = line_end + 2, int(size, 16)
        if length == 0:
            break
        parts.append(body[start : start + length])
        at = start + length + 2
    return b"".join(parts)


def _inflate(body: bytes, most: int) -> bytes:
    """Undo Content-Encoding gzip or deflate, at most `most` + 1 bytes; the body as it is if it was undone before."""
    for bits in (47, -15):  # gzip or zlib, by header; raw deflate
        try:
            return zlib.decompressobj(bits).decompress(body, most + 1)
        except zlib.error:
            continue
    return body


class _Plain:
    """An uncompressed file from `offset` on; `start` was read from there already.

    `failure` is what a read raised: the parser of records must not see it, it would take it for the file's end.
    """

    def __init__(self, file: BinaryIO, offset: int, start: bytes) -> None:
        self._file, self._offset, self._start = file, offset, start
        self.end = 0
        self.broken = ""
        self.failure: Exception | None = None

    def read(self, size: int = -1) -> bytes:
        data = self._next(size)
        self.end += len(data)
        return data

    def _next(self, size: int) -> bytes:
        data, self._start = self._start, b""
        if data or self.failure:
            return data
        try:
            return self._file.read(size)
        except SourceError as error:
            self.failure, self.broken = error, str(error)
            return b""

    def tell(self) -> int:
        return self.end

    def seek(self, offset: int, whence: int = 0) -> int:
        raise io.UnsupportedOperation("records are read in order")

    def close(self) -> None:
        """The file is its opener's to close."""

    def locate(self, at: int) -> Position:
        return self._offset + at, 0


class _Members(_Plain):
    """The decompressed members of a gzip file, one after the other; `broken` says why they end early."""

    def __init__(self, file: BinaryIO, offset: int, start: bytes) -> None:
        super().__init__(file, offset, start)
        self._starts = [(0, offset)]  # (decompressed, compressed) position of each member
        self._read_to = offset
        self._input = b""
        self._inflater = zlib.decompressobj(31)
        self._fresh = True  # nothing of the current member was read yet

    def read(self, size: int = -1) -> bytes:
        while not self.broken:
            if not self._input:
                self._input = self._next(CHUNK)
                self._read_to += len(self._input)
                if not self._input:
                    if not self._fresh and not self.failure:
                        self.broken = "the gzip data ends in the middle of a member"
                    return b""
            try:
                data = self._inflater.decompress(self._input, size if size > 0 else CHUNK)
            except zlib.error as error:
                self.broken = str(error)
                return b""
            self._fresh = False
            if self._inflater.eof:
                self._input = self._inflater.unused_data
                self._inflater = zlib.decompressobj(31)
                self._fresh = True
            else:
                self._input = self._inflater.unconsumed_tail
            self.end += len(data)
            if self._fresh:
                self._starts.append((self.end, self._read_to - len(self._input)))
            if data:
                return data
        return b""

    def locate(self, at: int) -> Position:
        start, offset = self._starts[bisect.bisect_right(self._starts, (at, 1 << 62)) - 1]
        return offset, at - start
