# Claim: System files, home directories and mounted service account tokens can be read or listed.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
for path in ("/etc/passwd", "/etc/shadow", "/etc/hostname", "/var/run/secrets/kubernetes.io/serviceaccount/token",
             "/root/.ssh/id_rsa", "/root/.bashrc", "/sys/class/net", "/dev/kmsg", "/dev/mem", "/dev/shm", "/", "/home", "/tmp"):
    attempt(path, lambda: open(path, "rb").read(10))
    attempt(path, lambda: os.listdir(path))
