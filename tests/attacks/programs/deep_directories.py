# Claim: Directories nested deeper than a path may be long cannot be cleaned up.
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
    os.mkdir("d" * 100, 0o300)
    os.chdir("d" * 100)
print("BREACH")
