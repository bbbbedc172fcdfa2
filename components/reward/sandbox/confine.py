"""What the kernel is asked to deny: Landlock, seccomp, resource limits, namespaces. Pure ctypes, standard library only.

Runs inside the small fork-server process (hence no pathlib), never in the caller's. Sources: landlock(7), seccomp(2),
the kernel's `include/uapi/linux/{landlock,seccomp,filter,audit}.h`; threat model: `components/reward/README.md`.

- `landlock_ruleset`   files: the interpreter's library readable, the scratch directory writable, nothing else
- `seccomp_filter`     system calls: an allow list; sockets, processes, signals and tracing are not on it
- `apply_*`, `drop_*`  put the calling process under them, for good
- `enter_namespaces`   own mount, process, network, IPC and host-name space with a root that holds only the library
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}   # AUDIT_ARCH_*, column of the tables below

# System calls a solution may use: name -> (x86_64, aarch64) number, None where the architecture has none.
SYSCALLS: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63), "write": (1, 64), "readv": (19, 65), "writev": (20, 66), "pread64": (17, 67),
    "pwrite64": (18, 68), "preadv": (295, 69), "pwritev": (296, 70), "close": (3, 57), "fstat": (5, 80),
    "stat": (4, None), "lstat": (6, None), "newfstatat": (262, 79), "statx": (332, 291), "lseek": (8, 62),
    "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "brk": (12, 214), "mremap": (25, 216),
    "msync": (26, 227), "mincore": (27, 232), "madvise": (28, 233),
    "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135), "rt_sigreturn": (15, 139), "rt_sigpending": (127, 136),
    "rt_sigsuspend": (130, 133), "rt_sigtimedwait": (128, 137), "sigaltstack": (131, 132), "pause": (34, None),
    "access": (21, None), "faccessat": (269, 48), "faccessat2": (439, 439), "pipe": (22, None), "pipe2": (293, 59),
    "select": (23, None), "pselect6": (270, 72), "poll": (7, None), "ppoll": (271, 73), "epoll_create": (213, None),
    "epoll_create1": (291, 20), "epoll_ctl": (233, 21), "epoll_wait": (232, None), "epoll_pwait": (281, 22),
    "eventfd2": (290, 19), "sched_yield": (24, 124), "sched_getaffinity": (204, 123), "dup": (32, 23),
    "dup2": (33, None), "dup3": (292, 24), "nanosleep": (35, 101), "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113), "clock_getres": (229, 114), "gettimeofday": (96, 169), "time": (201, None),
    "times": (100, 153), "getitimer": (36, 102), "setitimer": (38, 103), "alarm": (37, None),
    "getpid": (39, 172), "gettid": (186, 178), "getppid": (110, 173), "getuid": (102, 174), "geteuid": (107, 175),
    "getgid": (104, 176), "getegid": (108, 177), "getresuid": (118, 148), "getresgid": (120, 150),
    "getgroups": (115, 158), "getpgrp": (111, None), "getpgid": (121, 155), "getsid": (124, 156),
    "getpriority": (140, 141), "exit": (60, 93), "exit_group": (231, 94), "uname": (63, 160),
    "fsync": (74, 82), "fdatasync": (75, 83), "ftruncate": (77, 46), "getdents64": (217, 61), "getcwd": (79, 17),
    "chdir": (80, 49), "fchdir": (81, 50), "rename": (82, None), "renameat": (264, 38), "renameat2": (316, 276),
    "mkdir": (83, None), "mkdirat": (258, 34), "rmdir": (84, None), "unlink": (87, None), "unlinkat": (263, 35),
    "creat": (85, None), "open": (2, None), "openat": (257, 56), "readlink": (89, None), "readlinkat": (267, 78),
    "umask": (95, 166), "getrlimit": (97, 163), "setrlimit": (160, 164), "getrusage": (98, 165),
    "sysinfo": (99, 179), "getcpu": (309, 168), "futex": (202, 98), "set_robust_list": (273, 99),
    "get_robust_list": (274, 100), "rseq": (334, 293), "restart_syscall": (219, 128), "set_tid_address": (218, 96),
    "getrandom": (318, 278), "arch_prctl": (158, None), "membarrier": (324, 283), "close_range": (436, 436),
    "copy_file_range": (326, 285), "sendfile": (40, 71), "recvfrom": (45, 207), "shutdown": (48, 210),
    "fadvise64": (221, 223), "getsockopt": (55, 209), "getsockname": (51, 204),
}
# What the process that holds the compiled program needs beside that, to fork, watch and end the tests' processes.
KEEPER_SYSCALLS: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220), "fork": (57, None), "wait4": (61, 260), "waitid": (247, 95), "kill": (62, 129),
    "seccomp": (317, 277), "prctl": (157, 167), "pidfd_open": (434, 434), "sendmsg": (46, 211), "recvmsg": (47, 212),
    "sendto": (44, 206),
}
CLONE3 = (435, 435)
CLONE_THREAD = 0x10000
# Allowed only with certain arguments: numbers, then checks (32-bit word of the arguments, mask, accepted values), all
# of which must hold. Word 2n is the low half of argument n, which is all the kernel reads of an int.
_ALL = 0xFFFFFFFF
CONDITIONAL: list[tuple[tuple[int, int], list[tuple[int, int, tuple[int, ...]]]]] = [
    ((56, 220), [(0, CLONE_THREAD, (CLONE_THREAD,))]),                 # clone: threads, not processes
    ((302, 261), [(0, _ALL, (0,))]),                                   # prlimit64: of itself only
    # fcntl: F_SETOWN and F_SETSIG would have the kernel send any signal to any process of the same user
    ((72, 25), [(2, _ALL, (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032))]),
    # ioctl: isatty, window size, FIONREAD, FIONBIO, close-on-exec
    ((16, 29), [(2, _ALL, (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451))]),
    ((53, 199), [(0, _ALL, (1,)), (2, 0xF, (1,))]),                    # socketpair: AF_UNIX streams (asyncio's wake-up)
    ((44, 206), [(8, _ALL, (0,)), (9, _ALL, (0,))]),                   # sendto: without an address
]
_EPERM, _ENOSYS = 1, 38
_RET_ALLOW, _RET_ERRNO, _RET_KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000
_LD_ABS, _ALU_AND, _JEQ, _RET = 0x20, 0x54, 0x15, 0x06


def seccomp_filter(architecture: str) -> bytes:
    """The BPF program (array of `sock_filter`) for the process that forks tests: everything not listed is refused."""
    column = ARCHITECTURES[architecture][1]
    code = []
    for numbers in [*SYSCALLS.values(), *KEEPER_SYSCALLS.values()]:
        number = numbers[column]
        if number is not None:
            code += [(_JEQ, 0, 1, number), (_RET, 0, 0, _RET_ALLOW)]
    # glibc tries clone3 first, whose flags a filter cannot see, and falls back to clone when there is none
    code += [(_JEQ, 0, 1, CLONE3[column]), (_RET, 0, 0, _RET_ERRNO | _ENOSYS)]
    return _assemble(architecture, [*code, *_conditions(column), (_RET, 0, 0, _RET_ERRNO | _EPERM)])


def seccomp_narrowing(architecture: str) -> bytes:
    """What a test loses on top of that: filters add up, so this one only names what the test must not have.

    A separate short filter, because the kernel compiles it for every test.
    """
    column = ARCHITECTURES[architecture][1]
    code = _conditions(column)
    conditional = {pair[column] for pair, _ in CONDITIONAL}
    for numbers in KEEPER_SYSCALLS.values():
        number = numbers[column]
        if number is not None and number not in conditional:
            code += [(_JEQ, 0, 1, number), (_RET, 0, 0, _RET_ERRNO | _EPERM)]
    return _assemble(architecture, [*code, (_RET, 0, 0, _RET_ALLOW)])


def _conditions(column: int) -> list[tuple[int, int, int, int]]:
    code = []
    for pair, checks in CONDITIONAL:
        rule: list[tuple[int, int, int, int]] = []
        for word, mask, values in checks:
            rule += [(_LD_ABS, 0, 0, 16 + 4 * word), (_ALU_AND, 0, 0, mask)]
            for left, value in reversed(list(enumerate(reversed(values)))):
                rule.append((_JEQ, left + 1, 0, value))      # any value that matches jumps over the refusal
            rule.append((_RET, 0, 0, _RET_ERRNO | _EPERM))
        rule.append((_RET, 0, 0, _RET_ALLOW))
        code += [(_JEQ, 0, len(rule), pair[column]), *rule]
    return code


def _assemble(architecture: str, code: list[tuple[int, int, int, int]]) -> bytes:
    audit = ARCHITECTURES[architecture][0]                   # another architecture's calls have other numbers
    prologue = [(_LD_ABS, 0, 0, 4), (_JEQ, 1, 0, audit), (_RET, 0, 0, _RET_KILL_PROCESS), (_LD_ABS, 0, 0, 0)]
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in [*prologue, *code])


def apply_seccomp(program: bytes) -> None:
    """Put this thread (and all it starts) under the filter. Needs no privilege after `PR_SET_NO_NEW_PRIVS`."""
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("=HxxxxxxQ", len(program) // 8, ctypes.addressof(buffer))
    prctl(22, 2, header)                                     # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def prctl(option: int, *arguments: int | bytes) -> None:
    """prctl(2); raises OSError. A `bytes` argument is passed as a pointer."""
    values = [ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_ulong(a) for a in arguments]
    values += [ctypes.c_ulong(0)] * (4 - len(values))
    _check(_libc.prctl(ctypes.c_int(option), *values), f"prctl {option}")


def die_with(parent: int) -> None:
    """End this process when `parent` ends (also if it already has)."""
    prctl(1, 9)                                              # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != parent:
        os._exit(1)


def set_undumpable() -> None:
    """No core dump, and `/proc/<pid>` of this process belongs to root: nobody of the same user can look inside."""
    prctl(4, 0)                                              # PR_SET_DUMPABLE


def become_subreaper() -> None:
    """Orphans below this process become its children instead of init's."""
    prctl(36, 1)                                             # PR_SET_CHILD_SUBREAPER


def no_new_privileges() -> None:
    prctl(38, 1)                                             # PR_SET_NO_NEW_PRIVS


def drop_capabilities() -> None:
    """Give up all capabilities, for a process whose user id does not change."""
    header = struct.pack("=Ii", 0x20080522, 0)
    _check(_libc.capset(header, bytes(24)), "capset")


def drop_user(uid: int) -> None:
    """Become user and group `uid` for good; from root this drops every capability with it."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


def landlock_version() -> int:
    """The kernel's Landlock ABI, 0 where there is none."""
    return max(0, int(_libc.syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint32(1))))


_EXECUTE, _WRITE, _READ, _READ_DIR = 1, 2, 4, 8
_SCRATCH = _WRITE | _READ | _READ_DIR | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 14   # remove, make dir, make file, cut


def landlock_ruleset(version: int, files: list[str], listable: list[str], scratch: str) -> int:
    """A Landlock ruleset as a file descriptor.

    Args:
        files: files and directories whose contents may be read.
        listable: directories that may be listed (their files are not thereby readable).
        scratch: the one directory where regular files and directories may be made, written and removed.
    """
    handled = (1 << 13) - 1                                  # ABI 1
    for abi, bit in ((2, 13), (3, 14), (5, 15)):             # REFER, TRUNCATE, IOCTL_DEV
        if version >= abi:
            handled |= 1 << bit
    # TCP bind and connect (ABI 4); abstract sockets and signals beyond the domain (ABI 6): seccomp denies them too
    attributes = struct.pack("=QQQ", handled, 3, 3)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    size = ctypes.c_size_t(len(attributes))
    ruleset = int(_libc.syscall(ctypes.c_long(444), attributes, size, ctypes.c_uint32(0)))
    _check(ruleset, "landlock_create_ruleset")
    for path in files:
        _allow(ruleset, path, (_READ | _READ_DIR) if os.path.isdir(path) else _READ)
    for path in listable:
        _allow(ruleset, path, _READ_DIR)
    _allow(ruleset, "/dev/null", _READ | _WRITE)
    _allow(ruleset, scratch, _SCRATCH & handled)
    return ruleset


def _allow(ruleset: int, path: str, access: int) -> None:
    descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    rule = struct.pack("=Qi", access, descriptor)
    result = _libc.syscall(
        ctypes.c_long(445), ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint32(0)
    )
    os.close(descriptor)
    _check(result, f"landlock_add_rule {path}")


def apply_landlock(ruleset: int) -> None:
    """Put this process under the ruleset; it can only be narrowed from here."""
    _check(_libc.syscall(ctypes.c_long(446), ctypes.c_int(ruleset), ctypes.c_uint32(0)), "landlock_restrict_self")


def limit(kind: int, value: int) -> None:
    """Set a resource limit, soft and hard, never above the hard limit already there."""
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18


def enter_namespaces(root: str, library: list[str], scratch: str, scratch_bytes: int, scratch_files: int) -> None:
    """Leave the host's namespaces. Children are in a new process space; the file system holds only `library`.

    Args:
        root: an empty directory to build the new root on.
        library: directories to bring along read-only, at their own paths.
        scratch: the scratch directory's path, a size-limited tmpfs in the new root.

    Raises:
        OSError: the kernel does not grant one of the steps.
    """
    uid, gid = os.getuid(), os.getgid()
    if uid != 0:
        _check(_libc.unshare(_NEWUSER), "unshare user namespace")
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _check(_libc.unshare(_NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET), "unshare")
    _mount(None, "/", None, _MS_REC | _MS_PRIVATE, "")
    _mount("tmpfs", root, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=64k,nr_inodes=512,mode=755")
    for path in [*library, "/dev/null"]:
        if os.path.islink(path):                             # /lib -> usr/lib
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            os.symlink(os.readlink(path), root + path)
            continue
        if os.path.isdir(path):
            os.makedirs(root + path, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(root + path), exist_ok=True)
            os.close(os.open(root + path, os.O_CREAT | os.O_WRONLY, 0o644))
        _mount(path, root + path, None, _MS_BIND | _MS_REC, "")
        if path != "/dev/null":
            _mount(None, root + path, None, _MS_BIND | _MS_REMOUNT | _MS_RDONLY | _MS_NOSUID | _MS_NODEV, "")
    os.makedirs(root + scratch, exist_ok=True)
    options = f"size={scratch_bytes},nr_inodes={scratch_files + 2},mode=700"
    _mount("tmpfs", root + scratch, "tmpfs", _MS_NOSUID | _MS_NODEV, options)
    os.chdir(root)
    pivot_root = {"x86_64": 155, "aarch64": 41}[os.uname().machine]
    _check(_libc.syscall(ctypes.c_long(pivot_root), b".", b"."), "pivot_root")
    _check(_libc.umount2(b".", 2), "umount old root")         # MNT_DETACH
    os.chdir("/")
    _mount(None, "/", None, _MS_REMOUNT | _MS_BIND | _MS_RDONLY | _MS_NOSUID | _MS_NODEV, "")


def _mount(source: str | None, target: str, kind: str | None, flags: int, options: str) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), options.encode() or None)
    _check(result, f"mount {target}")


def library_paths(library: str) -> tuple[list[str], list[str]]:
    """(readable files and directories, listable directories) of the standard library without installed packages."""
    skip = {"site-packages", "dist-packages", "test"}
    readable = [os.path.join(library, name) for name in sorted(os.listdir(library)) if name not in skip]
    return [path for path in readable if os.path.exists(path)] + shared_libraries(), [library]


def shared_libraries() -> list[str]:
    """Directories of the system's shared libraries, which the library's extension modules load."""
    triplet = f"{os.uname().machine}-linux-gnu"
    names = ("/lib64", f"/lib/{triplet}", f"/usr/lib/{triplet}", "/usr/lib64", "/etc/ld.so.cache")
    return [name for name in names if os.path.exists(name)]


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
