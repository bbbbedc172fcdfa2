# Claim: Some address family was forgotten: IPv6, UDP, raw, netlink, packet, vsock, alg, bluetooth.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import _socket
for family in range(0, 50):
    for kind in (1, 2, 3, 5, 10, 1 | 0o4000, 2 | 0o2000000):
        attempt(f"socket {family} {kind}", lambda: _socket.socket(family, kind))
        if family != 1 or kind & 0xF != 1:
            attempt(f"pair {family} {kind}", lambda: _socket.socketpair(family, kind))
