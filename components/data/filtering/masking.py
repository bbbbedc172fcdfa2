"""A document's prose, apart from its formulas and code.

Taggers and rules must not judge a page by its formulas and code: there, short lines, symbols and repetition are normal.

- `mask`         Markdown -> prose with placeholders, and how much of the page is formulas and code
- `features`     what a tagger reads: words of the prose, placeholders, and how much of either there is
- `letters`      what the language tagger reads
- `prose_lines`  lines that should be sentences
"""

from __future__ import annotations

import re
from dataclasses import dataclass

FORMULA = "⟦formula⟧"
CODE = "⟦code⟧"
FEATURE_WORDS = 1000   # of the beginning of a text; the rest says little more

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_INLINE = re.compile(r"(?P<math>\$\$[^$]+\$\$|\$(?!\s)[^$\n]+(?<!\s)\$(?!\d))|(?P<code>`[^`\n]+`)")
_WORD = re.compile(r"⟦\w+⟧|[^\W_]+|[^\w\s.,;:()\"'-]")   # common punctuation tells style, not content
_HEADING_OR_TABLE = re.compile(r"\s*[#|]")
_LEVELS = (0.01, 0.05, 0.15, 0.3, 0.6)


@dataclass(frozen=True)
class Masked:
    """`text` with placeholders; `math` and `code` are the shares of visible characters in formulas and in code."""

    text: str
    math: float
    code: float


def mask(text: str) -> Masked:
    """Replace fenced code, inline code and formulas by placeholders. Takes time proportional to the text."""
    characters = {"math": 0, "code": 0}
    lines: list[str] = []
    fence = ""
    for line in text.split("\n"):
        opening = _FENCE.match(line)
        if fence:
            characters["code"] += _visible(line)
            if opening and opening.group(1).startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif opening:
            fence = opening.group(1)
            lines.append(CODE)
        else:
            lines.append(line)

    def replace(match: re.Match[str]) -> str:
        characters[match.lastgroup or ""] += _visible(match.group(0))
        return FORMULA if match.lastgroup == "math" else CODE

    total = max(1, _visible(text))
    return Masked(_INLINE.sub(replace, "\n".join(lines)), characters["math"] / total, characters["code"] / total)


def _visible(text: str) -> int:
    return len("".join(text.split()))


def features(masked: Masked) -> str:
    """One line of tokens for a tagger."""
    words = _WORD.findall(masked.text[: 8 * FEATURE_WORDS].lower())[:FEATURE_WORDS]
    levels = [f"{name}{sum(share > level for level in _LEVELS)}" for name, share in
              (("⟦math⟧", masked.math), ("⟦code⟧", masked.code))]  # fmt: skip
    return " ".join([*levels, *words])


def letters(masked: Masked) -> tuple[str, int]:
    """(One line for the language tagger: words of the prose and their runs of up to three letters; number of words)."""
    text = masked.text[: 4 * FEATURE_WORDS].replace(FORMULA, " ").replace(CODE, " ")
    words = [word[:20].lower() for word in re.findall(r"[^\W\d_]+", text)]
    tokens = []
    for word in words:
        ends = f"·{word}·"
        tokens += [f"={word}", *word, *(ends[i : i + 2] for i in range(len(ends) - 1))]
        tokens += [ends[i : i + 3] for i in range(len(ends) - 2)]
    return " ".join(tokens), len(words)


def prose_lines(masked: Masked) -> list[str]:
    """Lines that are no heading, table or rule, and hold more than placeholders."""
    return [line.strip() for line in masked.text.split("\n") if _is_prose(line)]


def _is_prose(line: str) -> bool:
    words = line.replace(FORMULA, "").replace(CODE, "")
    return any(map(str.isalnum, words)) and not _HEADING_OR_TABLE.match(line)
