# Claim: Verdicts written to every descriptor are taken for the judge's own messages.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import struct
for number in range(1, 64):
    for message in (b"Cok", struct.pack("<BBidd", 0, 0, 0, 0.0, 0.0), b'{"stopped": true}', b"pass\n"):
        try:
            os.write(number, message)
        except OSError:
            pass
