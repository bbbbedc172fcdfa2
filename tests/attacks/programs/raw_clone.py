# Claim: clone, clone3 and vfork by number make a process where fork is refused.
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
x86 = os.uname().machine == "x86_64"
attempt("clone", lambda: system(56 if x86 else 220, 17, None, None, None, None) or os._exit(0))
attempt("clone3", lambda: system(435, ctypes.create_string_buffer(88), ctypes.c_size_t(88)) or os._exit(0))
attempt("clone newuser", lambda: system(56 if x86 else 220, 0x10000000 | 17, None, None, None, None) or os._exit(0))
if x86:
    attempt("fork", lambda: system(57) or os._exit(0))
