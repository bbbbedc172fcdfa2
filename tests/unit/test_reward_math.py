"""Math verdicts: the table of hand-made pairs, the box, and what holds for every number."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from math_verify import LatexExtractionConfig, parse
from sympy import srepr

from components.reward import formulas, latex
from components.reward.answers import TAIL, normalise, quick, unboxed
from components.reward.math import MathPool, Verdict, last_box, quick_verdict, verify

CORRECT = r"""
42 ⇒ 42 | 42.0 | +42 | 042 | 42. | $42$ | {42} | \boxed{42} | \frac{84}{2} | \dfrac{84}{2} | 84/2 | 42\text{ cm}
42 ⇒ x = 42 | 42\ \mathrm{m} | 42^\circ | \mathbf{42} | \left. 42 \right. | 4\!2 | (42) | 6\times 7=42
42 ⇒ 42\text{ apples} | \text{42 apples} | 42 = x | \text{42}
\emptyset ⇒ \emptyset | \varnothing | \{\}
x_1=1,x_2=2 ⇒ x_1=1, x_2=2 | 1,2
(1,2) ⇒ x=1,y=2
\boxed{42} ⇒ 42 | 42.0
-42 ⇒ -42 | -42.0 | --(-42)
0 ⇒ -0 | 0.0
49 ⇒ 7^2
1024 ⇒ 2^{10}
300000 ⇒ 3\times 10^5 | 3\cdot10^{5} | 300,000 | 300{,}000 | 300\,000 | 300 000
1234567 ⇒ 1,234,567 | \text{1,234,567 people} | 1{,}234{,}567 | 1234567.0
0.003 ⇒ 3\times 10^{-3}
\frac{1}{2} ⇒ 0.5 | \frac{2}{4} | 1/2 | \frac12 | \tfrac{1}{2}
-\frac{1}{2} ⇒ -0.5 | \frac{-1}{2} | \frac{1}{-2}
\frac{3}{2} ⇒ 1\frac{1}{2} | 1.5
50\% ⇒ 50\% | 0.5 | \frac{1}{2} | 50 | 50.0\% | 50%
50 ⇒ 50\% | 50
12.5 ⇒ 12.5\% | \frac{25}{2}
\frac{1}{3} ⇒ 0.\overline{3} | 0.\bar{3} | 0.3\overline{3} | \frac{3}{9}
\frac{7}{6} ⇒ 1.1\overline{6} | 1\frac{1}{6}
10_2 ⇒ 10_2 | 10_{2} | 10
5\text{ cm} ⇒ 5\text{ cm} | 5 | 5\,\mathrm{cm} | 5\text{ cm}^2
\{1,2\} ⇒ \{2,1\} | 1,2 | \left\{1, 2\right\} | 1 \text{ and } 2
\{1,2,3\} ⇒ \{3, 1, 2\} | 1,2,3
\{\frac{1}{2},2\} ⇒ \{2,0.5\} | 2,\frac12
\{1\}\cup\{2,3\} ⇒ \{1\}\cup\{2,3\}
2,-2 ⇒ \pm 2 | -2, 2
(1,2) ⇒ (1, 2) | \left(1,2\right)
(1,2,3) ⇒ (1,2,3)
[0,1) ⇒ [0, 1)
(-\infty,3) ⇒ (-\infty, 3)
(0,1)\cup(2,3) ⇒ (2,3)\cup(0,1)
x>3 ⇒ x>3 | 3<x | (3,\infty)
x=3 ⇒ 3 | x=3 | x = 3.0
f(2)=5 ⇒ 5
y=2x+1 ⇒ y=2x+1 | y=1+2x
\begin{pmatrix}1&2\\3&4\end{pmatrix} ⇒ \begin{bmatrix}1&2\\3&4\end{bmatrix}
\begin{pmatrix}1\\2\end{pmatrix} ⇒ \begin{bmatrix}1\\2\end{bmatrix} | \frac{1}{2}\begin{pmatrix}2\\4\end{pmatrix}
2\sqrt{3} ⇒ \sqrt{12} | 2\sqrt3 | \frac{6}{\sqrt{3}}
\frac{\sqrt{3}}{2} ⇒ \frac{\sqrt3}{2} | \sqrt{\frac{3}{4}} | \frac12\sqrt{3}
\tan 20 ⇒ \tan 20 | \tan(20)
\log_2 3 ⇒ \frac{\ln 3}{\ln 2} | \log_{2}{3}
\frac{1}{e} ⇒ e^{-1} | \frac1e
\frac{2\pi}{3} ⇒ \frac{2}{3}\pi | 2\pi/3
x^2+2x+1 ⇒ (x+1)^2 | 1+2x+x^2
\frac{x+1}{2} ⇒ \frac{1}{2}x+\frac12
3+4i ⇒ 4i+3
\ln 2 ⇒ \ln(2)
\text{Tuesday} ⇒ Tuesday | tuesday | \textbf{Tuesday}
C ⇒ C | \text{C} | (C) | C.
Yes ⇒ yes
6\times 7 ⇒ 6\times 7 | 7\times 6
\sum_{i=1}^{n} i ⇒ \sum_{i=1}^{n} i
"""
WRONG = r"""
42 ⇒ 43 | -42 | 4.2 | 42.0000001 | x | forty-two | \text{answer} | 42!
42 ⇒ \sum_{i=1}^{6}7 | \int_0^{42}1\,dx | \prod_{i=1}^{1}42 | \lim_{x\to 42}x
42 ⇒ 6\times 7 | 6 \cdot 7 | 6*7 | 41+1 | 50-8 | 2\cdot 3\cdot 7 | \frac{6\times 14}{2} | \frac{41+1}{1} | x = 6\times 7
42 ⇒ \frac{42x}{x} | x-x+42 | 42+0x | 42\cos^2 x+42\sin^2 x | x^2=42 | 6=42 x
2\sqrt{3} ⇒ \frac{2\sqrt{3}x}{x} | 2x\sqrt3
x^2+x ⇒ \frac{x^2y+xy}{y}
42 ⇒ 2x = 42 | e^{\ln 42} | \operatorname{lcm}(6,7,14) | \log_{2}(2^{42}) | 84\sin 30 | 4 2 | 42_7x
\frac{\sqrt{3}}{2} ⇒ \sin\frac{\pi}{3} | \cos\frac{\pi}{6} | \sin 60^\circ
\frac{\pi}{6} ⇒ \arcsin\frac12 | \arctan\frac{1}{\sqrt3}
2\sqrt{3} ⇒ 4\sin\frac{\pi}{3} | 2\tan\frac{\pi}{3}
-2 ⇒ \begin{vmatrix}1&2\\3&4\end{vmatrix} | \det\begin{pmatrix}1&2\\3&4\end{pmatrix}
\{1,2,3\} ⇒ \{1,2\}\cup\{3\} | \{1,2,3,4\}\setminus\{4\} | \{1,2,3\}\cap\{1,2,3\} | \{1,2\} | 1,2 \text{ or } 3x
[1,2] ⇒ [0,2]\cap[1,3]
\begin{pmatrix}2\\4\end{pmatrix} ⇒ \begin{pmatrix}1\\2\end{pmatrix}+\begin{pmatrix}1\\2\end{pmatrix}
\begin{pmatrix}2\\4\end{pmatrix} ⇒ \begin{pmatrix}2\\5\end{pmatrix}
x=3 ⇒ 2x=6 | 2x+1=7 | x=4 | y=3
x>3 ⇒ 2x>6 | x<3 | x\ge 3
y=2x+1 ⇒ y=2x+2 | 2x+1=0
10_2 ⇒ 10_3 | 11_2
42 ⇒ \binom{42}{1} | \gcd(84,126) | \max(3,42) | \sqrt{1764} | \lfloor 42.5\rfloor | \left|-42\right|
\emptyset ⇒ 0 | \{0\} | \{\emptyset\}
42 ⇒ 42 or 43 | 41, 42 | 41 \text{ or } 42 | \{42\} | \{41, 42\} | (42, 43) | \text{42 or 43}
120 ⇒ 5!
1 ⇒ 0.999999999
12 ⇒ 1,2
50\% ⇒ 0.5\% | 5 | 500\%
0.5 ⇒ 5\% | 0.5001
\frac{1}{3} ⇒ 0.333333 | 0.33 | 0.\overline{03} | 33\%
\{\frac{1}{3}\} ⇒ \{0.333333\}
(\frac{1}{3},1) ⇒ (0.333333,1)
\{1,2\} ⇒ \{1,3\} | \{1\}
(1,2) ⇒ (2,1) | (1,1+1)
[0,1) ⇒ [0,1] | (0,1)
\begin{pmatrix}1&2\\3&4\end{pmatrix} ⇒ \begin{pmatrix}1&2\\3&5\end{pmatrix}
\begin{pmatrix}1&2\end{pmatrix} ⇒ \begin{pmatrix}1&1+1\end{pmatrix}
\pi ⇒ 3.14 | \int_0^{1}\pi dx | 3.141592654 | \frac{22}{7}
\sqrt{2} ⇒ 1.41
x^2+2x+1 ⇒ x^2+2x+2 | \int (2x+2) dx
6x ⇒ 2\cdot 3x
x+1 ⇒ x+2-1
Tuesday ⇒ Monday
C ⇒ D
yes ⇒ no
"""
UNPARSABLE = r"""
42 ⇒ ? | \boxed{41}\boxed{42} | \approx 42 | \frac{ | \text{} | 142 \bmod 100
"""


def pairs(table: str) -> list[tuple[str, str]]:
    rows = [line.split(" ⇒ ") for line in table.strip().splitlines()]
    return [(gold, answer) for gold, answers in rows for answer in answers.split(" | ")]


CASES = [(gold, answer, kind) for kind, table in (("correct", CORRECT), ("wrong", WRONG), ("unparsable", UNPARSABLE))
         for gold, answer in pairs(table)]


@pytest.fixture(scope="module")
def pool() -> Iterator[MathPool]:
    with MathPool(2) as pool:
        yield pool


def verdicts(pool: MathPool, pairs: list[tuple[str, str]]) -> list[str]:
    """What the pool says; asked again where a busy machine gave a worker no CPU."""
    found = [verdict.kind for verdict in pool.verify_many(pairs)]
    for _ in range(5):
        starved = [index for index, kind in enumerate(found) if kind == "infrastructure"]
        for index in starved:
            found[index] = pool.submit(*pairs[index]).result().kind
    return found


def test_hand_made_pairs(pool: MathPool) -> None:
    assert len(CASES) >= 100
    kinds = verdicts(pool, [(gold, f"so it is \\boxed{{{answer}}} indeed") for gold, answer, _ in CASES])
    wrong = [(*case, kind) for case, kind in zip(CASES, kinds, strict=True) if kind != case[2]]
    assert not wrong


@pytest.mark.parametrize(("completion", "box"), [
    ("no box at all, 42", None),
    ("\\boxed{1} then \\boxed{2}", "2"),
    ("\\boxed{\\frac{1}{2}}.", "\\frac{1}{2}"),
    ("\\boxed{\\{1, 2\\}}", "\\{1, 2\\}"),
    ("\\boxed{\\boxed{7}}", "7"),
    ("\\boxed {7}", "7"),
    ("\\boxed{}", None),
    ("\\boxed{ }", None),
    ("\\boxed{41} and then \\boxed{42", None),                 # the last one was not finished
    ("\\boxed{42}" + "x" * TAIL, None),                        # too far from the end
    ("x" * 10**6 + "\\boxed{42}", "42"),
    ("\\boxed", None),
    ("\\boxed 42", None),
])
def test_only_the_last_box_in_the_tail_counts(completion: str, box: str | None) -> None:
    assert last_box(completion) == box


@given(st.integers(-(10**30), 10**30), st.integers(-(10**30), 10**30))
def test_integers_are_decided_at_once_and_right(gold: int, answer: int) -> None:
    verdict = quick_verdict(str(gold), f"\\boxed{{{answer}}}")
    assert verdict == Verdict("correct" if gold == answer else "wrong")
    assert verdict is not None and verdict.reward == float(gold == answer)


@settings(max_examples=60)
@given(st.integers(-999, 999), st.integers(1, 999), st.integers(1, 50))
def test_fractions_equal_their_expansions_and_no_other(pool: MathPool, top: int, bottom: int, factor: int) -> None:
    gold = f"\\frac{{{top}}}{{{bottom}}}"
    right, wrong = pool.verify_many([
        (gold, f"\\boxed{{\\frac{{{top * factor}}}{{{bottom * factor}}}}}"),
        (gold, f"\\boxed{{\\frac{{{top * factor + 1}}}{{{bottom * factor}}}}}"),
    ])
    assert (right.kind, wrong.kind) == ("correct", "wrong")


NUMERALS = st.one_of(
    st.integers(-9999, 9999).map(str),
    st.tuples(st.integers(-99, 99), st.integers(0, 999)).map(lambda parts: f"{parts[0]}.{parts[1]}"),
    st.tuples(st.integers(-50, 50), st.integers(1, 50)).map(lambda parts: f"\\frac{{{parts[0]}}}{{{parts[1]}}}"),
    st.tuples(st.integers(0, 50), st.integers(1, 50)).map(lambda parts: f"{parts[0]}/{parts[1]}"),
    st.tuples(st.integers(0, 9), st.integers(1, 9)).map(lambda parts: f"\\frac{parts[0]}{parts[1]}"),
    st.integers(1, 999).map(lambda thousands: f"{thousands},{thousands:03d}"),
    st.integers(0, 200).map(lambda percent: f"{percent}\\%"),
)


@settings(max_examples=150)
@given(NUMERALS, NUMERALS)
def test_numerals_are_decided_on_the_spot_as_their_trees_are(gold: str, answer: str) -> None:
    verdict = quick(gold, answer)
    assert verdict is not None and verdict.kind == formulas.compare(gold, answer)


NOISE = st.lists(st.sampled_from(["\\left.", "\\right.", "\\displaystyle ", "\\!", " ", "$", "\\,"]), max_size=4)


@settings(max_examples=150)
@given(st.sampled_from(sorted({unboxed(gold) for gold, _, _ in CASES})), NOISE, NOISE)
def test_an_exact_match_up_to_noise_needs_no_algebra(gold: str, before: list[str], after: list[str]) -> None:
    assert quick(gold, "".join(before) + gold + "".join(after)) == Verdict("correct")
    assert normalise(normalise(gold)) == normalise(gold)


ATOMS = st.sampled_from(["x", "y", "n", "2", "7", "\\pi", "x_1", "e", "0.5", "\\alpha"])
FORMULAS = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-"), inner).map("".join),
        st.tuples(inner, inner).map(lambda parts: f"\\frac{{{parts[0]}}}{{{parts[1]}}}"),
        st.tuples(ATOMS, inner).map(lambda parts: f"{parts[0]}^{{{parts[1]}}}"),
        st.tuples(inner, inner).map(lambda parts: f"{parts[0]}\\left({parts[1]}\\right)"),
        inner.map(lambda text: f"\\sqrt{{{text}}}"),
        inner.map(lambda text: f"\\sin({text})"),
        st.tuples(inner, inner).map(lambda parts: f"({parts[0]},{parts[1]}]"),
    ),
    max_leaves=6,
)


@settings(max_examples=150)
@given(FORMULAS)
def test_formulas_are_read_as_math_verify_reads_them(text: str) -> None:
    parsed = parse(
        f"\\boxed{{{text}}}",
        [LatexExtractionConfig(boxed_match_priority=0)],
        fallback_mode="no_fallback",
        extraction_mode="first_match",
        parsing_timeout=None,
    )
    ours = latex.read(text)
    assert (srepr(ours.tree) if ours else None) == (srepr(parsed[0]) if parsed else None)


def test_hand_made_formulas_are_read_as_math_verify_reads_them() -> None:
    for text in {text for gold, answer, _ in CASES for text in (gold, answer)}:
        if "\\boxed" not in text and "\\overline" not in text and "\\bar" not in text:
            test_formulas_are_read_as_math_verify_reads_them.hypothesis.inner_test(text)


@settings(max_examples=60)
@given(st.text(max_size=300))
def test_any_text_gets_a_verdict(pool: MathPool, text: str) -> None:
    verdict = pool.submit("17", "\\boxed{" + text.replace("{", "").replace("}", "").replace("\\", "") + "}").result()
    assert verdict.kind in ("correct", "wrong", "unparsable", "timeout")


HEAVY = [
    "9^{9^{9^{9}}}",
    "(10^8)!",
    "(" * 300 + "x" + ")" * 300,
    "1" * 4000,
    "x^{" * 40 + "2" + "}" * 40,
    "\\frac{" * 200 + "1" + "}{2}" * 200,
    "+".join(f"x_{{{n}}}^{n}" for n in range(400)),
    "(x+1)^{10^9}",
    "\\begin{pmatrix}" + "&".join(["9^{9^9}"] * 50) + "\\end{pmatrix}",
    "\\sum_{i=1}^{10^9}\\frac{1}{i^2}",
]


def test_heavy_answers_end_in_time_and_delay_nobody() -> None:
    with MathPool(1) as pool:
        pool.submit("x", "\\boxed{y+1}").result()  # sympy is loaded
        hung = pool.submit("42x", "\\boxed{9^{9^{9^{9}}}}")
        honest = [pool.submit("x+1", f"\\boxed{{{n}+x}}") for n in range(5)]
        assert [future.result().kind for future in honest] == ["wrong", "correct", "wrong", "wrong", "wrong"]
        assert not hung.done() and hung.result().kind == "timeout"
        times = []
        for answer in [*HEAVY, "7 " * 500_000]:
            started = time.monotonic()
            verdict = pool.submit("42+x", f"{'z' * 10**6}\\boxed{{{answer}}}").result()
            times.append(time.monotonic() - started)
            assert verdict.kind in ("wrong", "unparsable", "timeout"), answer[:40]
        assert max(times) < 2.5 + 2.0  # a new worker's start included, on a busy machine
        assert pool.submit("x+1", "\\boxed{1+x}").result().kind == "correct"


def test_a_starved_worker_is_the_machines_fault() -> None:
    with MathPool(1) as pool:
        pool.submit("x", "\\boxed{y+1}").result()
        assert pool._parent._process is not None
        worker = Path(f"/proc/{pool._parent._process.pid}/task/{pool._parent._process.pid}/children").read_text()
        os.kill(int(worker.split()[0]), signal.SIGSTOP)
        verdict = pool.submit("x+1", "\\boxed{1+x}").result()
        assert (verdict.kind, verdict.reward) == ("infrastructure", None)
        assert pool.submit("x+1", "\\boxed{1+x}").result().kind == "correct"  # and it was replaced


def test_the_door_and_its_light_import() -> None:
    assert verify("42", "\\boxed{42}") == Verdict("correct")
    assert verify("\\frac{1}{2}", "\\boxed{0.5}").kind == "correct"
    code = "import sys; import components.reward.math, components.reward.rewards; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
