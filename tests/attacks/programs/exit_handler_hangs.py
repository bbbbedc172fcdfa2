# Claim: The program answers nothing, and its exit handlers and threads never end.
# Verdict: timeout
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import atexit, threading, time
threading.Thread(target=lambda: time.sleep(1000)).start()
atexit.register(lambda: time.sleep(1000))
