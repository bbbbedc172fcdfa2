# Claim: A thread, an alarm or an exit handler acts after the verdict.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import atexit, signal, threading, time
def later():
    time.sleep(0.2)
    attempt("later", lambda: open(world["secret_file"], "w").write("overwritten"))
threading.Thread(target=later, daemon=True).start()
atexit.register(lambda: attempt("exit", lambda: open(world["secret_file"], "w")))
signal.signal(signal.SIGALRM, lambda *_: attempt("alarm", lambda: open(world["secret_file"], "w")))
signal.setitimer(signal.ITIMER_REAL, 0.05, 0.01)
