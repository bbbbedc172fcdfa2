# Claim: User or group ids and capabilities can be changed back.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def system(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result
for uid in (0, 1, 65534, 61001):
    attempt("setuid", lambda: os.setuid(uid))
    attempt("setresuid", lambda: os.setresuid(uid, uid, uid))
    attempt("setgid", lambda: os.setgid(uid))
    attempt("setgroups", lambda: os.setgroups([uid]))
attempt("chroot", lambda: os.chroot("."))
header = ctypes.create_string_buffer(b"\x22\x05\x08\x20\0\0\0\0")
attempt("capset", lambda: system(126 if os.uname().machine == "x86_64" else 91, header, ctypes.create_string_buffer(b"\xff" * 24)))
