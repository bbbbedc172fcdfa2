# Claim: The expected output stands in a local variable of a frame further up.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
frame = sys._getframe()
while frame:
    for name, value in {**frame.f_globals, **frame.f_locals}.items():
        if world["marker"] in repr(value) and name not in ("world", "value", "frame"):
            if isinstance(value, (str, bytes, list, tuple)) and "EXPECTED" in repr(value):
                print("BREACH:", name)
    frame = frame.f_back
