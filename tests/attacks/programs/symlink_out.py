# Claim: A symbolic or hard link in the scratch directory leads out of it, for the program or the cleaner.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
attempt("symlink", lambda: os.symlink(world["secret_file"], "link"))
attempt("hard link", lambda: os.link(world["secret_file"], "hard"))
attempt("symlink directory", lambda: os.symlink("/", "root"))
attempt("rename in", lambda: os.rename(world["secret_file"], "mine"))
attempt("rename out", lambda: (open("x", "w").close(), os.rename("x", world["secret_file"] + ".new")))
attempt("up", lambda: open("../escaped", "w"))
attempt("up", lambda: os.mkdir("../escaped"))
attempt("root", lambda: os.listdir(".."))
