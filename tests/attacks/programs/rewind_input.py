# Claim: Standard input or its file shows the input of another test, or passes something on to it.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
text = os.pread(0, 1 << 20, 0)
if text.count(b'"number"') != 1:
    print("BREACH: more than one test in this file")
os.write(0, b"for the next test" * 1000)
attempt("output holds something", lambda: os.pread(1, 100, 0) or (_ for _ in ()).throw(OSError()))
attempt("dev fd", lambda: os.listdir("/dev/fd"))
