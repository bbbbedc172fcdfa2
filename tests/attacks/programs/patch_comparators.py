# Claim: Comparison, printing and exiting are patched in the hope that the judge uses them here.
# Verdict: wrong error
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import builtins, io, os
for name in ("open", "print", "len", "all", "any", "zip", "str", "bytes", "repr", "isinstance"):
    setattr(builtins, name, lambda *_, **__: True)
os._exit = lambda status: None
os.write = lambda *_: 0
sys.exit = lambda *_: None
sys.modules["runner"].__dict__.clear()
