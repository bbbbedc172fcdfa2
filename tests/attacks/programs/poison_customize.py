# Claim: sitecustomize, usercustomize or a .pth file planted now runs in later programs.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import site, sysconfig
places = [os.path.dirname(os.__file__), os.path.join(os.path.dirname(os.__file__), "site-packages"),
          os.path.expanduser("/root/.local/lib/python3.11/site-packages"), "/tmp", "/usr/local/lib", *sys.path]
for place in filter(os.path.isabs, places):
    for name in ("sitecustomize.py", "usercustomize.py", "evil.pth", "heapq.py"):
        attempt("plant", lambda: open(os.path.join(place, name), "w").write("raise SystemExit"))
        attempt("mkdir", lambda: os.makedirs(place + "/new"))
