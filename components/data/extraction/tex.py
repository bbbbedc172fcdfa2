"""Telling TeX from other text, and taking its delimiters off."""

from __future__ import annotations

import re

_DISPLAYS = "equation|align|gather|multline|eqnarray|displaymath"
_DELIMITED = [
    (re.compile(r"\s*\\\[(.+)\\\]\s*", re.S), True),
    (re.compile(r"\s*\\\((.+)\\\)\s*", re.S), False),
    (re.compile(r"\s*\$inline\$(.+)\$inline\$\s*", re.S), False),   # Habr's
    (re.compile(r"\s*\$\$display\$\$(.+)\$\$display\$\$\s*", re.S), True),
    (re.compile(r"\s*\$\$(.+)\$\$\s*", re.S), True),
    (re.compile(r"\s*\$(?:latex\s)?(.+)\$\s*", re.S), False),
    (re.compile(rf"\s*(\\begin\{{({_DISPLAYS})\*?\}}.+\\end\{{\2\*?\}})\s*", re.S), True),
    (re.compile(r"\s*\\begin\{math\}(.+)\\end\{math\}\s*", re.S), False),
    (re.compile(r"\s*\[(itex|imath|math|latex|tex)\](?P<tex>.+)\[/\1\]\s*", re.S | re.I), False),
]
_STRONG = re.compile(r"\\[a-zA-Z]{2,}|[_^]\s*\{|\\[\\{},;:!|]|(?<![\w])\w\s*[_^]\s*\w")
_WORD = re.compile(r"[A-Za-z]{4,}")
NO_TEX = frozenset(["\\begingroup", "\\endgroup"])   # around a post of Stack Exchange: its definitions end with it
_CDATA = re.compile(r"^\s*%?\s*<!\[CDATA\[|%?\s*\]\]>\s*$")
_SIZES = re.compile(r"&(?:amp;)?(?:bg|fg|s)=[0-9a-fA-F-]+")


def undelimit(text: str) -> tuple[str, bool, bool]:
    """(TeX, whether it is displayed, whether it had delimiters)."""
    if "\\" not in text and "$" not in text and "[" not in text:
        return text.strip(), False, False
    for pattern, display in _DELIMITED:
        match = pattern.fullmatch(text)
        if match:
            inner = match.groupdict().get("tex") or match[1]
            several = "\\(" in inner or "\\[" in inner or (pattern.pattern.startswith("\\s*\\$") and "$" in inner)
            if not several:
                return inner.strip(), display, True
    return text.strip(), False, False


def strip_wrapping(tex: str) -> str:
    """Without CDATA marks and WordPress's size parameters; on the fewest lines."""
    tex = _CDATA.sub("", tex) if "CDATA" in tex or "]]>" in tex else tex
    tex = _SIZES.sub("", tex) if "&" in tex else tex
    return " ".join(tex.split()) if "%" not in tex else tex.strip()  # a TeX comment ends with its line


def surely_tex(text: str) -> bool:
    """Commands, scripts or braces that other text hardly ever has."""
    return bool(_STRONG.search(text))


def maybe_tex(text: str) -> bool:
    """What may be TeX where markup already says that it is a formula: no sentence."""
    return bool(text.strip()) and (surely_tex(text) or len(_WORD.findall(text)) <= 1)
