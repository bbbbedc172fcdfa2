"""Extraction in a process of its own that a page can fill, stall or crash without harm.

`PageWorker` (the parent) sends one page at a time; the child answers with a document or a reason. The kernel bounds the
child's CPU time per page and its address space; a child that dies costs its page and is replaced.

    parent -> child    8 bytes length, JSON {url, content_type, bytes}, then the page
    child -> parent    8 bytes length, JSON {document: …} or {reason, detail}
"""

from __future__ import annotations

import json
import math
import resource
import select
import signal
import struct
import subprocess
import sys
import time
from dataclasses import asdict
from typing import IO, Any, BinaryIO, Self, cast

MAX_BYTES = 80_000_000  # no page with more is sent to the child; the extractor's own bound is in characters
WALL_FACTOR = 10  # wall time allowed per CPU time, on a busy machine
Answer = dict[str, Any]


class PageWorker:
    """Extract pages one after the other, each within `seconds` of CPU time and `megabytes` of memory."""

    def __init__(self, seconds: float, megabytes: int) -> None:
        self.seconds, self.megabytes = seconds, megabytes
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """End the child."""
        if self._process:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def extract(self, html: bytes, url: str = "", content_type: str = "") -> Answer:
        """{"document": …} with the fields of `Extraction` and `Survival`, or {"reason": …, "detail": …}.

        `seconds` is the CPU time it took; it is not there when the child died.
        """
        if len(html) > MAX_BYTES:
            return {"reason": "too_large", "detail": f"{len(html)} bytes"}
        process = self._process or self._start()
        header = json.dumps({"url": url, "content_type": content_type, "bytes": len(html)}).encode()
        sent = _send(process, struct.pack(">Q", len(header)) + header + html, self.seconds * WALL_FACTOR)
        answer = _receive(process, self.seconds * WALL_FACTOR) if sent else None
        if answer is not None:
            return cast(Answer, json.loads(answer))
        process.kill()
        code = process.wait()
        self.close()
        return _death(code, self.seconds)

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", __name__, str(self.seconds), str(self.megabytes)]
        self._process = subprocess.Popen(
            command, bufsize=0, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        ready = _receive(self._process, 120)
        if ready is None:
            self.close()
            raise RuntimeError(f"the extraction worker did not start; `python -m {__name__} 10 2000` shows why")
        return self._process


def _death(code: int, seconds: float) -> Answer:
    if code == -signal.SIGXCPU:
        return {"reason": "time_limit", "detail": f"over {seconds:g} s of CPU time"}
    if code == -signal.SIGKILL:  # by `extract`, or by a system short of memory
        return {"reason": "time_limit", "detail": f"no answer within {seconds * WALL_FACTOR:g} s"}
    return {"reason": "crash", "detail": f"the worker ended with {signal.Signals(-code).name if code < 0 else code}"}


def _send(process: subprocess.Popen[bytes], data: bytes, seconds: float) -> bool:
    stream = cast(BinaryIO, process.stdin)
    deadline = time.monotonic() + seconds
    view = memoryview(data)
    while view:
        if not select.select([], [stream], [], max(0.0, deadline - time.monotonic()))[1]:
            return False
        try:
            view = view[stream.write(view[:65536]) :]  # a pipe that can take anything takes up to its free space
        except BrokenPipeError:
            return False
    return True


def _receive(process: subprocess.Popen[bytes], seconds: float) -> bytes | None:
    deadline = time.monotonic() + seconds
    stream = cast(BinaryIO, process.stdout)
    size = _read_exactly(stream, 8, deadline)
    return None if size is None else _read_exactly(stream, struct.unpack(">Q", size)[0], deadline)


def _read_exactly(stream: IO[bytes], size: int, deadline: float) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        if not select.select([stream], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return None
        chunk = stream.read(min(size - len(parts), 1 << 20))
        if not chunk:
            return None
        parts += chunk
    return bytes(parts)


def _serve(seconds: float, megabytes: int) -> None:
    """The child: answer until the parent closes the pipe."""
    from components.data.extraction import extractor  # noqa: F401  loaded before memory is bounded

    source, sink = sys.stdin.buffer, sys.stdout.buffer
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20))
    _answer(sink, {"ready": True})
    while len(size := source.read(8)) == 8:
        header = json.loads(source.read(struct.unpack(">Q", size)[0]))
        used = resource.getrusage(resource.RUSAGE_SELF)
        limit = math.ceil(used.ru_utime + used.ru_stime + seconds)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))
        answer = _extract(source.read(header["bytes"]), header["url"], header["content_type"])
        now = resource.getrusage(resource.RUSAGE_SELF)
        spent = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
        _answer(sink, {**answer, "seconds": round(spent, 4)})


def _extract(html: bytes, url: str, content_type: str) -> Answer:
    from components.data.extraction import ExtractionError, extract
    from components.data.extraction.encoding import decode
    from components.data.extraction.survival import measure

    try:  # the border of a process: whatever a page does to a parser, the answer is a reason
        extraction = extract(html, url, content_type)
        survival = measure(decode(html, content_type), extraction.text)
    except ExtractionError as error:
        return {"reason": error.reason, "detail": error.detail}
    except MemoryError:
        return {"reason": "memory_limit", "detail": ""}
    except (Exception, RecursionError) as error:
        return {"reason": "error", "detail": f"{type(error).__name__}: {error}"[:500]}
    origins: dict[str, int] = {}
    for formula in extraction.formulas:
        origins[formula.origin] = origins.get(formula.origin, 0) + 1
    return {
        "document": {
            "title": extraction.title,
            "text": extraction.text,
            "formulas": len(extraction.formulas),
            "code_blocks": len(extraction.code_blocks),
            "thread": extraction.thread is not None,
            "posts": len(extraction.thread.posts) if extraction.thread else 0,
            "software": extraction.thread.software if extraction.thread else "",
            "origins": origins,
            "losses": asdict(extraction.losses),
            "survival": asdict(survival),
        }
    }


def _answer(sink: BinaryIO, answer: Answer) -> None:
    data = json.dumps(answer).encode()
    sink.write(struct.pack(">Q", len(data)) + data)
    sink.flush()


if __name__ == "__main__":
    _serve(float(sys.argv[1]), int(sys.argv[2]))
