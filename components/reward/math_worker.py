"""The process behind `MathPool`: loads sympy once, then forks workers. Started by `components.reward.math_processes`.

python -m components.reward.math_worker <socket>
"""

from __future__ import annotations

import gc
import json
import os
import resource
import signal
import socket
import sys
from pathlib import Path

from components.reward.formulas import compare

_MEMORY = 1 << 30  # bytes of address space beyond what loading sympy took

# The first formula of each form fills the parser's tables and loads parts of sympy; workers inherit both.
_FORMS = [
    (r"\frac{1}{2}", r"x^2+\sqrt{3}"),
    (r"x^2+2x+1", r"(x+1)^2"),
    (r"x^2+2x+1", r"\left(x^{2}+3x+1\right)"),
    (r"2\sqrt{3}", r"\sqrt{12}"),
    (r"2\sqrt{3}", r"\frac{3\pi}{2}"),
    (r"e^{2}", r"e^{2}+1"),
    (r"e^{x}", r"\ln(2)+e^x"),
    (r"\{1,2,3\}", r"\{3,2,1\}"),
    (r"1,2", r"x=1,y=2"),
    (r"(1,2)", r"\left(1,3\right)"),
    (r"[0,1)", r"(0,1]\cup[2,3)"),
    (r"(-\infty,3)", r"x<3"),
    (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{bmatrix}1&2\\3&5\end{bmatrix}"),
    (r"50\%", r"x+2"),
    (r"3+4i", r"4i+3"),
    (r"y=2x+1", r"y-1=2x"),
    (r"\frac{x+1}{2}", r"\frac{x}{2}+\frac12"),
    (r"\sin^2 x", r"1-\cos^2(x)"),
    (r"10^{5}", r"3\times 10^{-5}"),
    (r"5", r"5\text{ cm}^2"),
    (r"n!", r"\binom{n}{2}"),
]


def main() -> None:
    channel = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # workers are never waited for
    for gold, answer in _FORMS:
        compare(gold, answer)
    gc.collect()
    gc.freeze()  # forks share these pages as long as nobody touches them
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
