# Claim: Memory outside the address space limit can be taken: memfd, System V segments, /dev/shm.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def system(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
x86 = os.uname().machine == "x86_64"
attempt("memfd", lambda: os.memfd_create("x"))
attempt("memfd_secret", lambda: system(447, 0))
attempt("shmget", lambda: system(29 if x86 else 194, 0, ctypes.c_size_t(1 << 30), 0o1600))
attempt("mq_open", lambda: system(240 if x86 else 180, b"x", 0o102, 0o600, None))
attempt("shm", lambda: open("/dev/shm/mimo-attack", "w"))
import mmap
blocks = []
attempt("shared", lambda: [blocks.append(mmap.mmap(-1, 1 << 28)) for _ in range(40)])
