# Claim: A Unix socket of the machine (path or abstract) can be reached, also from a legal socket pair.
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
for address in (world["unix_socket"], "\0" + world["abstract_socket"]):
    attempt("connect", lambda: _socket.socket(1, 1).connect(address))
    attempt("datagram", lambda: _socket.socket(1, 2).sendto(b"x", address))
    one, other = _socket.socketpair(1, 1)
    attempt("pair sendto", lambda: one.sendto(b"x", address))
    attempt("pair connect", lambda: one.connect(address))
    attempt("pair bind", lambda: one.bind("\0mimo-attack"))
