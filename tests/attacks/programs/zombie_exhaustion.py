# Claim: Children that are never reaped use up the user's processes, so that the next honest program fails.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
children = 0
for _ in range(5000):
    try:
        if os.fork() == 0:
            os._exit(0)
        children += 1
    except OSError:
        pass
print("BREACH" if children else "held", children)
