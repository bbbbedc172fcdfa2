# Claim: Cached bytecode of the library can be replaced.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import importlib.util, heapq, json.decoder, statistics
for module in (heapq, json.decoder, statistics, os):
    path = importlib.util.cache_from_source(module.__file__)
    attempt("write", lambda: open(path, "wb").write(b"evil"))
    attempt("unlink", lambda: os.unlink(path))
    attempt("rename", lambda: os.rename("x", path))
    attempt("source", lambda: open(module.__file__, "a"))
    attempt("truncate", lambda: os.truncate(module.__file__, 0))
