# Claim: Signals reach the judge, the fork server, siblings or everybody.
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
import signal
for pid in (os.getppid(), world["parent"], 1, -1, 0, -os.getpgrp(), -world["parent"]):
    for number in (0, signal.SIGSTOP, signal.SIGKILL, signal.SIGTERM):
        attempt(f"kill {pid}", lambda: os.kill(pid, number))
for pid in (os.getppid(), world["parent"]):
    attempt("killpg", lambda: os.killpg(pid, 9))
    attempt("pidfd", lambda: system(424, system(434, pid, 0), 9, None, 0))
    attempt("tgkill", lambda: system(234 if os.uname().machine == "x86_64" else 131, pid, pid, 9))
    attempt("sigqueue", lambda: system(129 if os.uname().machine == "x86_64" else 138, pid, 9, ctypes.create_string_buffer(128)))
