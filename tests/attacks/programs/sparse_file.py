# Claim: A sparse or preallocated file is larger than the quota.
# Verdict: wrong error
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
with open("sparse", "wb") as file:
    attempt("truncate", lambda: file.truncate(1 << 40))
    attempt("seek", lambda: (file.seek(1 << 40), file.write(b"x"), file.flush()))
    attempt("allocate", lambda: os.posix_fallocate(file.fileno(), 0, 1 << 30))
attempt("output", lambda: os.ftruncate(1, 1 << 40))
attempt("output", lambda: os.pwrite(1, b"x", 1 << 40))
