# Claim: Memory can be taken without end.
# Verdict: memory
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
blocks = []
while True:
    blocks.append(bytearray(1 << 24))
