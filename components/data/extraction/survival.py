"""What share of a page's formulas and code lines is in a text: a measure that shares no rule with the extractor.

It reads the raw HTML with regular expressions, knows only markup that leaves no doubt, and looks for each formula's TeX
and each code line in any extractor's text. So it judges other extractors by the same yardstick
(`benchmarks/extraction.py`).
"""

from __future__ import annotations

import html as html_module
import re
from collections.abc import Iterator
from dataclasses import dataclass

_ANNOTATION = re.compile(r"<annotation[^>]{0,200}?tex[^>]{0,200}>([^<]*)</annotation>", re.S | re.I)
_SCRIPT = re.compile(r"<script[^>]*?type=[\"']?math/tex[^>]{0,200}>(.{0,20000}?)</script>", re.S | re.I)
_IMAGE = re.compile(r"<img\b[^>]*>", re.I)
_ALT = re.compile(r"\balt=(?:\"([^\"]*)\"|'([^']*)')", re.I)
_MATH_CLASS = re.compile(r"\bclass=[\"'][^\"']*\b(?:math|tex|latex)\b", re.I)
_OPAQUE = re.compile(r"<(script|style|pre|code|textarea|noscript|svg|annotation)\b|<!--", re.I)
_PRE = re.compile(r"<(pre)\b[^<>]{0,2000}>", re.I)
_CLOSING = {
    "": re.compile("-->"),
    **{
        name: re.compile(rf"</{name}\s*>", re.I)
        for name in ("script", "style", "pre", "code", "textarea", "noscript", "svg", "annotation")
    },
}
_BREAK = re.compile(r"<br\s*/?>", re.I)
_TAG = re.compile(r"<[^>]*>")
_DELIMITED = re.compile(r"\\\((.{1,3000}?)\\\)|\\\[(.{1,3000}?)\\\]|\$\$(.{1,3000}?)\$\$", re.S)
_WRAPPED = re.compile(r"^\s*(?:\$\$?|\\\(|\\\[)|(?:\$\$?|\\\)|\\\])\s*$")
_PROMPT = re.compile(r"^(?:>>>|\.\.\.|\$) ?")
_FENCE = re.compile(r"^ *`{3,}")


@dataclass(frozen=True)
class Survival:
    """Distinct formulas and code lines of a page, and how many of them a text holds."""

    formulas: int
    formulas_kept: int
    code_lines: int
    code_lines_kept: int


def measure(html: str, text: str) -> Survival:
    """Compare a page with a text extracted from it.

    A formula is kept where its TeX stands in the text, white space and `\\displaystyle` aside; a code line where a line
    of the text equals it, indentation included, prompt aside.
    """
    formulas = {form for form in map(_normal, find_formulas(html)) if form}
    flat = _normal(text)
    lines = find_code_lines(html)
    present = {line.rstrip() for line in text.split("\n")}
    kept = sum(line in present or _PROMPT.sub("", line) in present for line in lines)
    return Survival(len(formulas), sum(form in flat for form in formulas), len(lines), kept)


def find_formulas(html: str) -> list[str]:
    """TeX that the page certainly shows as formulas."""
    found = [*_ANNOTATION.findall(html), *_SCRIPT.findall(html)] if "ath" in html or "nnotation" in html else []
    for tag in _IMAGE.findall(html):
        alt = _ALT.search(tag)
        value = (alt[1] or alt[2] or "") if alt else ""
        if value and (_MATH_CLASS.search(tag) or re.search(r"\\[a-zA-Z]{3,}", value)):
            found.append(value)
    if "\\(" in html or "\\[" in html or ("$$" in html and "athjax" in html.lower()):
        visible = _TAG.sub("", " ".join(_outside(html)))
        found += [next(filter(None, groups)) for groups in _DELIMITED.findall(visible)]
    return [_WRAPPED.sub("", html_module.unescape(tex)) for tex in found]


def find_code_lines(html: str) -> list[str]:
    """Lines of the page's `pre` elements, without blank ones and line numbers."""
    lines = []
    for start, end, _ in _elements(_PRE, html):
        block = html[start:end]
        code = html_module.unescape(_TAG.sub("", _BREAK.sub("\n", block))).replace("\xa0", " ").replace("\r", "")
        for line in code.split("\n"):
            line = line.rstrip()
            if len(line.strip()) >= 2 and not line.strip().isdigit():
                lines.append(line)
    return lines


def _elements(opening: re.Pattern[str], html: str) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """(start, end) of the content of elements that do not overlap, and of the whole; one look at every character."""
    at = 0
    endless: set[str] = set()  # names that are not closed any more
    for match in opening.finditer(html):
        name = (match[1] or "").lower()
        if match.start() < at or name in endless:
            continue
        closing = _CLOSING[name].search(html, match.end())
        if closing is None:
            endless.add(name)
        else:
            yield match.end(), closing.start(), (match.start(), closing.end())
            at = closing.end()


def _outside(html: str) -> Iterator[str]:
    """What stands outside scripts, code and comments."""
    at = 0
    for _, _, (start, end) in _elements(_OPAQUE, html):
        yield html[at:start]
        at = end
    yield html[at:]


def _normal(tex: str) -> str:
    return re.sub(r"\s+|\\displaystyle", "", tex)
