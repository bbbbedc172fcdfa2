"""Which answers are good enough to learn from, apart from being right (which the rewards decide).

Source: MiMo report 3.1: samples with mixed languages or incomplete responses out, at most 8 responses per query.

- `flaw`       why an answer is refused, or nothing
- `distinct`   which answers to one query are not near-copies of an earlier one
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

from components.data.synthesis.teacher import Generation
from components.model.chat_template import CONTROL_TOKENS, SPECIAL_TOKENS

_NOT_PROSE = re.compile(r"</?think>|```.*?```|\$\$.*?\$\$|\$[^$\n]*\$|\\boxed\{[^}]*\}|`[^`\n]*`", re.DOTALL)
_NEUTRAL = frozenset({"GREEK", "MICRO", "OHM", "FEMININE", "MASCULINE", "MODIFIER", "DOUBLE-STRUCK", "SCRIPT",
                      "MATHEMATICAL", "BLACK-LETTER", "ALEF", "BET", "SUPERSCRIPT", "SUBSCRIPT"})
_CJK = frozenset({"CJK", "HIRAGANA", "KATAKANA", "HALFWIDTH", "IDEOGRAPHIC"})


def flaw(prompt: str, generation: Generation, mixing: float) -> tuple[str, str]:
    """Why an answer is refused: (reason, detail), both empty for a good one.

    Args:
        mixing: largest share of letters outside the script that most letters of the prompt are in.
    """
    if generation.refused:
        return "refused", generation.refused
    forged = [token for token in SPECIAL_TOKENS if token in prompt]
    forged += [token for token in CONTROL_TOKENS if token in generation.text]
    if forged:   # a page that writes chat markup would put words into another role's mouth
        return "control_token", forged[0]
    if not generation.finished:
        return "truncated", generation.text[-200:]
    parts = split_thought(generation.text)
    if parts is None:
        return "incomplete_thought", generation.text[:200]
    if not parts[1]:
        return "no_answer", generation.text[-200:]
    share, script = foreign_letters(prompt, generation.text)
    if share > mixing:
        return "language_mixing", f"{share:.0%} of the letters are {script}"
    return "", ""


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


def distinct(texts: Sequence[str], threshold: float) -> list[bool]:
    """For each text, whether its word 5-grams are below `threshold` Jaccard similarity to every earlier kept one."""
    kept: list[frozenset[tuple[str, ...]]] = []
    verdicts = []
    for text in texts:
        grams = _grams(text)
        new = all(_jaccard(grams, other) < threshold for other in kept)
        if new:
            kept.append(grams)
        verdicts.append(new)
    return verdicts


def _grams(text: str, size: int = 5) -> frozenset[tuple[str, ...]]:
    words = re.findall(r"\w+|[^\w\s]", text.casefold())
    return frozenset(tuple(words[start : start + size]) for start in range(max(1, len(words) - size + 1)))


def _jaccard(left: frozenset[tuple[str, ...]], right: frozenset[tuple[str, ...]]) -> float:
    return len(left & right) / len(left | right)
