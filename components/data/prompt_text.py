"""What stays of a text when its spelling goes: words to be compared, and the operators between them.

- `prepare`      LaTeX commands to what they say: letters, operators, or nothing
- `normalize`    text -> its letters and digits joined, and where words begin; case, punctuation and spacing apart
- `operators`    text -> the signs and operators between its words, as far as they are no punctuation
- `conflict`     whether two stretches of equal words say different things by their operators

A hyphen is a minus only between or before what can be subtracted; a dash may be one or not; `2x` and `2 · x` are the
same, `x²` and `x^2` too. Where a copy lost all its operators, as text does that passed through a cleaner, it agrees
with any; where it has some, they must be the same.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# A word: one character of a script written without spaces, or a run of letters, or a run of digits.
_WORD = r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\d_\u3040-\u30ff\u3400-\u9fff]+|\d+"
_WORDS = re.compile(_WORD)
_COMMAND = re.compile(r"\\(?:(?:begin|end)\s*\{\w+\*?\}|[a-zA-Z]+)")
_GREEK_NAMES = (
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda", "mu",
    "nu", "xi", "omicron", "pi", "rho", "finalsigma", "sigma", "tau", "upsilon", "phi", "chi", "psi", "omega",
)  # fmt: skip
# Commands whose name is read aloud; all others (\left, \text, \quad …) are layout or punctuation.
_SPOKEN = (
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log",
    "ln", "exp", "lim", "max", "min", "sup", "inf", "gcd", "lcm", "det", "dim", "ker", "deg", "arg", "mod",
    "bmod", "pmod", "sqrt", "sum", "prod", "int",
)  # fmt: skip
_OPERATORS = {
    "times": "*", "cdot": "*", "ast": "*", "div": "/", "over": "/", "le": "≤", "leq": "≤", "leqslant": "≤",
    "ge": "≥", "geq": "≥", "geqslant": "≥", "ne": "≠", "neq": "≠", "lt": "<", "gt": ">", "pm": "±", "mp": "∓",
    "approx": "≈", "equiv": "≡",
}  # fmt: skip
_SAYS = {
    **{name: name for name in _SPOKEN},
    **{name: chr(ord("α") + number) for number, name in enumerate(_GREEK_NAMES)},
    **_OPERATORS,
}
_SYMBOLS = {"√": " sqrt ", "∑": " sum ", "∏": " prod ", "∫": " int "}
_SUPERSCRIPTS = re.compile("([⁰¹²³⁴⁵⁶⁷⁸⁹]+)")


@dataclass(frozen=True)
class Normalized:
    """`stream` is all words joined; `starts` holds where each begins in it, and last its length."""

    stream: str
    starts: NDArray[np.int64]


def prepare(text: str) -> str:
    """A text without LaTeX commands: their letters or operators are there instead."""
    if "\\" in text:
        text = _COMMAND.sub(_speak, text)
    if not text.isascii():
        for symbol, word in _SYMBOLS.items():
            if symbol in text:
                text = text.replace(symbol, word)
    return text


def _speak(command: re.Match[str]) -> str:
    said = _SAYS.get(command.group(0)[1:].lower(), "")
    return f" {said} " if said else " "


def fold(text: str) -> str:
    """Lower case, compatibility forms unified: x² is x2, 𝑥 is x, ﬁ is fi."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def normalize(text: str) -> Normalized:
    """Letters and digits of a text in lower case, compatibility forms unified, LaTeX layout removed."""
    return join_words(_WORDS.findall(fold(prepare(text))))


def join_words(words: list[str]) -> Normalized:
    starts = np.zeros(len(words) + 1, dtype=np.int64)
    np.cumsum(np.fromiter(map(len, words), dtype=np.int64, count=len(words)), out=starts[1:])
    return Normalized("".join(words), starts)


# Operators, as `operators` spells them. Those of `_FREE` are often left out: adjacency multiplies, layout raises.
_FREE = frozenset("*/^")
_LOST_IN_PUNCTUATION = frozenset("+-~=<>")  # a cleaner of punctuation takes these and leaves \ge
_DASH, _QUOTE, _UNARY = "–", "›", "~"
_PERHAPS = {_DASH: ("", "-", _UNARY), _QUOTE: ("", ">")}  # what may be punctuation or an operator
_SPELLINGS = {
    "−": "-", "·": "*", "×": "*", "∗": "*", "÷": "/", "∕": "/", "⁄": "/", "≦": "≤", "≧": "≥", "⩽": "≤", "⩾": "≥",
    "<=": "≤", ">=": "≥", "!=": "≠", "==": "=", ":=": "=", "}{": "/", "+/-": "±", "\u2014": _DASH, "\u2010": _DASH,
    "\u2011": _DASH,
}  # fmt: skip
_TOKENS = re.compile(
    rf"(?P<word>{_WORD})"
    r"|(?P<none>[-=]+>|<[-=]{2,}|([-=*+<>~_^])\3{2,})"  # arrows, rules
    r"|(?P<margin>^[ \t]*[->](?=\s))"  # a bullet, a quote, or an operator where a formula was wrapped
    r"|(?P<operator>\+/-|[<>!=:]=|\}\s*\{|[-+*/^=<>−·×∗÷∕⁄±∓≤≥≦≧⩽⩾≠≈≡\u2010\u2011–\u2014])"
    r"|(?P<open>[(\[{|])|(?P<close>[)\]}|])|(?P<between>[.,;:?!\"”“…]|\n\s*\n)",
    re.MULTILINE,
)
_OPERAND = re.compile(rf"(?:[\s$(\[{{|+−-]|\n[ \t]*>)*(?:\d|[^\W\d_](?![^\W\d_])|(?:{'|'.join(_SPOKEN)})(?![^\W\d_]))")
_OPERAND_AT_ONCE = re.compile(r"[$(\[{|]*(?:\d|[^\W\d_](?![^\W\d_]))")


def operators(text: str) -> tuple[Normalized, dict[int, str]]:
    """The words of a text, and the operators before the character at each place of their stream."""
    text = fold(_SUPERSCRIPTS.sub(r"^\1", prepare(text)))
    words: list[str] = []
    found: dict[int, str] = {}
    place, gap, left = 0, "", "between"  # what an operator has to its left
    for token in _TOKENS.finditer(text):
        kind = token.lastgroup or "none"
        if kind == "word":
            word = token.group()
            words.append(word)
            if gap:
                found[place] = gap
            place += len(word)
            gap, left = "", "operand" if len(word) == 1 or word.isdigit() else "word"
        elif kind in ("operator", "margin"):
            sign = _sign(token, left, text)
            gap += sign
            left = "operator" if sign and kind == "operator" else left
        elif kind == "close":
            left = "operand" if left in ("operand", "word") else left
        elif kind in ("open", "between"):
            left = kind
    return join_words(words), found


def _sign(token: re.Match[str], left: str, text: str) -> str:
    """How an operator counts where it stands; empty if it is punctuation there."""
    if token.lastgroup == "margin":
        return (_DASH if "-" in token.group() else _QUOTE) if left == "operand" else ""
    spelled = "}{" if token.group()[0] == "}" else token.group()
    sign = _SPELLINGS.get(spelled, spelled)
    if sign not in ("-", _DASH, "+", "<", ">"):
        return sign
    if left == "operand" or (sign in "+<>" and left == "word"):
        return sign if _OPERAND.match(text, token.end()) else ""
    if sign in "<>" or not _OPERAND_AT_ONCE.match(text, token.end()):
        return ""
    before = text[token.start() - 1 : token.start()]
    glued = left == "word" and before.isalnum()  # COVID-19 is no difference
    return "" if glued or sign == "+" else _UNARY


def conflict(prompt: dict[int, str], text: dict[int, str], shift: int, stream: str, first: int, last: int) -> bool:
    """Whether words first … last of a prompt's stream say something else where a text has them `shift` further on.

    Args:
        prompt, text: their operators; `stream`: the prompt's words joined; `first`, `last`: places in it. Operators
            before `first` count only if it is the prompt's beginning, and only as its sign.
    """
    inside = {place for place in prompt if first < place < last}
    inside |= {place - shift for place in text if first < place - shift < last}
    kept = any(set(text.get(place + shift, "")) & _LOST_IN_PUNCTUATION for place in inside)
    for place in inside:
        if _differ(prompt.get(place, ""), text.get(place + shift, ""), kept, stream[place - 1 : place + 1].isdigit()):
            return True
    if first == 0 and not (inside and not kept):
        return (_UNARY in prompt.get(0, "")) != text.get(shift, "").endswith(_UNARY)
    return False


def _differ(one: str, other: str, kept: bool, digits: bool) -> bool:
    """Whether the operators of a prompt and of a text between the same words disagree.

    Args:
        kept: the text has operators that a cleaner would have taken.
        digits: a digit on either side, so nothing can be multiplied by standing together.
    """
    free_one, free_other = (frozenset(signs) & _FREE for signs in (one, other))
    one, other = ("".join(sign for sign in signs if sign not in _FREE) for signs in (one, other))
    if one == other:
        return not one and bool(free_one) and bool(free_other) and free_one != free_other
    if not _PERHAPS.keys().isdisjoint(one + other):
        return _readings(one).isdisjoint(_readings(other))
    if not other:  # lost
        return kept and (_UNARY in one or not digits)
    if not one:  # a range, or a comma written as a dash
        return not (digits and other == "-")
    return True


def _readings(signs: str) -> set[str]:
    """What the operators between two words may be, if those in _PERHAPS are operators or are not."""
    readings = {""}
    for sign in signs[:8]:
        readings = {reading + meant for reading in readings for meant in _PERHAPS.get(sign, (sign,))}
    return readings
