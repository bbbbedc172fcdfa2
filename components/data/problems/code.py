"""Small programming problems with golden solutions and stdin/stdout tests of graded difficulty.

A family draws the constants of a specification, describes it in plain English, writes a golden program and chooses
inputs: common ones that a half-right program passes, then other branches, then boundaries, zero and negative numbers.
Expected outputs come from evaluating the specification directly, not from the golden program, so that running the
golden program against its tests checks both.

Families, easiest first: story, formula, branch, two_numbers, clamp, loop, numbers. A story hides one of a few programs
in a text with names and things; the others name their constants.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from components.problems import CodeProblem, TestCase


@dataclass(frozen=True)
class Expression:
    """An arithmetic expression: in English, in Python, and as a function of the input numbers."""

    english: str
    python: str
    value: Callable[..., int]


@dataclass(frozen=True)
class Draft:
    """A problem before it has an id: the inputs are tuples of integers, easiest first."""

    prompt: str
    golden: str
    value: Callable[..., int]
    inputs: Sequence[tuple[int, ...]]


COMPARISONS: dict[str, tuple[str, Callable[[int, int], bool]]] = {
    "over": (">", lambda left, right: left > right),
    "under": ("<", lambda left, right: left < right),
    "at least": (">=", lambda left, right: left >= right),
    "at most": ("<=", lambda left, right: left <= right),
}
OPERATIONS: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "plus": ("+", lambda left, right: left + right),
    "minus": ("-", lambda left, right: left - right),
    "times": ("*", lambda left, right: left * right),
}


FUNCTIONS: dict[str, Callable[..., int]] = {"max": max, "min": min, "sum": sum, "len": len}
NAMES = (
    "Ann", "Ben", "Carl", "Dora", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jan", "Kate", "Leo", "Mia", "Nora", "Otto",
    "Paul", "Rosa", "Sam", "Tom", "Uma", "Vera", "Will", "Xena", "Zoe",
)  # fmt: skip
THINGS = (
    "apples", "bags", "balls", "beads", "bells", "books", "boxes", "cards", "chairs", "coins", "cups", "dogs", "eggs",
    "flags", "forks", "hats", "keys", "lamps", "nuts", "pens", "pins", "rings", "ropes", "stones",
)  # fmt: skip
QUESTIONS: list[tuple[int, Expression]] = [   # of a story; common ones weigh more
    (4, Expression("how many they have together", "a+b", lambda a, b: a + b)),
    (2, Expression("how many the richer one has", "max(a,b)", max)),
    (2, Expression("how many the poorer one has", "min(a,b)", min)),
    (1, Expression("how far apart they are", "abs(a-b)", lambda a, b: abs(a - b))),
    (1, Expression("how many pairs can be drawn, one from each", "a*b", lambda a, b: a * b)),
]


def _simple(rng: random.Random, name: str = "n") -> Expression:
    """`n plus 3`, `n minus 3` or `n times 3`; `value` takes the number that `name` stands for."""
    operation = rng.choice(list(OPERATIONS))
    constant = rng.randint(2, 9) if operation == "times" else rng.randint(1, 9)
    sign, apply = OPERATIONS[operation]
    return Expression(f"{name} {operation} {constant}", f"{name}{sign}{constant}", lambda n: apply(n, constant))


def _branches(rng: random.Random, then_name: str = "n", otherwise_name: str = "n") -> tuple[Expression, Expression]:
    """Two expressions that are not the same."""
    then = otherwise = _simple(rng, then_name)
    while otherwise.english == then.english:
        otherwise = _simple(rng, otherwise_name)
    return then, otherwise


def _offset(rng: random.Random, largest: int = 9) -> Expression:
    """A last step `plus 3` or `minus 3`."""
    operation, constant = rng.choice(["plus", "minus"]), rng.randint(1, largest)
    sign, apply = OPERATIONS[operation]
    return Expression(f"{operation} {constant}", f"{sign}{constant}", lambda n: apply(n, constant))


def _story(rng: random.Random) -> Draft:
    first, second = rng.sample(NAMES, 2)
    question = rng.choices([question for _, question in QUESTIONS], [weight for weight, _ in QUESTIONS])[0]
    low, high = rng.randint(2, 9), rng.randint(10, 30)
    return Draft(
        f"Read a and b. {first} has a {rng.choice(THINGS)}, {second} has b. Print {question.english}.",
        f"a,b=map(int,input().split())\nprint({question.python})",
        question.value,
        [(low, high), (high + 1, low), (low, low), (0, high), (low, 0), (high, high)],
    )


def _formula(rng: random.Random) -> Draft:
    factor, offset = rng.randint(2, 20), _offset(rng, 20)
    inputs = [(0,), (1,), (rng.randint(2, 9),), (rng.randint(10, 30),), (-rng.randint(1, 9),), (rng.randint(100, 400),)]
    return Draft(
        f"Read n. Print n times {factor} {offset.english}.",
        f"n=int(input())\nprint(n*{factor}{offset.python})",
        lambda n: offset.value(n * factor),
        inputs,
    )


def _branch(rng: random.Random) -> Draft:
    word, (sign, holds) = rng.choice(list(COMPARISONS.items()))
    limit = rng.randint(2, 9)
    then, otherwise = _branches(rng)
    above = [(limit + rng.randint(2, 5),), (limit + rng.randint(6, 20),)]
    below = [(limit - rng.randint(1, 2),), (-rng.randint(1, 20),)]
    inputs = [*(above if sign[0] == ">" else below), *(below if sign[0] == ">" else above), (limit,), (0,)]
    return Draft(
        f"Read n. If n is {word} {limit}, print {then.english}. Otherwise print {otherwise.english}.",
        f"n=int(input())\nprint({then.python} if n{sign}{limit} else {otherwise.python})",
        lambda n: then.value(n) if holds(n, limit) else otherwise.value(n),
        inputs,
    )


def _two_numbers(rng: random.Random) -> Draft:
    read = "a,b=map(int,input().split())\n"
    low, high = rng.randint(1, 9), rng.randint(10, 30)
    inputs = [(low, high), (low + 1, high + 3), (high, low), (high + 4, low), (low, low), (-high, -low)]
    if rng.random() < 0.2:
        offset = _offset(rng, 20)
        word, pick = rng.choice([("larger", "max"), ("smaller", "min")])
        return Draft(
            f"Read a and b. Print the {word} one {offset.english}.",
            f"{read}print({pick}(a,b){offset.python})",
            lambda a, b: offset.value(FUNCTIONS[pick](a, b)),
            inputs,
        )
    word, (sign, holds) = rng.choice(list(COMPARISONS.items()))
    first, second = rng.sample([0, 1], 2)
    then, otherwise = _branches(rng, "ab"[first], "ab"[second])
    return Draft(
        f"Read a and b. If a is {word} b, print {then.english}. Otherwise print {otherwise.english}.",
        f"{read}print({then.python} if a{sign}b else {otherwise.python})",
        lambda *ab: then.value(ab[first]) if holds(*ab) else otherwise.value(ab[second]),
        inputs,
    )


def _clamp(rng: random.Random) -> Draft:
    low, high = rng.randint(-4, 3), rng.randint(5, 12)
    first, last, middle = rng.randint(0, 9), rng.randint(0, 9), _simple(rng)
    inside = (low + high) // 2
    return Draft(
        f"Read n. If n is under {low}, print {first}. If n is over {high}, print {last}. "
        f"Otherwise print {middle.english}.",
        f"n=int(input())\nprint({first} if n<{low} else {last} if n>{high} else {middle.python})",
        lambda n: first if n < low else last if n > high else middle.value(n),
        [(inside,), (inside + 1,), (high + rng.randint(2, 9),), (low - rng.randint(2, 9),), (low,), (high,)],
    )


def _loop(rng: random.Random) -> Draft:
    step, offset = rng.randint(2, 20), _offset(rng)
    word, function = rng.choice([("sum", "sum"), ("number", "len")])
    return Draft(
        f"Read n. Print the {word} of multiples of {step} from 1 to n, {offset.english}.",
        f"n=int(input())\nprint({function}(range({step},n+1,{step})){offset.python})",
        lambda n: offset.value(FUNCTIONS[function]([k for k in range(1, n + 1) if k % step == 0])),
        [(step - 1,), (1,), (step + 1,), (rng.randint(20, 60),), (step * rng.randint(3, 6),), (-rng.randint(1, 9),)],
    )


def _numbers(rng: random.Random) -> Draft:
    word, (sign, holds) = rng.choice(list(COMPARISONS.items()))
    limit, offset = rng.randint(1, 20), _offset(rng)
    what, function, term = rng.choice([("sum", "sum", "x"), ("count", "len", "1")])
    many = tuple(rng.randint(-9, 20) for _ in range(rng.randint(4, 7)))
    return Draft(
        f"Read a line of numbers. Print the {what} of those {word} {limit}, {offset.english}.",
        f"a=map(int,input().split())\nprint(sum({term} for x in a if x{sign}{limit}){offset.python})",
        lambda *numbers: offset.value(FUNCTIONS[function]([number for number in numbers if holds(number, limit)])),
        [(limit + 3,), (limit - 3,), (limit + 1, limit - 1), many, (limit, limit + 5, limit - 5), (-5, 0, limit)],
    )


FAMILIES: dict[str, Callable[[random.Random], Draft]] = {
    "story": _story,
    "formula": _formula,
    "branch": _branch,
    "two_numbers": _two_numbers,
    "clamp": _clamp,
    "loop": _loop,
    "numbers": _numbers,
}


def generate(family: str, seed: int, part: str) -> Iterator[CodeProblem]:
    """An endless stream of problems of one family; the same seed and part give the same stream.

    Repeats are the caller's to drop. Tests are in the order easy, medium, hard.
    """
    rng = random.Random(f"{family}/{part}/{seed}")
    while True:
        draft = FAMILIES[family](rng)
        tests = tuple(
            TestCase(input=" ".join(map(str, numbers)) + "\n", expected=f"{draft.value(*numbers)}\n")
            for numbers in dict.fromkeys(draft.inputs)
        )
        name = hashlib.sha256(draft.prompt.encode()).hexdigest()[:12]
        yield CodeProblem(
            id=f"code-{name}", source=f"generated/{family}", prompt=draft.prompt, tests=tests, golden=draft.golden
        )
