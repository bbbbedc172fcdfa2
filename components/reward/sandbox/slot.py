"""One slot: its fork server, its messages, and what became of each test.

A slot is one fork server (`keeper.py`) and one thread of the pool. The thread writes a test's input to a file in
memory, passes it to the program's process, waits, and reads the output from another file in memory, so that no pipe
can be held open and no output outgrows its limit. Anything unusual ends the program's processes before the next test
starts.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from components.reward.sandbox.levels import Level, SandboxError, SlotUser
from components.reward.sandbox.records import Execution, Limits, Status

_KEEPER = Path(__file__).with_name("keeper.py")
_REPORT = struct.Struct("<BBidd")
_EXITED, _WALL, _CPU, _QUOTA = range(4)
_MEMORY_EXIT = 97
_GRACE_S = 5.0                # beyond its limit, until a silent process counts as lost
_ATTEMPTS = 5                 # of a start or a test that was disturbed from outside, before giving up on it


@dataclass(frozen=True)
class _Program:
    """What every attempt needs again."""

    source: int              # a file in memory
    function: str
    limits: Limits


class _SlotLostError(Exception):
    """The fork server or the program's process is gone or silent."""


class Slot:
    """One fork server. Used by one thread at a time."""

    def __init__(self, level: Level, user: SlotUser, home: str, base: Path, scratch: Limits) -> None:
        self._level, self._user, self._home, self._base = level, user, home, base
        self._scratch = scratch
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._control: socket.socket | None = None
        self._directory: Path | None = None

    def start(self) -> None:
        """Start the fork server; raises SandboxError when the level is not to be had."""
        self.stop()
        self._directory = Path(tempfile.mkdtemp(prefix="slot-", dir=self._base))
        scratch, root = self._directory / "scratch", self._directory / "root"
        scratch.mkdir(mode=0o700)
        root.mkdir()
        self._directory.chmod(0o711)
        if self._user.run_as:
            os.chown(scratch, self._user.run_as, self._user.run_as)
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, "-X", "utf8", "-s", "-S", "-P", "-B", str(_KEEPER), str(theirs.fileno())],
            # the same order of sets in every slot, or verdicts would depend on the slot
            env={"PYTHONHASHSEED": "0", **({"PYTHONHOME": self._home} if self._home else {})},
            cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True,
        )
        theirs.close()
        settings = {
            "scratch": str(scratch), "root": str(root),
            "namespaces": self._level == "namespaces", "run_as": self._user.run_as, "uid": self._user.uid,
            "scratch_bytes": self._scratch.scratch_bytes, "scratch_files": self._scratch.scratch_files,
            "spare_tasks": 512,
        }
        try:
            self._channel.send(json.dumps(settings).encode())
            reply = json.loads(self._receive(self._channel, 20.0))
        except (_SlotLostError, OSError):
            raise SandboxError("the fork server ended while it started") from None
        if "refused" in reply:
            raise SandboxError(reply["refused"])

    def stop(self) -> None:
        """End the fork server and everything below it."""
        self._hang_up()
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        if self._process is not None:
            try:
                self._process.wait(2.0)          # it reads the end of the channel, kills and reaps, and ends
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def run(
        self, program: str, inputs: Sequence[bytes], function: str = "", limits: Limits | None = None
    ) -> list[Execution]:
        """Run `program` once per input, in order. A slot that fails is started again and its test repeated.

        Args:
            inputs: standard input of each run, or the JSON list of arguments when `function` is named.
        """
        source = _memory_file(program.encode("utf-8", "surrogatepass"))
        given = _Program(source, function, limits or Limits())
        try:
            compiled = self._repeat(lambda: self._begin(given))
            if compiled is not None:
                return [compiled] * len(inputs)
            return [self._repeat(partial(self._test, given, data)) for data in inputs]
        finally:
            os.close(source)
            self._hang_up()                      # the program's process ends by itself; the next one makes sure

    def _repeat(self, attempt: Callable[[], Any]) -> Any:
        for _ in range(_ATTEMPTS):
            try:
                return attempt()
            except _SlotLostError:
                with contextlib.suppress(SandboxError):
                    self.start()
        return Execution("infrastructure")

    def _begin(self, program: _Program) -> Execution | None:
        """Have the program compiled in its own process; returns why there is none, or None when it waits for tests."""
        for _ in range(_ATTEMPTS):
            reply = self._compile(program)
            if reply is not None:
                return None if reply == b"Cok" else Execution("error")
        return Execution("error")                # it brings the compiler down, again and again

    def _compile(self, program: _Program) -> bytes | None:
        """The program's process's first message; None when that process ended or kept silent instead."""
        if self._channel is None:
            raise _SlotLostError
        self._hang_up()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        request = json.dumps({"start": {**asdict(program.limits), "function": program.function}}).encode()
        with theirs:
            _send_descriptors(self._channel, request, [program.source, theirs.fileno()])
        if not _readable(self._control, program.limits.wall_s):
            self._end_program()
            return b"Cslow"                      # the compiler is kept busy
        try:
            return self._receive(self._control, _GRACE_S)
        except _SlotLostError:
            if not self._end_program():
                raise
            return None

    def _test(self, program: _Program, data: bytes) -> Execution:
        for _ in range(_ATTEMPTS):
            if self._control is None:
                failed = self._begin(program)
                if failed is not None:
                    return failed
            result = self._one_test(data, program.limits)
            if result is not None:
                return result
        return Execution("memory")               # killed again and again, by nobody here: the kernel's memory killer

    def _one_test(self, data: bytes, limits: Limits) -> Execution | None:
        """Run the program once; None when its process was killed from outside."""
        assert self._control is not None
        source, sink = _memory_file(data), _memory_file(b"")
        try:
            _send_descriptors(self._control, b"T", [source, sink])
            try:
                reply = self._receive(self._control, limits.wall_s + _GRACE_S)
            except _SlotLostError:
                if not self._end_program():
                    raise
                return None
            reason, used, status, cpu_s, wall_s = _REPORT.unpack(reply)
            if used:
                self._end_program()              # which empties the scratch directory for the next test
            size = os.fstat(sink).st_size
            output = os.pread(sink, limits.output_bytes, 0)
        finally:
            os.close(source)
            os.close(sink)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL and reason == _EXITED \
                and cpu_s < limits.cpu_s:
            return None
        return Execution(_status(reason, status, cpu_s, size, limits), output, cpu_s, wall_s)

    def _end_program(self) -> bool:
        """Have every process of the program killed and reaped; False when the fork server does not answer."""
        self._hang_up()
        if self._channel is None:
            return False
        try:
            self._channel.send(b'{"stop": true}')
            return bool(json.loads(self._receive(self._channel, _GRACE_S))["stopped"])
        except (_SlotLostError, OSError):
            return False

    def _hang_up(self) -> None:
        if self._control is not None:
            self._control.close()
            self._control = None

    def _receive(self, connection: socket.socket, seconds: float) -> bytes:
        try:
            if not _readable(connection, seconds):
                raise _SlotLostError
            message = connection.recv(1 << 16)
        except OSError:
            raise _SlotLostError from None
        if not message:
            raise _SlotLostError
        return message


def _readable(connection: socket.socket, seconds: float) -> bool:
    poller = select.poll()
    poller.register(connection, select.POLLIN)
    return bool(poller.poll(seconds * 1000))


def _status(reason: int, status: int, cpu_s: float, size: int, limits: Limits) -> Status:
    if reason in (_WALL, _CPU) or cpu_s > limits.cpu_s:
        return "timeout"
    if size >= limits.output_bytes or reason == _QUOTA:
        return "output_limit"
    if os.WIFSIGNALED(status):
        return "error"
    code = os.WEXITSTATUS(status)
    return "ok" if code == 0 else "memory" if code == _MEMORY_EXIT else "error"


def _memory_file(content: bytes) -> int:
    descriptor = os.memfd_create("test")
    offset = 0
    while offset < len(content):
        offset += os.pwrite(descriptor, content[offset:], offset)
    return descriptor


def _send_descriptors(connection: socket.socket, message: bytes, descriptors: list[int]) -> None:
    try:
        connection.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))])
    except OSError:
        raise _SlotLostError from None
