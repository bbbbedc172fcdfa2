# Claim: Packages installed beside the interpreter, and the judge's own source, can be read.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
library = os.path.dirname(os.__file__)
for path in (os.path.join(library, "site-packages"), world["judge_source"]):
    try:
        names = os.listdir(path)
    except OSError:
        names = ["__init__.py", "code.py", "README.txt", "pip/__init__.py", "rewards.py"]
    for name in names:
        attempt(name, lambda: open(os.path.join(path, name)).read())
attempt("import", lambda: __import__("pydantic"))
