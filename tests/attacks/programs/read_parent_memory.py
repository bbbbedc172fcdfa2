# Claim: The memory of the judge or of the fork server can be read or written.
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
class Vec(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("size", ctypes.c_size_t)]
buffer = ctypes.create_string_buffer(64)
local, remote = Vec(ctypes.addressof(buffer), 64), Vec(id(buffer) & ~0xFFF, 64)
read, write = (310, 311) if os.uname().machine == "x86_64" else (270, 271)
for pid in {os.getppid(), world["parent"], 1}:
    for name in ("mem", "maps", "auxv", "environ", "cmdline", "stack", "root", "cwd", "task"):
        attempt(f"/proc/{pid}/{name}", lambda: open(f"/proc/{pid}/{name}", "rb").read(10))
    attempt("process_vm_readv", lambda: system(read, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))
    attempt("process_vm_writev", lambda: system(write, pid, ctypes.byref(local), 1, ctypes.byref(remote), 1, 0))
