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
_NEIGHBOURS = re.compile("\ue000([0-9]+)\ue001(?= ?\ue000([0-9]+)\ue001)")
_CONTROLS = bytes(c for c in range(0x20) if c not in b"\t\n\r") + b"\x7f"
_PRIVATE = re.compile("[\ue000-\uf8ff\ufdd0-\ufdef\ufffe\uffff\x80-\x84\x86-\x9f]")
_UNWANTED = [chr(code).encode() for code in (*range(0xE000, 0xE008), 0xFFFE, 0xFFFF)]  # our marks, and no characters
_REFERENCE = re.compile(r"&#(?:[xX]0*([0-9a-fA-F]{1,6})|0*([0-9]{1,7}));?")
# those that can name a character that may not be there: 0 to 31, 127, and 55296 (0xd800) on
_SUSPICIOUS = re.compile(
    rb"&#(?:[xX]0*(?:(?:[01]?[0-9a-fA-F]|7[fF])(?![0-9a-fA-F])|[d-fD-F]|[0-9a-fA-F]{5})|"
    rb"0*(?:(?:[12]?[0-9]|3[01]|127)(?![0-9])|5[5-9][0-9]{3}|6[0-9]{4}|[0-9]{6}))"
)


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

    def without_copies(self, text: str) -> str:
        """`text` without a formula that stands twice with nothing between: an image and its source, say."""
        return _NEIGHBOURS.sub(self._once, text) if CLOSE in text else text

    def _once(self, match: re.Match[str]) -> str:
        first, second = self.items[int(match[1])], self.items[int(match[2])]
        if isinstance(first, Formula) and isinstance(second, Formula):
            copies = "".join(first.tex.split()) == "".join(second.tex.split())
            return "" if copies and len(first.tex) > 1 else match[0]
        return match[0]


def clean(html: str) -> bytes:
    """UTF-8 without control characters and without those that mark text in this package, however written."""
    data = html.encode("utf-8", "replace").translate(None, _CONTROLS)
    # a single byte is found many times faster than two
    if (b"\xee" in data and b"\xee\x80" in data) or (b"\xef" in data and b"\xef\xbf" in data):
        for mark in _UNWANTED:
            data = data.replace(mark, b"")
    # references come last: what was removed may have stood in the middle of one
    if _SUSPICIOUS.search(data):
        data = _REFERENCE.sub(_allowed_reference, data.decode()).encode()
    return data


def without_private(text: str) -> str:
    """Without private-use characters, noncharacters and C1 controls: no document may hold them."""
    return text if text.isascii() else _PRIVATE.sub("", text)


def _allowed_reference(match: re.Match[str]) -> str:
    code = int(match[1], 16) if match[1] else int(match[2])
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF or (code < 0x20 and code not in (9, 10, 13)) or code == 0x7F:
        return " "  # nothing would let what stands around it become a reference
    return " " if code > 0x9F and _PRIVATE.match(chr(code)) else match[0]  # 0x80 to 0x9f mean Windows-1252 in HTML
