"""Files at any fsspec URL, read in ranges, patiently: what a network does is no property of a page or a file."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO, cast

import fsspec

PAUSES = (0.5, 2.0, 8.0, 30.0)  # seconds before a failed read is tried again


class SourceError(RuntimeError):
    """A source that could not be read in spite of all tries: run the stage again, it goes on where it stopped."""


class PatientFile:
    """A file whose failing reads are tried again.

    Raises:
        SourceError: from `read` and `seek`, after the last try.
    """

    def __init__(self, file: Any, url: str, pauses: tuple[float, ...] = PAUSES) -> None:
        self._file, self._url, self._pauses = file, url, pauses

    def read(self, size: int = -1) -> bytes:
        """At most `size` bytes from where the last read ended."""
        return cast(bytes, self._patiently(lambda: self._file.read(size)))

    def seek(self, offset: int) -> int:
        """Go to a byte; a server that knows no ranges makes this read everything before."""
        try:
            return int(self._file.seek(offset))
        except (ValueError, OSError, NotImplementedError):  # a stream that cannot go back
            while (left := offset - self._file.tell()) > 0:
                if not self.read(min(left, 1 << 20)):
                    break
            return int(self._file.tell())

    def tell(self) -> int:
        """Bytes before the next read."""
        return int(self._file.tell())

    def _patiently(self, action: Callable[[], Any]) -> Any:
        for pause in (*self._pauses, None):
            at = self._file.tell()
            try:
                return action()
            except Exception as error:  # of whatever library speaks the protocol
                if pause is None:
                    raise SourceError(
                        f"{self._url}: reading at byte {at} failed {len(self._pauses) + 1} times: "
                        f"{type(error).__name__}: {error}"
                    ) from error
                time.sleep(pause)


@contextmanager
def open_patiently(url: str) -> Iterator[BinaryIO]:
    """Open a local path or fsspec URL for reading bytes."""
    with fsspec.open(url, "rb") as file:
        yield cast(BinaryIO, PatientFile(file, url))
