# Claim: The caller's environment, with its secrets, is inherited or can be read from /proc.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
attempt("environ", lambda: dict(os.environ) or (_ for _ in ()).throw(ValueError()))
attempt("getenv", lambda: os.environb[b"MIMO_TEST_SECRET"] if b"MIMO_TEST_SECRET" in os.environb else (_ for _ in ()).throw(ValueError()))
for pid in ("self", os.getppid(), world["parent"], 1):
    attempt("/proc", lambda: open(f"/proc/{pid}/environ", "rb").read())
libc = __import__("ctypes").CDLL(None)
libc.getenv.restype = __import__("ctypes").c_char_p
attempt("libc", lambda: libc.getenv(b"MIMO_TEST_SECRET") or (_ for _ in ()).throw(ValueError()))
