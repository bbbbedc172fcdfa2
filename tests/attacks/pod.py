"""Run a Python command as in an ordinary Kubernetes pod: not root, no capability, no new privileges, and a seccomp
profile that denies what the container runtimes' default one denies to such a process.

    python tests/attacks/pod.py -m pytest tests/attacks

Started as root, it becomes user 1000 of a user namespace of its own, who owns what root owns; so the interpreter and
the project may lie anywhere.
"""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from components.reward.sandbox import confine

USER = 1000
# mount, umount2, pivot_root, unshare, setns, ptrace, bpf, perf_event_open, keyctl, the new mount calls, kexec, modules
DENIED = {
    "x86_64": (165, 166, 155, 272, 308, 101, 321, 298, 250, 428, 429, 430, 431, 432, 433, 442, 246, 175, 313, 304),
    "aarch64": (40, 39, 41, 97, 268, 117, 280, 241, 219, 428, 429, 430, 431, 432, 433, 442, 104, 105, 273, 265),
}
NAMESPACES = 0x7E020000  # all CLONE_NEW* flags


def profile(architecture: str) -> bytes:
    """The seccomp program."""
    column = confine.ARCHITECTURES[architecture][1]
    refuse, allow = (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7FFF0000)
    code = []
    for number in DENIED[architecture]:
        code += [(0x15, 0, 1, number), refuse]
    code += [(0x15, 0, 1, 435), (0x06, 0, 0, 0x00050026)]  # clone3 does not exist
    clone = confine.KEEPER_SYSCALLS["clone"][column]
    assert clone is not None
    code += [(0x15, 0, 4, clone), (0x20, 0, 0, 16), (0x54, 0, 0, NAMESPACES), (0x15, 1, 0, 0), refuse]
    return confine._assemble(architecture, [*code, allow])


def main() -> None:
    if os.geteuid() == 0:
        if ctypes.CDLL(None, use_errno=True).unshare(0x10000000):  # CLONE_NEWUSER
            raise OSError(ctypes.get_errno(), "unshare")
        for name, text in (("setgroups", "deny"), ("uid_map", f"{USER} 0 1"), ("gid_map", f"{USER} 0 1")):
            Path(f"/proc/self/{name}").write_text(text)
    confine.no_new_privileges()
    confine.drop_capabilities()
    confine.apply_seccomp(profile(os.uname().machine))
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])


if __name__ == "__main__":
    main()
