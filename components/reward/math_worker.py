"""The process behind `MathPool`: loads sympy once, then forks workers. Started by `components.reward.math`.

    python -m components.reward.math_worker <socket>
"""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from components.reward.formulas import compare

_MEMORY = 1 << 30             # bytes of address space beyond what loading sympy took


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)            # workers are never waited for
    compare(r"\frac{1}{2}", r"x^2+\sqrt{3}")                 # the first parse builds the parser's tables
    while True:
        message, descriptors, _, _ = socket.recv_fds(channel, 16, 1)
        if not message:
            return
        if os.fork() == 0:
            channel.close()
            _answer(socket.socket(fileno=descriptors[0]))
            os._exit(0)
        os.close(descriptors[0])


def _answer(control: socket.socket) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + _MEMORY, used + _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    control.send(str(os.getpid()).encode())
    while message := control.recv(1 << 16):
        gold, box = json.loads(message)
        control.send(compare(gold, box).encode())


if __name__ == "__main__":
    main()
