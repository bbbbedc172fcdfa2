# Claim: ptrace can attach to the judge, the fork server or a sibling and rewrite it.
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
number = 101 if os.uname().machine == "x86_64" else 117
for pid in {os.getppid(), world["parent"], 1}:
    for request in (16, 0x4206):     # PTRACE_ATTACH, PTRACE_SEIZE
        attempt(f"ptrace {pid}", lambda: system(number, request, pid, None, None))
attempt("traceme", lambda: system(number, 0, 0, None, None))
