# Claim: CPU time is burnt in several threads that ignore the CPU limit's signal.
# Verdict: timeout
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import hashlib, signal, threading
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
def spin():
    data = bytes(1 << 20)
    while True:
        hashlib.sha256(data)
for _ in range(4):
    threading.Thread(target=spin).start()
spin()
