# Claim: Threads can be multiplied without end.
# Verdict: wrong memory timeout error
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import threading
threading.stack_size(32768)
gate = threading.Event()
started = 0
try:
    while started < 20000:
        threading.Thread(target=gate.wait, daemon=True).start()
        started += 1
except (RuntimeError, MemoryError):
    pass
print("BREACH" if started > 2000 else "held", started)
