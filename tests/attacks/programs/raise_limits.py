# Claim: Resource limits can be raised again, also those of other processes.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import resource
for name in ("RLIMIT_AS", "RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_NOFILE", "RLIMIT_NPROC", "RLIMIT_CORE", "RLIMIT_STACK"):
    kind = getattr(resource, name)
    attempt(name, lambda: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)))
    hard = resource.getrlimit(kind)[1]
    attempt(name, lambda: resource.setrlimit(kind, (hard + 1, hard + 1)))
for pid in {os.getppid(), world["parent"], 1}:
    attempt("other", lambda: resource.prlimit(pid, resource.RLIMIT_CPU, (1, 1)))
    attempt("read other", lambda: resource.prlimit(pid, resource.RLIMIT_CPU))
attempt("nice", lambda: os.nice(-20))
attempt("affinity", lambda: os.sched_setaffinity(0, {0}))
attempt("realtime", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50)))
