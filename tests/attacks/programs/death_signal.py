# Claim: The process detaches from its keeper: no death signal, own session, dumpable again.
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
for option, value in ((1, 0), (4, 1), (36, 1), (38, 0), (22, 0), (0x59616D61, -1)):
    attempt(f"prctl {option}", lambda: system(157 if os.uname().machine == "x86_64" else 167, option, value, 0, 0, 0))
attempt("setsid", lambda: os.setsid())
attempt("setpgid", lambda: os.setpgid(0, 0))
