"""MathJax 3 and 4 output without its source -> MathML, by the structure and the code points that it keeps.

CHTML has an element `mjx-…` for every MathML element and a class `mjx-c1D465` for every character; SVG has
`data-mml-node` and `data-c`.
"""

from __future__ import annotations

import re

from lxml import etree
from lxml.etree import _Element

_LEAVES = frozenset(["mi", "mo", "mn", "mtext", "ms"])
_STRUCTURES = frozenset(
    [
        "mrow",
        "mfrac",
        "msqrt",
        "mroot",
        "msub",
        "msup",
        "msubsup",
        "munder",
        "mover",
        "munderover",
        "mtable",
        "mtr",
        "mtd",
        "mstyle",
        "menclose",
        "math",
    ]
)
_CODE = re.compile(r"(?:^|\s)mjx-c([0-9A-F]{2,6})(?:$|\s)")
_HEIGHT = re.compile(r"translate\([^,()]*[, ]\s*(-?[\d.]+)")
_ROOT_SIGN = "√"
_DEEPEST = 100


def rebuild(output: _Element) -> _Element | None:
    """The `math` element that an `mjx-container` shows; None where there is none inside."""
    for node in output.iter():
        if _kind(node) == "math":
            return _convert(node, 0)
    return None


def _kind(node: _Element) -> str:
    tag = node.tag if isinstance(node.tag, str) else ""
    return tag.removeprefix("mjx-") if tag.startswith("mjx-") else node.get("data-mml-node") or ""


def _convert(node: _Element, depth: int) -> _Element:
    kind = _kind(node)
    if kind in _LEAVES or depth > _DEEPEST:
        leaf = etree.Element(kind if kind in _LEAVES else "mtext")
        leaf.text = "".join(_characters(node))
        return leaf
    made = etree.Element(kind if kind in _STRUCTURES else "mrow")
    parts = [(part, _convert(part, depth + 1)) for part in _parts(node)]
    if kind in ("msqrt", "mroot"):
        parts = [part for part in parts if part[1].text != _ROOT_SIGN]
    if kind in ("msubsup", "munderover") and len(parts) == 3:
        parts = [parts[0], *sorted(parts[1:], key=lambda part: _height(part[0]))]  # what is below comes first
    elif kind in ("munder", "mover", "mroot") and node.tag != "g":
        parts.sort(key=lambda part: _role(part[0]))
    made.extend([part for _, part in parts])
    return made


def _parts(node: _Element) -> list[_Element]:
    """The nearest elements below that stand for MathML."""
    found = []
    for child in node:
        kind = _kind(child)
        if kind in _LEAVES or kind in _STRUCTURES or kind in ("texatom", "TeXAtom", "num", "den"):
            found.append(child)
        elif kind not in ("assistive-mml", "c"):
            found += _parts(child)
    return found


def _height(node: _Element) -> float:
    """Grows upwards; CHTML writes what is above first."""
    match = _HEIGHT.search(node.get("transform") or "")
    if match:
        return float(match[1])
    if "over" in _role(node) or "under" in _role(node):
        return float("over" in _role(node))
    return -float(len(list(node.itersiblings(preceding=True))))


def _role(node: _Element) -> str:
    """`0base`, or the wrapper that says what a part is: `over`, `root`, `script`, `under`."""
    for ancestor in node.iterancestors():
        kind = _kind(ancestor)
        if kind in ("over", "under", "root", "script"):
            return kind
        if kind in ("base", "box") or kind in _STRUCTURES:
            break
    return "0base"


def _characters(node: _Element) -> list[str]:
    found = []
    for child in node.iter():
        code = child.get("data-c")
        if code is None and (match := _CODE.search(child.get("class") or "")):
            code = match[1]
        if code is not None and re.fullmatch("[0-9A-F]{2,6}", code) and int(code, 16) < 0x110000:
            found.append(chr(int(code, 16)))
        elif child.tag in ("mjx-utext", "text") and child.text:
            found.append(child.text)
    return found
