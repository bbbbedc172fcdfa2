"""Verdicts on answers as text: the box, and what can be decided without algebra.

- `last_box`       the answer: the last `\\boxed{…}` within the last 4,096 characters
- `quick_verdict`  exact matches, numerals and words, decided on the spot in microseconds
- `Verdict`        what is said about an answer

Numerals follow the same rules as in `formulas.py`: exact values, a percent sign is a unit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

Kind = Literal["correct", "wrong", "unparsable", "timeout", "infrastructure"]

TAIL = 4096  # characters at the end of a completion in which the answer must lie

_LONGEST_NUMERAL = 400  # longer ones are left to the workers
_BOX = "\\boxed"
_INTEGER = re.compile(r"[+-]?[0-9]+")
_DIGITS = r"[0-9]{1,3}(?:[ ,][0-9]{3})+|[0-9]+"
_NUMERAL = re.compile(
    rf"([+-]?)(?:(?P<whole>{_DIGITS})?(?P<decimals>\.[0-9]+)?"
    r"|\\frac(?:\{ ?(?P<top>[+-]?[0-9]+) ?\} ?\{ ?(?P<bottom>[+-]?[0-9]+) ?\}|(?P<short_top>[0-9]) ?(?P<short>[0-9]))"
    r"|(?P<over>[0-9]+)/(?P<under>[0-9]+)) ?(?P<percent>\\?%)?"
)
_RECURRING = re.compile(r"(?<![0-9.])([0-9]*)\.([0-9]*)(?:\\overline|\\bar|\\dot) ?\{([0-9]+)\}(?![0-9.])")
_WORDS = re.compile(r"[A-Za-z][A-Za-z' -]+")
_JOINED = re.compile(r"\\[!,](?=[^A-Za-z]|$)")  # what typesetters put inside a number
_NOISE = re.compile(r"\\(?:(?:left|right)(?![A-Za-z])\.?|displaystyle(?![A-Za-z]))|\\[!,;: ]|(?<!\\)\$|~")
_SPACES = re.compile(r"(?<![0-9]) +| +(?![0-9])")  # 1 2 is not 12
_TEXT = re.compile(r"\\(?:text|textbf|textit|mathrm|mbox)\{([^{}]*)\}")


@dataclass(frozen=True)
class Verdict:
    """`kind`, and what it pays: 1.0 for correct, None (mask it) for infrastructure, 0.0 for the rest."""

    kind: Kind

    @property
    def reward(self) -> float | None:
        return None if self.kind == "infrastructure" else float(self.kind == "correct")


_CORRECT, _WRONG, UNPARSABLE = Verdict("correct"), Verdict("wrong"), Verdict("unparsable")


def last_box(completion: str) -> str | None:
    """The content of the last outermost `\\boxed{…}` in the tail of a completion; None if none is complete.

    A box that is open at the end counts as the last one and is no answer. A box that holds nothing but a box is
    unwrapped.
    """
    tail = completion[-TAIL:]
    start, content = tail.find(_BOX), None
    while start >= 0:
        opening = start + len(_BOX)
        while opening < len(tail) and tail[opening] == " ":
            opening += 1
        if opening >= len(tail):
            return None
        if tail[opening] != "{":
            start = tail.find(_BOX, opening)
            continue
        end = _closing_brace(tail, opening)
        if end < 0:
            return None
        content = tail[opening + 1 : end].strip()
        start = tail.find(_BOX, end)
    while content and content.startswith(_BOX + "{") and _closing_brace(content, len(_BOX)) == len(content) - 1:
        content = content[len(_BOX) + 1 : -1].strip()
    return content or None


def unboxed(gold: str) -> str:
    """An expected answer without a box around it."""
    return last_box(gold) or gold if _BOX in gold else gold


def _closing_brace(text: str, opening: int) -> int:
    depth, index = 0, opening
    while index < len(text):
        character = text[index]
        if character == "\\":
            index += 1  # \{ and \} are set braces
        elif character == "{":
            depth += 1
        elif character == "}":
            depth -= 1
            if depth == 0:
                return index
        index += 1
    return -1


@lru_cache(maxsize=8192)
def normalise(answer: str) -> str:
    """An answer without what carries no meaning: spacing, dollar signs, \\left, \\dfrac, outer groups, a full stop."""
    text = _NOISE.sub(" ", _JOINED.sub("", answer)).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")
    text = text.replace("{,}", ",").replace("\\varnothing", "\\emptyset")
    text = " ".join(text.split())
    text = text[:-1].rstrip() if text.endswith(".") else text
    while _is_group(text):
        text = text[1:-1].strip()
    return text if re.search("[A-Za-z]", text) else _SPACES.sub("", text)


def _is_group(text: str) -> bool:
    """All of it in braces (sets have \\{ \\}), or in parentheses that make no tuple."""
    if text.startswith("{"):
        return _closing_brace(text, 0) == len(text) - 1
    return text.startswith("(") and text.endswith(")") and not any(mark in text[1:-1] for mark in "(),;")


def without_recurring(text: str) -> str:
    """`text` with fractions for its recurring decimals: 0.\\overline{3} is \\frac{1}{3}."""
    return _RECURRING.sub(_as_fraction, text)


def _as_fraction(match: re.Match[str]) -> str:
    whole, fixed, cycle = match.groups()
    value = Fraction(int(whole + fixed + cycle) - int(whole + fixed or "0"), (10 ** len(cycle) - 1) * 10 ** len(fixed))
    return f"\\frac{{{value.numerator}}}{{{value.denominator}}}"


def quick_verdict(gold: str, completion: str) -> Verdict | None:
    """The verdict where it takes no algebra, else None. About a microsecond for plain integers."""
    box = last_box(completion)
    return UNPARSABLE if box is None else quick(gold, box)


def quick(gold: str, box: str) -> Verdict | None:
    if _BOX in box:
        return UNPARSABLE  # boxes inside an answer: which one is meant?
    answer, truth = normalise(box), normalise(unboxed(gold))
    if answer == truth:
        return _CORRECT
    if not answer:
        return UNPARSABLE
    if _INTEGER.fullmatch(truth) and _INTEGER.fullmatch(answer):
        return _CORRECT if _integer(truth) == _integer(answer) else _WRONG
    value, true_value = _numeral(answer), _numeral(truth)
    if value is not None and true_value is not None:
        return _CORRECT if same_number(*value, *true_value) else _WRONG
    words, true_words = _words(answer), _words(truth)
    if words is not None and true_words is not None:
        return _CORRECT if words == true_words else _WRONG
    return None


def _integer(text: str) -> str:
    digits = text.lstrip("+-").lstrip("0") or "0"
    return "-" + digits if text[0] == "-" and digits != "0" else digits


@lru_cache(maxsize=8192)
def _numeral(text: str) -> tuple[Fraction, bool] | None:
    """The value of a decimal, a fraction or a percentage, and whether it has a percent sign; None for anything else."""
    match = _NUMERAL.fullmatch(without_recurring(text))
    if match is None or len(text) > _LONGEST_NUMERAL:
        return None
    part = match.groupdict()
    top, bottom = part["top"] or part["short_top"] or part["over"], part["bottom"] or part["short"] or part["under"]
    if top is not None:
        if int(bottom) == 0:
            return None
        value = Fraction(int(top), int(bottom))
    elif part["whole"] or part["decimals"]:
        value = Fraction(re.sub("[ ,]", "", part["whole"] or "0") + (part["decimals"] or ""))
    else:
        return None
    value = -value if match[1] == "-" else value
    return (value / 100, True) if part["percent"] else (value, False)


def same_number(one: Fraction, one_percent: bool, other: Fraction, other_percent: bool) -> bool:
    """Is it the same number, where a percent sign may be left out or added? 50% is 50 and 0.5, but not 0.5%."""
    if one == other:
        return True
    return one_percent != other_percent and one * (100 if one_percent else 1) == other * (100 if other_percent else 1)


def _words(text: str) -> str | None:
    """The text as words or as the letter of a choice, in lower case; None if it is something else."""
    plain = _TEXT.sub(r"\1", text).strip().rstrip(".")
    if len(plain) == 3 and plain[0] == "(" and plain[2] == ")" and plain[1].isalpha():
        plain = plain[1]
    wrapped = plain != text or len(plain) == 1
    if _WORDS.fullmatch(plain) or (wrapped and len(plain) == 1 and plain.isalpha()):
        return " ".join(plain.split()).casefold()
    return None
