# Claim: Native recursion overflows the stack.
# Verdict: error memory timeout
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
sys.setrecursionlimit(1 << 30)
class Loop:
    def __repr__(self): return repr([self])
def nest(value):
    for _ in range(10**6):
        value = [value]
    return value
print(len(repr(nest([]))))
