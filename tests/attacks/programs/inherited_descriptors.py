# Claim: A descriptor of the judge was left open in the test's process.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
for number in range(3, 1024):
    attempt(f"descriptor {number}", lambda: os.fstat(number))
    attempt(f"descriptor {number}", lambda: os.write(number, b"Cok"))
