# Claim: Another program, a shell or a new interpreter can be started in place of this one.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
for path in ("/bin/sh", "/usr/bin/env", sys.executable, "/proc/self/exe", "/lib64/ld-linux-x86-64.so.2"):
    attempt(path, lambda: os.execv(path, [path]))
attempt("fexecve", lambda: os.execve(0, ["x"], {}))
attempt("system", lambda: os.system("true") and (_ for _ in ()).throw(OSError()))
import subprocess
attempt("popen", lambda: subprocess.check_output("id", shell=True))
