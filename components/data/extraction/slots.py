"""Placeholders for what must pass unchanged through everything that happens to text.

Formulas and code leave the tree early and come back last. A placeholder is a number between two private-use
characters; the page's own private-use characters are removed before (`clean`), so no page can forge one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from components.data.extraction.result import CodeBlock, Formula

OPEN, CLOSE = "\ue000", "\ue001"
PLACEHOLDER = re.compile("\ue000([0-9]+)\ue001")
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff]")
_REFERENCE = re.compile(r"&#(?:[xX]0*([0-9a-fA-F]{1,6})|0*([0-9]{1,7}));?")
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass
class Slots:
    """What placeholders stand for, in the order they were made."""

    items: list[Formula | CodeBlock | str] = field(default_factory=list)

    def put(self, item: Formula | CodeBlock | str) -> str:
        """Keep an item (a `str`: inline code) and return its placeholder."""
        self.items.append(item)
        return f"{OPEN}{len(self.items) - 1}{CLOSE}"

    def get(self, text: str) -> list[Formula | CodeBlock | str]:
        """The items whose placeholders stand in `text`."""
        return [self.items[int(number)] for number in PLACEHOLDER.findall(text)]


def clean(html: str) -> str:
    """Without characters that no document may hold (XML 1.0) and without private-use ones, however written."""
    html = _FORBIDDEN.sub("", html)
    html = _SURROGATE.sub("\ufffd", html)
    return _REFERENCE.sub(_allowed_reference, html) if "&#" in html else html


def _allowed_reference(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF or (code < 0x80 and _FORBIDDEN.match(chr(code))):
        return ""
    return "" if code > 0x9F and _FORBIDDEN.match(chr(code)) else match[0]   # 0x80 to 0x9f mean Windows-1252 in HTML
