# Claim: What one test leaves in memory, files or modules helps or harms the next test of the same program.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import builtins, math
if os.listdir(".") or hasattr(builtins, "left") or hasattr(math, "left"):
    print("BREACH: found what another test left")
builtins.left = math.left = True
builtins.print = lambda *_: None
open("left", "w").close()
os.environ["LEFT"] = "1"
sys.modules["json"] = None
