"""A document's prose, apart from its formulas and code.

Taggers and rules must not judge a page by its formulas and code: there, short lines, symbols and repetition are normal.

- `mask`         Markdown -> prose with placeholders, and how much of the page is formulas and code
- `features`     what a tagger reads: words of the prose, placeholders, and how much of either there is
- `language_words`, `word_tokens`  what the language tagger reads: words of the prose; a word's runs of letters
- `prose_lines`  lines that should be sentences

All of it runs on every document of a corpus: a microsecond here is a core-year on a trillion tokens.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FORMULA = "⟦formula⟧"
CODE = "⟦code⟧"
FEATURE_WORDS = 600  # of the beginning of a text; the rest says little more
LANGUAGE_SAMPLE = 60  # words, evenly spaced over the beginning, that tell a language

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})(.*)$", re.MULTILINE)
# $$…$$, $…$ or `…`; it begins with a set of characters, which `re` looks for fast
_INLINE = re.compile(r"([$`])(?:(?<=\$)(?:\$[^$]+\$\$|(?!\s)[^$\n]+(?<!\s)\$(?!\d))|(?<=`)[^`\n]+`)")
# UTF-8 with a space for every byte of ASCII that is no letter or digit; bytes above 127 are letters of some script, as
# typographic marks have been taken out before
_SPACED = bytes(byte if byte > 127 or chr(byte).isalnum() else 32 for byte in range(256))
_SIGNS = (b"!", b"?", b"$", b"%", b"&", b"*", b"+", b"/", b"=", b"@", b"#", b"|", b"<", b"{")   # told apart by presence
_MARKS = re.compile("[\u2000-\u206f\u00a0-\u00bf\u3000-\u303f\uff01-\uff20]+")
_LETTERS = re.compile(r"[^\W\d_]+")
_HEADING_OR_TABLE = re.compile(r"\s*[#|]")
_WORD_CHARACTER = re.compile(r"[^\W_]")
_LEVELS = (0.01, 0.05, 0.15, 0.3, 0.6)


@dataclass(frozen=True)
class Masked:
    """`text` with placeholders; `math` and `code` are the shares of visible characters in formulas and in code."""

    text: str
    math: float
    code: float


def mask(text: str) -> Masked:
    """Replace fenced code, inline code and formulas by placeholders. Takes time proportional to the text."""
    prose, code = _without_fences(text) if "```" in text or "~~~" in text else (text, 0)
    if "$" not in prose and "`" not in prose:
        return Masked(prose, 0.0, code / max(1, _visible(text)))
    characters = {"math": 0, "code": code}

    def replace(match: re.Match[str]) -> str:
        kind, placeholder = ("math", FORMULA) if match.group(1) == "$" else ("code", CODE)
        characters[kind] += _visible(match.group(0))
        return placeholder

    total = max(1, _visible(text))
    return Masked(_INLINE.sub(replace, prose), characters["math"] / total, characters["code"] / total)


def _without_fences(text: str) -> tuple[str, int]:
    """(Text with each fenced block as one placeholder, visible characters in the blocks)."""
    parts: list[str] = []
    fence, end, inside, characters = "", 0, 0, 0
    for match in _FENCE.finditer(text):
        marks, rest = match.groups()
        if not fence:
            parts += [text[end : match.start()], CODE]
            fence, inside = marks, match.end()
        elif marks.startswith(fence) and not rest.strip().strip(fence[0]):
            characters += _visible(text[inside : match.end()])
            fence, end = "", match.end()
    if fence:
        characters += _visible(text[inside:])
        end = len(text)
    parts.append(text[end:])
    return "".join(parts), characters


def _visible(text: str) -> int:
    return len(text) - text.count(" ") - text.count("\n") - text.count("\t") - text.count("\r")


def features(masked: Masked) -> list[bytes]:
    """The tokens that a tagger reads, in UTF-8: how much math and code there is, which signs, then the words."""
    text = masked.text[: 6 * FEATURE_WORDS].lower()
    if not text.isascii():
        text = text.replace(FORMULA, " 0formula ").replace(CODE, " 0code ")  # most English pages then are
    if not text.isascii():
        text = _MARKS.sub(" ", text)
    math, code = (sum(share > level for level in _LEVELS) for share in (masked.math, masked.code))
    encoded = text.encode()
    signs = [sign for sign in _SIGNS if sign in encoded]
    return [b"0math%d" % math, b"0code%d" % code, *signs, *encoded.translate(_SPACED).split()[:FEATURE_WORDS]]


def language_words(masked: Masked) -> list[str]:
    """Words that tell the language, spread over the beginning of the prose."""
    words = masked.text[: 6 * FEATURE_WORDS].split()
    step = len(words) // LANGUAGE_SAMPLE
    text = " ".join(words[::step] if step > 1 else words)
    found = _LETTERS.findall(text.replace(FORMULA, " ").replace(CODE, " ").lower())
    return [word[:20] for word in found]


def word_tokens(word: str) -> list[str]:
    """A word as the language tagger reads it: itself and its runs of up to three letters."""
    ends = f"·{word}·"
    pairs = [ends[i : i + 2] for i in range(len(ends) - 1)]
    return [f"={word}", *word, *pairs, *(ends[i : i + 3] for i in range(len(ends) - 2))]


def prose_lines(masked: Masked) -> list[str]:
    """Lines that are no heading, table or rule, and hold more than placeholders."""
    return [line.strip() for line in masked.text.split("\n") if _is_prose(line)]


def _is_prose(line: str) -> bool:
    if _HEADING_OR_TABLE.match(line):
        return False
    words = line.replace(FORMULA, "").replace(CODE, "") if "⟦" in line else line
    return _WORD_CHARACTER.search(words) is not None
