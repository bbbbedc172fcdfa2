"""One program in its own confined process: compiled once, then forked for every test.

The keeper forks this process, which confines itself before it reads the program, compiles it without running it, and
then takes tests from the caller: each is a fresh fork, confined once more (it can start no process), whose standard
input and output are files in memory. Neither process ever holds an expected output, another test or a secret.

Messages on the control socket (SOCK_SEQPACKET): `C` + compile status, then per test `T` with two descriptors in and a
`REPORT` out.
"""

from __future__ import annotations

import array
import atexit
import errno
import gc
import json
import os
import resource
import select
import signal
import struct
import sys
import time
import types
from typing import Any

import _io
import _socket
import confine

REPORT = struct.Struct("<BBidd")      # why it ended, scratch used, wait status, CPU seconds, wall seconds
EXITED, WALL, CPU, QUOTA = range(4)
MEMORY_EXIT = 97                      # exit status of a test that ended in MemoryError
_POLL_S = 0.05
_WRITERS = (_io.TextIOWrapper, _io.BufferedWriter, _io.BufferedRandom)


def serve_program(
    control: _socket.socket, program: int, ruleset: int, uid: int, scratch: str, limits: dict[str, Any], parent: int,
    filters: tuple[bytes, bytes],
) -> None:
    """Confine this process, compile the program, run its tests until the caller hangs up. Never returns."""
    confine.die_with(parent)
    os.setsid()
    _set_limits(limits)
    os.chdir(scratch)
    if uid:
        confine.drop_user(uid)
    confine.drop_capabilities()
    confine.set_undumpable()
    confine.die_with(parent)          # changing the user cleared it
    confine.no_new_privileges()
    confine.apply_landlock(ruleset)
    confine.apply_seccomp(filters[0])
    os.close(ruleset)
    source = _read_all(program)
    os.close(program)
    try:
        code = compile(source, "<program>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError):
        control.send(b"Cerror")
        os._exit(0)
    del source
    gc.freeze()
    control.send(b"Cok")
    while True:
        message, ancillary, _, _ = control.recvmsg(1, _socket.CMSG_SPACE(8))
        if not message:
            os._exit(0)
        descriptors = array.array("i", ancillary[0][2])
        control.send(_run_test(code, descriptors, limits, filters[1]))


def _set_limits(limits: dict[str, Any]) -> None:
    confine.limit(resource.RLIMIT_CORE, 0)
    confine.limit(resource.RLIMIT_AS, limits["memory_bytes"])
    confine.limit(resource.RLIMIT_FSIZE, limits["output_bytes"])
    confine.limit(resource.RLIMIT_NOFILE, limits["open_files"])
    confine.limit(resource.RLIMIT_NPROC, limits["tasks"])
    confine.limit(resource.RLIMIT_STACK, limits["stack_bytes"])
    confine.limit(resource.RLIMIT_MEMLOCK, 0)
    confine.limit(resource.RLIMIT_MSGQUEUE, 0)


def _read_all(descriptor: int) -> bytes:
    parts = []
    offset = 0
    while part := os.pread(descriptor, 1 << 20, offset):
        parts.append(part)
        offset += len(part)
    return b"".join(parts)


def _run_test(code: types.CodeType, descriptors: array.array[int], limits: dict[str, Any], strict: bytes) -> bytes:
    started = time.monotonic()
    me = os.getpid()
    child = os.fork()
    if child == 0:
        _become_test(code, descriptors, limits, strict, me)
    for descriptor in descriptors:
        os.close(descriptor)
    reason = _watch(child, started, limits)
    if reason != EXITED:
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    used = any(True for _ in os.scandir("."))
    cpu = usage.ru_utime + usage.ru_stime
    return REPORT.pack(reason, used, status, cpu, time.monotonic() - started)


def _watch(child: int, started: float, limits: dict[str, Any]) -> int:
    """Wait for the child to end; returns what it ran into, EXITED if nothing."""
    handle = os.pidfd_open(child)
    poller = select.poll()
    poller.register(handle, select.POLLIN)
    clock = (~child << 3) | 2                                # CPUCLOCK_SCHED of another process
    try:
        while not poller.poll(_POLL_S * 1000):
            if time.monotonic() - started > limits["wall_s"]:
                return WALL
            try:
                if time.clock_gettime(clock) > limits["cpu_s"]:
                    return CPU
            except OSError:                                  # it ended between the two calls
                continue
            if _over_quota(limits["scratch_bytes"], limits["scratch_files"]):
                return QUOTA
    finally:
        os.close(handle)
    return EXITED


def _over_quota(bytes_left: int, files_left: int) -> bool:
    stack = ["."]
    while stack:
        try:
            with os.scandir(stack.pop()) as entries:
                for entry in entries:
                    files_left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        stack.append(entry.path)
                    else:
                        bytes_left -= entry.stat(follow_symlinks=False).st_blocks * 512
                    if bytes_left < 0 or files_left < 0:
                        return True
        except OSError as error:                             # the test removes files while they are counted
            if error.errno != errno.ENOENT:
                return True
    return False


def _become_test(
    code: types.CodeType, descriptors: array.array[int], limits: dict[str, Any], strict: bytes, parent: int
) -> None:
    """In the forked child: take the test's files as standard streams, confine, run, exit. Never returns."""
    status = 1
    try:
        confine.die_with(parent)
        function = limits["function"]
        arguments = None
        if function:                                         # streams stay /dev/null; the result leaves by 3
            arguments = json.loads(_read_all(descriptors[0]))
            os.dup2(descriptors[1], 3)
        else:                                                # sys.stdin and sys.stdout have buffered nothing yet
            os.dup2(descriptors[0], 0)
            os.dup2(descriptors[1], 1)
        os.closerange(4 if function else 3, limits["open_files"])
        confine.limit(resource.RLIMIT_CPU, int(limits["cpu_s"]) + 2)   # a backstop; the watcher is finer
        signal.signal(signal.SIGINT, signal.default_int_handler)
        confine.apply_seccomp(strict)
        status = _run(code, function, arguments)
    except BaseException:
        status = 1
    finally:
        os._exit(status)


def _run(code: types.CodeType, function: str, arguments: list[Any] | None) -> int:
    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    try:
        try:
            exec(code, module.__dict__)
            if function:
                result = _callable(module, function)(*(arguments or ()))
                text = json.dumps(_plain(result), allow_nan=False).encode()
                while text:
                    text = text[os.write(3, text):]
            status = 0
        except SystemExit as stop:
            if function:
                return 1
            status = 0 if stop.code is None else stop.code & 0xFF if isinstance(stop.code, int) else 1
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
        _flush()
    except MemoryError:
        return MEMORY_EXIT
    except BaseException:
        _flush()                                             # what it printed until then
        return 1
    return status


def _flush() -> None:
    """Write out what files hold back, as the end of an interpreter does; a standard stream may be closed or gone."""
    for stream in (getattr(sys, "stdout", None), sys.__stdout__):
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()
    for found in gc.get_objects():                           # made by the program: what was there before is frozen
        if type(found) in _WRITERS and not found.closed and found.writable():
            found.flush()


def _callable(module: types.ModuleType, name: str) -> Any:
    """The function, or the method of that name of a class `Solution`."""
    if name in module.__dict__:
        return module.__dict__[name]
    return getattr(module.__dict__["Solution"](), name)


def _plain(value: Any) -> Any:
    """`value` as JSON knows it, by exact type: a subclass that claims to equal everything is refused."""
    kind = type(value)
    if kind in (int, float, str, bool, type(None)):
        return value
    if kind in (list, tuple):
        return [_plain(item) for item in value]
    if kind is dict and all(type(key) is str for key in value):
        return {key: _plain(item) for key, item in value.items()}
    raise TypeError(f"a {kind.__name__} is no JSON value")
