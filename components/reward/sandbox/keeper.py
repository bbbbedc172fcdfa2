"""The fork server of one slot: a small process that starts, ends and cleans up after programs.

Started as `python -s -S -P -B keeper.py <socket>` with an empty environment, so it holds nothing of its caller. It
never sees a test or an expected output: programs and tests pass by it as descriptors of files in memory.

Messages (SOCK_SEQPACKET, JSON): first the slot's settings -> `ready` or `refused`; then `start` with two descriptors
(program, control socket), and `stop`, which answers when nothing of the program is left.
"""

from __future__ import annotations

import array
import builtins
import contextlib
import gc
import json
import os
import signal
import sys
from typing import Any

import _socket

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import confine
import runner

sys.path.pop(0)
# What solutions import most, loaded once instead of in every test.
import bisect  # noqa: F401
import collections  # noqa: F401
import functools  # noqa: F401
import heapq  # noqa: F401
import itertools  # noqa: F401
import math  # noqa: F401
import re  # noqa: F401
import string  # noqa: F401

builtins.exit = builtins.quit = sys.exit   # type: ignore[assignment]  # `site` would have put them there


def main() -> None:
    channel = _socket.socket(fileno=int(sys.argv[1]))
    os.closerange(channel.fileno() + 1, 1 << 16)
    os.environ.clear()
    settings = json.loads(channel.recv(1 << 16))
    try:
        ruleset, filters = _settle(settings)
    except (OSError, KeyError) as error:
        channel.send(json.dumps({"refused": str(error)}).encode())
        return
    channel.send(json.dumps({"ready": confine.landlock_version()}).encode())
    sys.argv[:] = [""]
    gc.collect()
    gc.freeze()                                              # forks share these pages as long as nobody touches them
    _serve(channel, settings, ruleset, filters)


def _settle(settings: dict[str, Any]) -> tuple[int, tuple[bytes, bytes]]:
    """Enter the level's confinement as far as it concerns this process; returns the ruleset and both filters."""
    library, scratch = os.path.dirname(os.__file__), settings["scratch"]
    architecture = os.uname().machine
    if architecture not in confine.ARCHITECTURES:
        raise OSError(f"no system call table for {architecture}")
    version = confine.landlock_version()
    if not version:
        raise OSError("the kernel has no Landlock, or it is switched off")
    if settings["namespaces"]:
        libraries = confine.shared_libraries()
        confine.enter_namespaces(
            settings["root"], [library, *libraries], scratch, settings["scratch_bytes"], settings["scratch_files"]
        )
        _continue_as_first_process()
    if settings["run_as"]:
        confine.drop_user(settings["run_as"])
    if settings["uid"]:
        os.chown(scratch, settings["uid"], settings["uid"])
    confine.become_subreaper()
    readable, listable = confine.library_paths(library)
    sys.path[:] = [library, os.path.join(library, "lib-dynload")]
    sys.path_importer_cache.clear()
    ruleset = confine.landlock_ruleset(version, readable, listable, scratch)
    confine.set_undumpable()
    filters = confine.seccomp_filter(architecture), confine.seccomp_narrowing(architecture)
    return ruleset, filters


def _continue_as_first_process() -> None:
    """Fork into the new process space; this process only waits for that one, and takes it along when it dies."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        os._exit(0)
    confine.die_with(0)                                      # in here the parent's id reads 0


def _serve(
    channel: _socket.socket, settings: dict[str, Any], ruleset: int, filters: tuple[bytes, bytes]
) -> None:
    program = 0
    while True:
        message, ancillary, _, _ = channel.recvmsg(1 << 16, _socket.CMSG_SPACE(8))
        if program or not message:
            _end_everything()
            program = 0
        if not message:
            return
        request = json.loads(message)
        _empty(settings["scratch"])
        if "start" in request:
            descriptors = array.array("i", ancillary[0][2])
            program = _start(channel, descriptors, request["start"], settings, ruleset, filters)
        else:
            channel.send(b'{"stopped": true}')


def _start(
    channel: _socket.socket, descriptors: array.array[int], limits: dict[str, Any], settings: dict[str, Any],
    ruleset: int, filters: tuple[bytes, bytes],
) -> int:
    if not settings["uid"]:                                  # the limit counts all tasks of a shared user
        limits["tasks"] += _tasks_of_this_user() + settings["spare_tasks"]
    me = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            channel.close()
            control = _socket.socket(fileno=descriptors[1])
            runner.serve_program(
                control, descriptors[0], ruleset, settings["uid"], settings["scratch"], limits, me, filters
            )
        finally:
            os._exit(1)
    for descriptor in descriptors:
        os.close(descriptor)
    return child


def _tasks_of_this_user() -> int:
    uid, count = os.getuid(), 0
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():
        try:
            if name.isdigit() and os.stat(f"/proc/{name}").st_uid == uid:
                count += len(os.listdir(f"/proc/{name}/task"))
        except OSError:                                      # it ended meanwhile
            continue
    return count


def _end_everything() -> None:
    """Kill and reap all processes below this one. Orphans come to it, so this ends when none is left."""
    while True:
        if os.getpid() == 1:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, signal.SIGKILL)
        else:
            with open(f"/proc/self/task/{os.getpid()}/children") as file:
                for child in file.read().split():
                    os.kill(int(child), signal.SIGKILL)      # ours and not reaped: the number cannot be another's
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _empty(scratch: str) -> None:
    """Remove what a program left, however deeply nested: subdirectories' entries are moved up, never descended into."""
    serial, mark = 0, os.urandom(8).hex()
    while entries := list(os.scandir(scratch)):
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
                continue
            os.chmod(entry.path, 0o700)
            for inner in list(os.scandir(entry.path)):
                if inner.is_dir(follow_symlinks=False):
                    os.chmod(inner.path, 0o700)              # moving a directory writes to it
                serial += 1
                os.rename(inner.path, os.path.join(scratch, f"{mark}{serial}"))
            os.rmdir(entry.path)


if __name__ == "__main__":
    main()
