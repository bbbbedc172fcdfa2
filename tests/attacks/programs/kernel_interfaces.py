# Claim: Wide kernel interfaces are reachable: bpf, io_uring, userfaultfd, perf, keyrings, handles.
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
buffer = ctypes.create_string_buffer(256)
numbers = {"bpf": 321, "io_uring_setup": 425, "userfaultfd": 323, "perf_event_open": 298, "add_key": 248, "keyctl": 250,
           "request_key": 249, "open_by_handle_at": 304, "name_to_handle_at": 303, "kexec_load": 246, "reboot": 169,
           "init_module": 175, "finit_module": 313, "swapon": 167, "quotactl": 179, "acct": 163, "syslog": 103,
           "personality": 135, "iopl": 172, "modify_ldt": 154, "vmsplice": 278, "fanotify_init": 300, "inotify_init": 253,
           "timer_create": 222, "mq_open": 240, "msgget": 68, "semget": 64, "mbind": 237, "move_pages": 279,
           "process_madvise": 440, "kcmp": 312, "lookup_dcookie": 212, "settimeofday": 164, "clock_settime": 227,
           "sethostname": 170, "seccomp": 317, "pidfd_open": 434, "landlock_create_ruleset": 444, "x32 getpid": 0x40000027}
if os.uname().machine == "x86_64":
    for name, number in numbers.items():
        attempt(name, lambda: system(number, ctypes.byref(buffer), ctypes.byref(buffer), 0, 0, 0))
