# Claim: Standard error grows without end, or blocks when nobody reads it.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
for _ in range(2000):
    os.write(2, b"x" * 65536)
