# Claim: A file that anyone on the machine may read can be read: tests, tokens, other people's data.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
attempt("read", lambda: open(world["secret_file"]).read())
attempt("read by descriptor", lambda: os.read(os.open(world["secret_file"], os.O_RDONLY), 99))
attempt("list", lambda: os.listdir(os.path.dirname(world["secret_file"])))
