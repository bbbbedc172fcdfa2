# Claim: Inodes can be used up with empty files.
# Verdict: output_limit error
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
for number in range(1000000):
    open(f"file-{number}", "w").close()
print("BREACH")
