"""Solver programs: they read a prompt, work it out and write a short reasoning trace.

They stand in for a reasoning model where none is at hand (the smoke profile). A solver sees the prompt only, never the
gold answer or the golden program; what it writes is verified by the rewards like any teacher's answer.

- `solve(prompt)`        a trace and an answer, or None for a prompt that no solver reads
- `solve_sum`            `47 + 38`, worked column by column from the units, as on paper
- `solve_equation`       `3*x + 4 = 19`
- `solve_gcd`            `gcd(12, 30)`, by Euclid's algorithm
- `solve_program`        "Read n. If n is over 7, print n plus 3. Otherwise print n times 2."

Wording is constant and every step shows its digits, so that a model of a few hundred thousand parameters whose
tokenizer splits digits singly can learn it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Solution:
    """A reasoning trace and the final answer (`\\boxed{…}` or a fenced program)."""

    thought: str
    answer: str

    @property
    def text(self) -> str:
        """What an assistant would say."""
        return f"<think>\n{self.thought}\n</think>\n{self.answer}"


def solve(prompt: str) -> Solution | None:
    """Solve one prompt; None when no solver recognises it."""
    for solver in (solve_sum, solve_equation, solve_gcd, solve_program):
        solution = solver(prompt)
        if solution:
            return solution
    return None


# Sums -------------------------------------------------------------------------------------------------------------

_SUM = re.compile(r"problem: (-?\d+(?: [+-] -?\d+)+) =$")


def solve_sum(prompt: str) -> Solution | None:
    """Sums and differences of integers, from left to right."""
    match = _SUM.search(prompt)
    if not match:
        return None
    first, *rest = match.group(1).split(" ")
    total, lines = int(first), []
    for sign, term in zip(rest[::2], rest[1::2], strict=True):
        number = int(term)
        lines += _add(total, number) if sign == "+" else _subtract(total, number)
        total += number if sign == "+" else -number
    return Solution("\n".join(lines), f"\\boxed{{{total}}}")


def _add(left: int, right: int) -> list[str]:
    if right < 0:
        return _subtract(left, -right)
    if _is_small(left, right):
        return [f"{left}+{right}={left + right}"]
    if left < 0:
        return _subtract(right, -left)
    return [f"{left}+{right}", *_add_columns(left, right)]


def _subtract(left: int, right: int) -> list[str]:
    if right < 0:
        return _add(left, -right)
    if _is_small(left, right):
        return [f"{left}-{right}={left - right}"]
    if left < 0:
        return [f"-({-left}+{right})", *_add_columns(-left, right)]
    if left < right:
        return [f"-({right}-{left})", *_subtract_columns(right, left)]
    return [f"{left}-{right}", *_subtract_columns(left, right)]


def _is_small(left: int, right: int) -> bool:
    """Worked in one step."""
    return abs(left) < 20 and 0 <= right < 10


def _add_columns(left: int, right: int) -> list[str]:
    """47+38 -> `7+8=15`, `4+3+1=8`: a carry is added last, and the last column keeps its own."""
    lines, carry = [], 0
    while left or right:
        top, bottom = left % 10, right % 10
        value = top + bottom + carry
        lines.append(f"{top}+{bottom}" + ("+1" if carry else "") + f"={value}")
        left, right, carry = left // 10, right // 10, value // 10
    return lines


def _subtract_columns(left: int, right: int) -> list[str]:
    """52-38 -> `12-8=4`, `5-3-1=1`: ten is borrowed where needed and paid back in the next column."""
    lines, borrow = [], 0
    while left:
        top, bottom = left % 10, right % 10
        borrowed = top < bottom + borrow
        top += 10 if borrowed else 0
        lines.append(f"{top}-{bottom}" + ("-1" if borrow else "") + f"={top - bottom - borrow}")
        left, right, borrow = left // 10, right // 10, int(borrowed)
    return lines


# Equations --------------------------------------------------------------------------------------------------------

_EQUATION = re.compile(r": ([^:=]*[a-z][^:=]*) = (-?\d+)$")
_TERM = re.compile(r"([+-]?)(?:(\d+)\*)?([a-z])|([+-]?)(\d+)")


def solve_equation(prompt: str) -> Solution | None:
    """Linear equations in one unknown with an integer solution: the constant to the right, then divide."""
    match = _EQUATION.search(prompt)
    if not match:
        return None
    left, right = match.group(1).replace(" ", ""), int(match.group(2))
    terms = list(_TERM.finditer(left))
    if "".join(term.group(0) for term in terms) != left:
        return None
    factor, constant, unknown = 0, 0, ""
    for term in terms:
        if term.group(3):
            factor += int(f"{term.group(1)}{term.group(2) or 1}")
            unknown = term.group(3)
        else:
            constant += int(f"{term.group(4)}{term.group(5)}")
    moved = right - constant
    if not factor or moved % factor:
        return None
    value = moved // factor
    lines = []
    coefficient = {1: "", -1: "-"}.get(factor, f"{factor}*")
    if constant:
        lines.append(f"{coefficient}{unknown}={right}{-constant:+d}={moved}")
    if factor != 1:
        lines.append(f"{unknown}={moved}/{factor}={value}")
    return Solution("\n".join(lines), f"\\boxed{{{value}}}")


# Greatest common divisors ------------------------------------------------------------------------------------------

_GCD = re.compile(r"\(GCD\) of these numbers: (\d+(?:, \d+)+)\.")


def solve_gcd(prompt: str) -> Solution | None:
    """Euclid's algorithm, one remainder a line, from the first number through the last."""
    match = _GCD.search(prompt)
    if not match:
        return None
    value, *rest = map(int, match.group(1).split(", "))
    lines = []
    for number in rest:
        larger, value = max(value, number), min(value, number)
        while value:
            lines.append(f"{larger}%{value}={larger % value}")
            larger, value = value, larger % value
        value = larger
    return Solution("\n".join(lines), f"\\boxed{{{value}}}")


# Programs ---------------------------------------------------------------------------------------------------------

_SIGNS = {"over": ">", "under": "<", "at least": ">=", "at most": "<=", "plus": "+", "minus": "-", "times": "*"}
_WORDS = re.compile(r" ?\b(at least|at most|over|under|plus|minus|times)\b ?")
_READS = {
    "Read n. ": "n=int(input())",
    "Read a and b. ": "a,b=map(int,input().split())",
    "Read a line of numbers. ": "a=map(int,input().split())",
}
_CASE = re.compile(r"If (\w) is ([^,]+), print ([^.]+)\. ")
_STORY = re.compile(r"\w+ has a \w+, \w+ has b\. ")
_PRINTS: list[tuple[re.Pattern[str], str]] = [
    (re.compile(r"how many they have together"), "a+b"),
    (re.compile(r"how many the richer one has"), "max(a,b)"),
    (re.compile(r"how many the poorer one has"), "min(a,b)"),
    (re.compile(r"how far apart they are"), "abs(a-b)"),
    (re.compile(r"how many pairs can be drawn, one from each"), "a*b"),
    (re.compile(r"the larger one(.*)"), r"max(a,b)\1"),
    (re.compile(r"the smaller one(.*)"), r"min(a,b)\1"),
    (re.compile(r"the sum of multiples of (\d+) from 1 to n, ?(.*)"), r"sum(range(\1,n+1,\1))\2"),
    (re.compile(r"the number of multiples of (\d+) from 1 to n, ?(.*)"), r"len(range(\1,n+1,\1))\2"),
    (re.compile(r"the sum of those([^,]+), ?(.*)"), r"sum(x for x in a if x\1)\2"),
    (re.compile(r"the count of those([^,]+), ?(.*)"), r"sum(1 for x in a if x\1)\2"),
]


def solve_program(prompt: str) -> Solution | None:
    """Programs described clause by clause: the thought is the expression in short, the program prints it."""
    opening = next((opening for opening in _READS if prompt.startswith(opening)), None)
    if opening is None:
        return None
    rest = _STORY.sub("", prompt.removeprefix(opening))
    cases = _CASE.findall(rest)
    last = re.fullmatch(r"(?:Otherwise print|Print) ([^.]+)\.", _CASE.sub("", rest))
    if not last:
        return None
    branches = [(_expression(value), f"{name}{_expression(condition)}") for name, condition, value in cases]
    final = _expression(last.group(1))
    thought = ", ".join([*(f"{condition}: {value}" for value, condition in branches), final])
    program = "".join(f"{value} if {condition} else " for value, condition in branches) + final
    return Solution(thought, f"```python\n{_READS[opening]}\nprint({program})\n```")


def _expression(english: str) -> str:
    """`n times 3 plus 2` -> `n*3+2`."""
    text = _WORDS.sub(lambda match: _SIGNS[match.group(1)], english.strip())
    for pattern, replacement in _PRINTS:
        if pattern.fullmatch(text):
            return pattern.sub(replacement, text)
    return text
