"""Math verdicts: the table of hand-made pairs, the box, and what holds for every number."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.reward.math import TAIL, MathPool, Verdict, last_box, quick_verdict, verify

CORRECT = r"""
42 ⇒ 42 | 42.0 | +42 | 042 | 42. | $42$ | {42} | \boxed{42} | \frac{84}{2} | \dfrac{84}{2} | 84/2 | 42\text{ cm}
42 ⇒ x = 42 | 42\ \mathrm{m} | 42^\circ | \mathbf{42} | \left. 42 \right. | 4\!2
-42 ⇒ -42 | -42.0 | --(-42)
0 ⇒ -0 | 0.0
49 ⇒ 7^2
1024 ⇒ 2^{10}
300000 ⇒ 3\times 10^5 | 3\cdot10^{5} | 300,000 | 300{,}000 | 300\,000
0.003 ⇒ 3\times 10^{-3}
\frac{1}{2} ⇒ 0.5 | \frac{2}{4} | 1/2 | \frac12 | \tfrac{1}{2}
-\frac{1}{2} ⇒ -0.5 | \frac{-1}{2} | \frac{1}{-2}
\frac{3}{2} ⇒ 1\frac{1}{2} | 1.5
50\% ⇒ 50\% | 0.5 | \frac{1}{2}
\{1,2\} ⇒ \{2,1\} | 1,2 | \left\{1, 2\right\}
(1,2) ⇒ (1, 2) | \left(1,2\right)
(1,2,3) ⇒ (1,2,3)
[0,1) ⇒ [0, 1)
(-\infty,3) ⇒ (-\infty, 3)
(0,1)\cup(2,3) ⇒ (2,3)\cup(0,1)
\begin{pmatrix}1&2\\3&4\end{pmatrix} ⇒ \begin{bmatrix}1&2\\3&4\end{bmatrix}
2\sqrt{3} ⇒ \sqrt{12} | 2\sqrt3
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
42 ⇒ \binom{42}{1} | \gcd(84,126) | \max(3,42) | \sqrt{1764} | \lfloor 42.5\rfloor | \left|-42\right|
42 ⇒ 42 or 43 | 41, 42 | 41 \text{ or } 42 | \{42\} | \{41, 42\} | (42, 43)
120 ⇒ 5!
1 ⇒ 0.999999999
12 ⇒ 1,2
50 ⇒ 50\%
\frac{1}{3} ⇒ 0.333333 | 0.33
\{1,2\} ⇒ \{1,3\} | \{1\}
(1,2) ⇒ (2,1) | (1,1+1)
[0,1) ⇒ [0,1] | (0,1)
\begin{pmatrix}1&2\\3&4\end{pmatrix} ⇒ \begin{pmatrix}1&2\\3&5\end{pmatrix}
\begin{pmatrix}1&2\end{pmatrix} ⇒ \begin{pmatrix}1&1+1\end{pmatrix}
\pi ⇒ 3.14 | \int_0^{1}\pi dx
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


def test_hand_made_pairs(pool: MathPool) -> None:
    assert len(CASES) >= 100
    verdicts = pool.verify_many([(gold, f"so it is \\boxed{{{answer}}} indeed") for gold, answer, _ in CASES])
    wrong = [(*case, verdict.kind) for case, verdict in zip(CASES, verdicts, strict=True) if verdict.kind != case[2]]
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


@settings(max_examples=60, deadline=None)
@given(st.integers(-999, 999), st.integers(1, 999), st.integers(1, 50))
def test_fractions_equal_their_expansions_and_no_other(pool: MathPool, top: int, bottom: int, factor: int) -> None:
    gold = f"\\frac{{{top}}}{{{bottom}}}"
    right, wrong = pool.verify_many([
        (gold, f"\\boxed{{\\frac{{{top * factor}}}{{{bottom * factor}}}}}"),
        (gold, f"\\boxed{{\\frac{{{top * factor + 1}}}{{{bottom * factor}}}}}"),
    ])
    assert (right.kind, wrong.kind) == ("correct", "wrong")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300))
def test_any_text_gets_a_verdict(pool: MathPool, text: str) -> None:
    verdict = pool.submit("17", "\\boxed{" + text.replace("{", "").replace("}", "").replace("\\", "") + "}").result()
    assert verdict.kind in ("correct", "wrong", "unparsable", "timeout")


HEAVY = ["9^{9^{9^{9}}}", "(10^8)!", "(" * 300 + "42" + ")" * 300, "1" * 4000, "x^{" * 40 + "2" + "}" * 40]


def test_heavy_answers_end_in_time_and_delay_nobody() -> None:
    with MathPool(2) as pool:
        pool.submit("x", "\\boxed{y+1}").result()              # sympy is loaded
        started = time.monotonic()
        heavy = [pool.submit("42", f"\\boxed{{{answer}}}") for answer in HEAVY]
        assert {future.result().kind for future in heavy} <= {"wrong", "unparsable", "timeout"}
        assert time.monotonic() - started < 2.5 * len(HEAVY)
        # what was killed was replaced
        assert pool.submit("x+1", "\\boxed{1+x}").result().kind == "correct"


def test_the_door_and_its_light_import() -> None:
    assert verify("42", "\\boxed{42}") == Verdict("correct")
    assert verify("\\frac{1}{2}", "\\boxed{0.5}").kind == "correct"
    code = "import sys; import components.reward.math, components.reward.rewards; sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
