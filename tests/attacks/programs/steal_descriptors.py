# Claim: Open files of the judge (other tests' inputs) can be taken by pidfd_getfd or /proc/<pid>/fd.
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
for pid in {os.getppid(), world["parent"], 1}:
    for number in range(0, 40):
        attempt("open", lambda: open(f"/proc/{pid}/fd/{number}", "rb").read())
    attempt("pidfd", lambda: system(438, system(434, pid, 0), 0, 0))
