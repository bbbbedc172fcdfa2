# Claim: A fifo, socket or device in the scratch directory blocks the cleaner or gives a device.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import stat
attempt("fifo", lambda: os.mkfifo("fifo"))
attempt("device", lambda: os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 1)))
attempt("block device", lambda: os.mknod("disk", stat.S_IFBLK | 0o600, os.makedev(254, 0)))
attempt("tty", lambda: os.open("/dev/tty", os.O_RDWR))
attempt("ptmx", lambda: os.openpty())
