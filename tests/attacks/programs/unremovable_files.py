# Claim: Files are left that the cleaner cannot open, enter or move.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
os.mkdir("a", 0o700)
os.mkdir("a/b", 0o000)
os.mkdir("a/c", 0o700)
open("a/c/\udcff\n", "w").close()
os.mkdir("a/c/d", 0o000)
os.open("none", os.O_CREAT, 0o000)
os.mkdir("a/c/e", 0o000)
os.rename("a", "z" * 255)
