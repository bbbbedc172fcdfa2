"""The sandbox's levels: what each one adds, what it needs, and the self-test that proves it at start."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import sys
import sysconfig
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

if TYPE_CHECKING:
    from components.reward.sandbox.records import Execution

# Weakest first. `landlock`: Landlock, seccomp, resource limits. `user`: also an own user id for each slot.
# `namespaces`: also own mount, process, network, IPC and host-name spaces (and own users, when started as root).
Level = Literal["landlock", "user", "namespaces"]
LEVELS: tuple[Level, ...] = get_args(Level)

_FIRST_UID, _LAST_UID = 61_000, 64_999
_NOBODY = 65_534
_UNUSED_MODULES = ("site-packages", "dist-packages", "test", "tests", "idlelib", "tkinter", "turtledemo", "ensurepip",
                   "lib2to3", "config-*")


class SandboxError(RuntimeError):
    """The sandbox cannot be had at the level asked for; the message says what is missing and what to change."""


@dataclass
class SlotUser:
    """Whom a slot's processes run as. An own user id is held by a lock that ends with this process."""

    uid: int = 0           # programs change to this user; 0: they keep the fork server's
    run_as: int = 0        # the fork server itself changes to this user; 0: it keeps the caller's
    lock: socket.socket | None = None

    @classmethod
    def acquire(cls, level: Level) -> SlotUser:
        if os.geteuid() != 0:
            if level == "user":
                raise SandboxError("own users need a start as root with CAP_SETUID, CAP_SETGID and CAP_CHOWN")
            return cls()
        if level == "landlock":
            return cls(run_as=_NOBODY)      # root's programs would keep root's files
        taken = {entry.pw_uid for entry in pwd.getpwall()}
        for uid in range(_FIRST_UID, _LAST_UID):
            lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                if uid not in taken:
                    lock.bind(f"\0mimo-sandbox-uid-{uid}")
                    return cls(uid=uid, lock=lock)
            except OSError:
                pass
            lock.close()
        raise SandboxError(f"all user ids from {_FIRST_UID} to {_LAST_UID} are in use by other sandboxes")

    def release(self) -> None:
        if self.lock is not None:
            self.lock.close()


def readable_home(level: Level, base: Path) -> str:
    """PYTHONHOME for the fork servers, empty where the slots' users can read the library as it lies.

    An interpreter below a private home directory (`/root/.pyenv`) gets a copy of its library below `base`.
    """
    library = Path(sysconfig.get_path("stdlib"))
    if os.geteuid() != 0 or level == "namespaces":
        return ""
    if all(path.stat().st_mode & 0o005 == 0o005 for path in (library, *library.parents)):
        return ""
    home = base / "python"
    copy = home / sys.platlibdir / library.name
    if not copy.exists():
        shutil.copytree(library, copy, ignore=shutil.ignore_patterns(*_UNUSED_MODULES, "*.a", "*.opt-?.pyc"))
    return str(home)


_HONEST = "import statistics, datetime, random, decimal\nprint(int(input()) + 1)\n"
_PROBE = '''
import os, sys
found = []
def attempt(name, action):
    try:
        action()
        found.append(name)
    except (OSError, ImportError):
        pass
def ids():
    if os.getuid() == %(uid)d: raise OSError
attempt("environment", lambda: None if os.environ else (_ for _ in ()).throw(OSError()))
attempt("read /etc/passwd", lambda: open("/etc/passwd"))
attempt("read /proc", lambda: open("/proc/self/status"))
attempt("list /", lambda: os.listdir("/"))
attempt("write /tmp", lambda: open("/tmp/mimo-sandbox-probe", "w"))
attempt("write the library", lambda: open(os.__file__, "a"))
attempt("fork", lambda: os.fork() or os._exit(0))
attempt("signal", lambda: os.kill(os.getppid(), 0))
attempt("execute", lambda: os.execv(sys.executable, ["python"]))
import _socket
for family in range(1, 46):
    attempt("socket family %%d" %% family, lambda: _socket.socket(family, 1))
if %(namespaces)r:
    attempt("see the host's files", lambda: os.stat("/etc/passwd"))
print("breaches:", ", ".join(found) or "none", "user:", os.getuid())
'''


def self_test(level: Level, run: Callable[[str], Execution]) -> None:
    """Run an honest program and one that tries the doors.

    Raises:
        SandboxError: the honest one fails, or the other one gets anywhere.
    """
    honest = run(_HONEST)
    if honest.status != "ok" or honest.output != b"42\n":
        raise SandboxError(f"an honest program does not run ({honest.status}): is the interpreter's library readable?")
    probe = run(_PROBE % {"uid": os.geteuid(), "namespaces": level == "namespaces"})
    text = probe.output.decode(errors="replace").strip()
    if probe.status != "ok" or not text.startswith("breaches: none"):
        raise SandboxError(f"the self-test got through: {text or probe.status}")
    user = int(text.rpartition(":")[2])
    if level != "landlock" and os.geteuid() == 0 and user < _FIRST_UID:
        raise SandboxError(f"programs run as user {user}, not as a user of their own")
