"""What a response consists of: its thought and its answer, and the scripts its letters are in.

Synthesis refuses and SFT cleans by the same rules (report, section 3.1).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_NOT_PROSE = re.compile(r"</?think>|```.*?```|\$\$.*?\$\$|\$[^$\n]*\$|\\boxed\{[^}]*\}|`[^`\n]*`", re.DOTALL)
_NEUTRAL = frozenset({"GREEK", "MICRO", "OHM", "FEMININE", "MASCULINE", "MODIFIER", "DOUBLE-STRUCK", "SCRIPT",
                      "MATHEMATICAL", "BLACK-LETTER", "ALEF", "BET", "SUPERSCRIPT", "SUBSCRIPT"})
_CJK = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "IDEOGRAPHIC"})


def split_thought(text: str) -> tuple[str, str] | None:
    """(thought, answer), the thought empty if there is none; None when a thought is opened twice or never closed."""
    opened, closed = text.count("<think>"), text.count("</think>")
    if opened == closed == 0:
        return "", text.strip()
    if opened != 1 or closed != 1 or not text.lstrip().startswith("<think>"):
        return None
    thought, _, answer = text.partition("</think>")
    return thought.partition("<think>")[2].strip(), answer.strip()


def foreign_letters(prompt: str, text: str) -> tuple[float, str]:
    """Share of the letters of `text` outside the prompt's main script, and the commonest script among them.

    Formulas, code and mathematical symbols do not count: they are written in Latin and Greek in every language.
    """
    wanted = _scripts(prompt)
    found = _scripts(text)
    total = sum(found.values())
    if not total:
        return 0.0, ""
    main = (wanted or found).most_common(1)[0][0]
    foreign = Counter({script: count for script, count in found.items() if script != main})
    if not foreign:
        return 0.0, ""
    return sum(foreign.values()) / total, foreign.most_common(1)[0][0]


def _scripts(text: str) -> Counter[str]:
    """Letters by script; the scripts that Chinese, Japanese and Korean mix count as one each."""
    letters = Counter(character for character in _NOT_PROSE.sub(" ", text) if character.isalpha())
    scripts: Counter[str] = Counter()
    for letter, count in letters.items():
        name = unicodedata.name(letter, "UNKNOWN").split(" ")[0].split("-")[0]
        if name not in _NEUTRAL:
            scripts["CJK" if name in _CJK else name] += count
    return scripts
