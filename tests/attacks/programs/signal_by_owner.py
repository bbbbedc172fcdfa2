# Claim: The kernel sends the signal: a file's owner is set to another process and SIGIO to SIGKILL.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import fcntl
read, write = os.pipe()
for pid in (os.getppid(), world["parent"], -1):
    attempt("F_SETOWN", lambda: fcntl.fcntl(read, fcntl.F_SETOWN, pid))
    attempt("F_SETSIG", lambda: fcntl.fcntl(read, 10, 9))
    attempt("F_SETOWN_EX", lambda: fcntl.fcntl(read, 15, __import__("struct").pack("ii", 1, pid)))
    attempt("FIOSETOWN", lambda: fcntl.ioctl(read, 0x8901, __import__("struct").pack("i", pid)))
    attempt("lease", lambda: fcntl.fcntl(0, 1024, 0))
    attempt("notify", lambda: fcntl.fcntl(os.open(".", os.O_RDONLY), 1026, 1))
os.write(write, b"x")
