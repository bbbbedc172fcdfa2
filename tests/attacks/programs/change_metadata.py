# Claim: Modes, owners, times and attributes of files outside can be changed, or they can be cut.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
target = world["secret_file"]
attempt("chmod", lambda: os.chmod(target, 0o777))
attempt("chown", lambda: os.chown(target, os.getuid(), -1))
attempt("utime", lambda: os.utime(target))
attempt("truncate", lambda: os.truncate(target, 0))
attempt("setxattr", lambda: os.setxattr(target, "user.x", b"x"))
attempt("unlink", lambda: os.unlink(target))
attempt("append", lambda: open(target, "a"))
attempt("setuid file", lambda: (open("s", "w").close(), os.chmod("s", 0o4755)))
