# Claim: Processes can be multiplied without end.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
for _ in range(1000):
    attempt("fork", lambda: os.fork())
    attempt("forkpty", lambda: os.forkpty())
import subprocess
attempt("subprocess", lambda: subprocess.run(["/bin/true"]))
attempt("spawn", lambda: os.posix_spawn("/bin/true", ["true"], {}))
