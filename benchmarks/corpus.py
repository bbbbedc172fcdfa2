"""A fixed corpus of 1,000 programs, right, wrong and hostile, and the digest of the verdicts that it has always got.

`judge.py` runs it whole, on every level and several numbers of slots; a test runs a part of it.
What a program here does depends on nothing but its input: no clock, no addresses, no limit that is nearly reached.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from components.problems import CheckerProgram, CodeProblem, TestCase, Tolerance
from components.reward.code import CodeVerdict
from components.reward.sandbox import Limits

COUNT = 1000
LIMITS = Limits(cpu_s=1.0, wall_s=120.0, memory_bytes=256 << 20, output_bytes=1 << 16)
GOLDEN = {200: "5eccd4a782ed2d6c", 1000: "033b545c5dee7a78"}  # programs -> digest of their verdicts


@dataclass(frozen=True)
class _Task:
    """A problem, and programs for it: each line of `bodies` follows `head`; a ¶ stands for the end of a line."""

    problem: CodeProblem
    head: str
    bodies: str


def _stdin(name: str, *tests: tuple[str, str], checker: Tolerance | CheckerProgram | None = None) -> CodeProblem:
    cases = tuple(TestCase(input=given, expected=expected) for given, expected in tests)
    return CodeProblem(id=name, source="corpus", prompt=name, tests=cases, checker=checker)


def _call(function: str, *tests: tuple[str, str]) -> CodeProblem:
    cases = tuple(TestCase(input=given, expected=expected) for given, expected in tests)
    return CodeProblem(id=function, source="corpus", prompt=function, tests=cases, function=function)


_DIVISOR = CheckerProgram(
    source="""
def check(input, output, expected):
    divisor = int(output)
    return 1 < divisor < int(input) and int(input) % divisor == 0
"""
)
_SQUARE = """\
print(n * n)
print(n ** 2, end='')
print(n * abs(n))
print(n * n if n < 99 else 1 / 0)
print(n, n)
exit(n % 2)
print(n * n); raise SystemExit(3)
print(
pass
import numpy; print(n * n)
print(sum(n for _ in range(abs(n))) if n < 99 else n * n)
print(float(n * n))
print(f'{n * n}  ')
open('f', 'w').write(str(n * n)); print(open('f').read())
print(open('f').read())
while n > 99: pass¶print(n * n)
x = bytearray(n * 10000) if n > 99 else 0; print(n * n)
print('9' * n if n > 99 else n * n)
import os; os.abort()
import os; os.fork(); print(n * n)
import os; os.kill(os.getppid(), 9); print(n * n)
import socket; socket.create_connection(('127.0.0.1', 80)); print(n * n)
import sys; sys.stdout.write(str(n * n)); sys.stdout.flush(); sys.stdout.close()
import threading; t = threading.Thread(target=lambda: print(n * n)); t.start(); t.join()
"""
_ORDER = """\
print(*sorted(set(words)))
print(*set(words))
print(*dict.fromkeys(words))
print(*sorted(words))
import collections; print(*sorted(collections.Counter(words)))
print(*{word: 1 for word in words})
import heapq; heapq.heapify(words); print(*[heapq.heappop(words) for _ in range(len(words))])
print(max(words, key=hash))
print(*sorted(set(words), key=hash))
print('\\n'.join(sorted(set(words))))
import random; random.seed(1); random.shuffle(words); print(*words)
print(words)
import re; print(*sorted(set(re.findall('[a-z]', ' '.join(words)))))
print(*sorted(frozenset(words)))
"""
_CALL = """\
return x if isinstance(x, bool) else (x, None) if isinstance(x, str) else x + 1
return x + 1
return None
return [x, None] if x == 'a' else x
print(x)
return {x}
return float('nan')
return f(x)
return x + 1 if type(x) is int else 3.5
raise SystemExit
return {'x': x}
return lambda: x
class A(int):¶        def __eq__(self, other): return True¶    return A(2)
import os; os._exit(0)
import os; os.write(3, b'2'); os._exit(0)
"""
_ROOT = """\
print(n ** 0.5)
import math; print(math.sqrt(n))
print(n / 2)
print('%.3f' % n ** 0.5)
print('%.8f' % n ** 0.5)
print('nan')
print(n ** 0.5, n)
print(round(n ** 0.5))
print(1e400)
"""
_DIVIDE = """\
print(min(d for d in range(2, n) if n % d == 0))
print(max(d for d in range(2, n) if n % d == 0))
print(1)
print(n)
print('seven')
print(7)
print(2, 3)
import math; print(math.isqrt(n))
"""
_NUMBER = "n = int(input())\n"
TASKS = (
    _Task(_stdin("square", ("3\n", "9\n"), ("-4\n", "16\n"), ("100000\n", "10000000000\n")), _NUMBER, _SQUARE),
    _Task(
        _stdin("order", ("b a c a\n", "a b c\n"), ("z\n", "z\n"), ("x y\n", "x y\n"), ("d e f g h\n", "d e f g h")),
        "words = input().split()\n",
        _ORDER,
    ),
    _Task(
        _call("f", ("[1]", "2"), ("[2.5]", "3.5"), ('["a"]', '["a", null]'), ("[true]", "true")),
        "def f(x):\n    ",
        _CALL,
    ),
    _Task(
        _stdin("root", ("2\n", "1.4142135623\n"), ("9\n", "3\n"), ("0\n", "0.0\n"), checker=Tolerance(absolute=1e-6)),
        _NUMBER,
        _ROOT,
    ),
    _Task(_stdin("divisor", ("12\n", "2\n"), ("35\n", "5\n"), ("49\n", "7\n"), checker=_DIVISOR), _NUMBER, _DIVIDE),
)


def corpus(count: int = COUNT) -> Iterator[tuple[str, CodeProblem]]:
    """The first `count` (program, problem) pairs."""
    rng = random.Random(20260401)
    pool = [(task, body) for task in TASKS for body in task.bodies.splitlines()]
    for serial in range(count):
        task, body = rng.choice(pool)
        lines = body.replace("¶", "\n")
        noise = rng.choice(["", "import math\n", "import sys\nsys.setrecursionlimit(3000)\n", "x = [0] * 1000\n"])
        yield f"# {serial}\n{noise}{task.head}{lines}\n", task.problem


def digest(verdicts: Iterable[CodeVerdict]) -> str:
    """One name for a sequence of verdicts."""
    lines = "\n".join(" ".join(verdict.tests) for verdict in verdicts)
    return hashlib.sha256(lines.encode()).hexdigest()[:16]
