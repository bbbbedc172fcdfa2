# Claim: A module written to the working directory is imported by the next program instead of the library's.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
for name in ("statistics", "random", "decimal", "heapq", "encodings", "codecs", "threading"):
    with open(name + ".py", "w") as file:
        file.write("raise SystemExit(0)")
    os.makedirs("__pycache__", exist_ok=True)
sys.path.insert(0, os.getcwd())
