# Claim: /proc shows other processes, their commands and open files.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
attempt("list", lambda: os.listdir("/proc"))
for pid in ("self", os.getpid(), os.getppid(), world["parent"], 1, 2):
    for name in ("status", "cmdline", "fd", "fdinfo", "net/tcp", "mountinfo", "maps"):
        attempt(f"{pid}/{name}", lambda: open(f"/proc/{pid}/{name}").read())
        attempt(f"{pid}/{name}", lambda: os.listdir(f"/proc/{pid}/{name}"))
for name in ("meminfo", "kallsyms", "cpuinfo", "sysrq-trigger"):
    attempt(name, lambda: open(f"/proc/{name}").read(10))
