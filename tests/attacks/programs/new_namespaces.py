# Claim: A user namespace gives capabilities inside the sandbox.
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
for flag in (0x10000000, 0x20000, 0x40000000, 0x20000000, 0x02000000):
    attempt(f"unshare {flag:x}", lambda: system(272 if os.uname().machine == "x86_64" else 97, flag))
attempt("mount", lambda: system(165 if os.uname().machine == "x86_64" else 40, b"tmpfs", b".", b"tmpfs", 0, None))
attempt("setns", lambda: system(308 if os.uname().machine == "x86_64" else 268, 0, 0))
attempt("open_tree", lambda: system(428, -100, b".", 1))
attempt("fsopen", lambda: system(430, b"tmpfs", 0))
