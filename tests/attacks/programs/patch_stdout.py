# Claim: Standard output is replaced by an object that claims to hold what was expected.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
class Output:
    def write(self, text): return len(text)
    def flush(self): pass
    def getvalue(self): return Output()
    def read(self, *_): return Output()
    def __eq__(self, other): return True
    def strip(self): return self
sys.stdout = sys.__stdout__ = Output()
