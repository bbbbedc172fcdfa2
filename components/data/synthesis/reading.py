"""Prompts about documents, and the program that answers them by extraction and arithmetic.

The program reads nothing into a text: it lists formulas, counts code lines, evaluates what is plain arithmetic, and
quotes the first sentence. It stands in for a reasoning model in the smoke profile.

- `analysis_prompt`, `summary_prompt`    what a teacher is asked about a document
- `read`                                 the program's answer to such a prompt
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from components.data.synthesis.solvers import Solution

ANALYSIS = (
    "Analyse this passage in depth. Explain what its formulas and code say, why they hold, and what follows from them."
)
SUMMARY = "Say in one sentence what this text is about."

_FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$\n]+?)\$", re.DOTALL)
_CODE = re.compile(r"^```.*?\n(.*?)^```", re.DOTALL | re.MULTILINE)
_ARITHMETIC = re.compile(r"(?<![\w.*/^+-])(?<![*/^+-] )(\d{1,4}) ?([-+*]) ?(\d{1,4})(?!\w|\.\d| ?[*/^+-])")
_APPLY = {"+": int.__add__, "-": int.__sub__, "*": int.__mul__}


def analysis_prompt(document: Mapping[str, Any], characters: int) -> str:
    """The passage around the document's first formula or code block, with the task."""
    text = document["text"]
    first = re.search(r"\$|^```", text, re.MULTILINE)
    start = text.rfind("\n\n", 0, first.start()) + 2 if first and first.start() > characters // 2 else 0
    return f"{ANALYSIS}\n\n{_excerpt(text[max(start, 0) :], characters)}"


def summary_prompt(document: Mapping[str, Any], characters: int) -> str:
    """Title and beginning of the document, with the task."""
    title = document["title"].strip() or "Untitled"
    return f"{SUMMARY}\n\n{title}\n\n{_excerpt(_prose(document['text'], title), characters)}"


def read(prompt: str) -> Solution | None:
    """Answer an analysis or summary prompt; None for any other, and for a text that gives nothing to say."""
    task, _, text = prompt.partition("\n\n")
    if task == ANALYSIS:
        return _analyse(text)
    if task == SUMMARY:
        return _sum_up(text)
    return None


def _excerpt(text: str, characters: int) -> str:
    """At most `characters`, cut between paragraphs where possible."""
    text = text.strip()
    if len(text) <= characters:
        return text
    cut = text.rfind("\n\n", 0, characters)
    if cut < characters // 2:
        cut = text.rfind(" ", 0, characters)
    return text[: cut if cut > 0 else characters].rstrip()


def _prose(text: str, title: str) -> str:
    """Paragraphs that are no heading, table, list or code."""
    paragraphs = [" ".join(part.split()) for part in _CODE.sub("", text).split("\n\n")]
    return "\n\n".join(part for part in paragraphs if len(part) > 60 and part[0].isalpha() and part != title)


def _analyse(text: str) -> Solution | None:
    blocks = _CODE.findall(text)
    prose = _CODE.sub("", text)
    formulas = list(dict.fromkeys((display or inline).strip() for display, inline in _FORMULA.findall(prose)))
    results = [
        f"{match.group(0)} = {_APPLY[match.group(2)](int(match.group(1)), int(match.group(3)))}"
        for match in dict.fromkeys(_ARITHMETIC.finditer(prose))
    ]
    lines = sum(bool(line.strip()) for block in blocks for line in block.splitlines())
    if not formulas and not blocks:
        return None
    thought = [f"Formulas: {len(formulas)}. Blocks of code: {len(blocks)}, with {lines} lines."]
    answer = []
    for formula in formulas[:5]:
        symbols = sorted(set(re.findall(r"(?<![\\\w])[A-Za-z](?!\w)", formula)))
        thought.append(f"${formula}$ has {', '.join(symbols) if symbols else 'no letters'}.")
        relates = "=" in formula and len(symbols) > 1
        answer.append(f"- ${formula}$" + (f" relates {' and '.join(symbols)}" if relates else ""))
    names = list(dict.fromkeys(re.findall(r"\b([A-Za-z_]\w*)\(", "\n".join(blocks))))[:6]
    if names:
        thought.append(f"The code calls {', '.join(names)}.")
        answer.append(f"- the code uses {', '.join(f'`{name}`' for name in names)}")
    for result in dict.fromkeys(results[:5]):
        thought.append(f"{result}.")
        answer.append(f"- {result}")
    return Solution("\n".join(thought), "\n".join(["The passage holds:", *answer]) if answer else thought[0])


def _sum_up(text: str) -> Solution | None:
    title, _, body = text.partition("\n\n")
    first = re.match(r".{20,300}?[.!?](?=\s|$)", body, re.DOTALL)
    if not first:
        return None
    sentence = " ".join(first.group(0).split())
    return Solution(f"The title is {title}. The first sentence says what it is about.", sentence)
