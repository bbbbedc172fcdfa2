# Claim: The disk can be filled through the scratch directory.
# Verdict: output_limit error
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
for number in range(100000):
    with open(f"file-{number}", "wb") as file:
        file.write(bytes(1 << 20))
print("BREACH: 100 GB")
