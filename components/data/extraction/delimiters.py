"""Formulas that are delimited in text: MathJax and KaTeX as the page configures them, WordPress, forum tags.

Works on the text of a block after code and formula elements became placeholders, because delimited TeX may be cut up by
inline elements.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass

from components.data.extraction.result import Formula
from components.data.extraction.scan import Page
from components.data.extraction.slots import OPEN, Slots
from components.data.extraction.tex import NO_TEX, strip_wrapping, surely_tex

_STRING = r"""(?:"(?:[^"\\\n]|\\.){1,40}"|'(?:[^'\\\n]|\\.){1,40}')"""
_PAIRS = re.compile(
    r"""(inlineMath|displayMath|delimiters)["']?\s*[:=]\s*(?:\{[^{}]{0,100}?\[\+\]["']?\s*:\s*)?"""
    rf"""(\[(?:\s*\[\s*{_STRING}\s*,\s*{_STRING}\s*\]\s*,?(?:\s*//.*)?)+\s*\])"""
)  # `delimiters` of AsciiMath
_PAIR = re.compile(rf"({_STRING})\s*,\s*({_STRING})\s*\]")
_KATEX = re.compile(
    r"""\{\s*["']?left["']?\s*:\s*(["'])(.{1,40}?)\1\s*,\s*["']?right["']?\s*:\s*(["'])(.{1,40}?)\3([^{}]{0,100})\}"""
)
_ENVIRONMENTS = "equation|align|alignat|flalign|gather|multline|eqnarray|displaymath|aligned|split|math"
_TAGS = re.compile(r"\[(itex|imath|tex|math|latex|katex|inlinemath)\](.+?)\[/\1\]", re.S | re.I)
_WORDPRESS = re.compile(r"\$latex\s+(.+?)(?<!\\)\$", re.S)
_BARE_DOLLARS = re.compile(r"(?<![\\$\w])\$(?=[^\s$])([^$\n]{1,300}?)(?<=[^\s\\$])\$(?![\d$])")
Rule = tuple[re.Pattern[str], bool, str, bool]  # pattern, display, origin, whether its content must look like TeX
LONGEST = 5000  # characters in a delimited formula


@dataclass(frozen=True)
class Delimiters:
    """The patterns of a page, in the order they are tried."""

    patterns: tuple[Rule, ...]
    hint: re.Pattern[str]  # a text without it has no formula

    def replace(self, text: str, slots: Slots) -> str:
        """`text` with its delimited formulas as placeholders."""
        if not self.hint.search(text):
            return text
        for rule in self.patterns:
            text = rule[0].sub(functools.partial(_put, rule=rule, slots=slots), text)
        return text


def _put(match: re.Match[str], rule: Rule, slots: Slots) -> str:
    _, display, origin, doubtful = rule
    tex = strip_wrapping(match[match.lastindex or 0])
    if not tex or OPEN in tex or (doubtful and not surely_tex(tex)):
        return match[0]
    if tex in NO_TEX:
        return ""
    return slots.put(Formula(tex, display, origin))


def read_delimiters(page: Page) -> Delimiters:
    """What delimits formulas on this page, by its scripts; the defaults of MathJax and KaTeX where it says nothing."""
    engine = page.engine
    configured = _configured(page.scripts) if engine else []
    environment = rf"(\\begin\{{({_ENVIRONMENTS})\*?\}}(?:.{{1,{LONGEST}}}?)\\end\{{\2\*?\}})"
    patterns: list[Rule] = [
        (_WORDPRESS, False, "wordpress", False),
        (_TAGS, False, "tag", False),
        (_between("$$", "$$"), True, "mathjax", not engine),
        (_between("\\[", "\\]"), True, "mathjax", not engine),
        (_between("\\(", "\\)"), False, "mathjax", not engine),
        (re.compile(environment, re.S), True, "environment", False),
    ]
    hints = ["$", "\\(", "\\[", "\\begin", "[/"]
    if engine:
        for left, right, display in configured:
            if left not in ("$$", "\\[", "\\("):
                position = 2 if len(left) > 1 else len(patterns)
                patterns.insert(position, (_between(left, right), display, "mathjax", False))
                hints.append(left)
        if page.asciimath and not any(left == "`" for left, _, _ in configured):
            patterns.append((_between("`", "`"), False, "asciimath", False))
            hints.append("`")
    patterns.append((_BARE_DOLLARS, False, "dollars", True))
    return Delimiters(tuple(patterns), re.compile("|".join(map(re.escape, hints))))


def _configured(html: str) -> list[tuple[str, str, bool]]:
    found = []
    for option, pairs in _PAIRS.findall(html) if "Math" in html else []:
        for left, right in _PAIR.findall(pairs):
            found.append((_unescape(left[1:-1]), _unescape(right[1:-1]), option == "displayMath"))
    for _, left, _, right, rest in _KATEX.findall(html) if "left" in html and "right" in html else []:
        found.append((_unescape(left), _unescape(right), "true" in rest))
    return list(dict.fromkeys(item for item in found if item[0].strip() and item[1].strip()))


def _unescape(text: str) -> str:
    """The value of a JavaScript string literal's inside."""
    try:
        return str(json.loads('"' + text.replace('"', '\\"').replace("\\'", "'") + '"'))
    except ValueError:
        return text.replace("\\\\", "\\")


def _between(left: str, right: str) -> re.Pattern[str]:
    if left == right == "$":  # not across escaped dollars, and no `$5 and $6`
        return re.compile(rf"(?<![\\$])\$(?!\$)((?:[^$\\]|\\.){{1,{LONGEST}}}?)\$(?!\$)", re.S)
    opening = re.escape(left) if left.startswith("\\") else rf"(?<!\\){re.escape(left)}"
    if left.startswith("\\") and len(left) == 2:
        opening = rf"(?<!\\){re.escape(left)}"  # `\\[` is a line break in TeX
    return re.compile(rf"{opening}(.{{1,{LONGEST}}}?){re.escape(right)}", re.S)
