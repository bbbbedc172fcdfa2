# Claim: A TCP connection to a local service can be made.
# Verdict: wrong
import json, os, sys
world = json.loads(sys.stdin.read())
def attempt(what, action):
    try:
        result = action()
    except (OSError, ImportError, AttributeError, ValueError, RuntimeError, MemoryError):
        return
    print("BREACH:", what, repr(result)[:200])
import socket
attempt("connect", lambda: socket.create_connection(("127.0.0.1", world["port"]), 1))
attempt("resolve", lambda: socket.getaddrinfo("localhost", world["port"]))
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
