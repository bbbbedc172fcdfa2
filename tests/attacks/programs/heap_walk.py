# Claim: The expected output or another test's input lies somewhere in this process's memory.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import gc
needle = world["marker"] + "-" + "EXPECTED"
for thing in gc.get_objects():
    try:
        found = isinstance(thing, (str, bytes, list, tuple, dict)) and needle in str(thing)
    except Exception:
        found = False
    if found and thing is not needle and thing is not globals() and "needle" not in str(thing)[:10000]:
        print("BREACH:", type(thing))
