"""One look at every element: what the page has at all, so that rules for what it has not cost nothing."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lxml.etree import _Element

_HIDING = re.compile(r"display:\s*none|visibility:\s*hidden", re.I)
_ENGINES = ("athjax", "athJax", "atex", "aTeX", "jsMath", "tex2jax", "sciimath", "sciiMath", "ASCIIMathML",
            "athML", "athml")
_HIDDEN_CLASSES = frozenset(["MathJax_Preview", "mw-editsection", "headerlink", "katex-html"])


@dataclass(frozen=True)
class Page:
    """What is on a page. `classes` are its distinct class attributes, one a line."""

    source: str
    tags: frozenset[str]
    classes: str
    hidden: tuple[_Element, ...]
    engine: bool       # some program that draws formulas is named
    asciimath: bool


def scan(root: _Element, source: str) -> Page:
    """Look at all elements below `root` once."""
    tags: set[str] = set()
    classes: set[str] = set()
    hidden: list[_Element] = []
    for element in root.iter():
        tags.add(element.tag)
        attributes = element.attrib
        if not attributes:
            continue
        names = attributes.get("class")
        if names:
            classes.add(names)
        style = attributes.get("style")
        unseen = (style and _HIDING.search(style)) or "hidden" in attributes or attributes.get("role") == "navigation"
        if unseen or (names and not _HIDDEN_CLASSES.isdisjoint(names.split())):
            hidden.append(element)
    engine = any(name in source for name in _ENGINES)
    return Page(
        source, frozenset(tags), "\n".join(classes), tuple(hidden), engine,
        asciimath=engine and ("sciimath" in source or "sciiMath" in source or "ASCIIMathML" in source),
    )


def remove_hidden(page: Page) -> None:
    """Empty what a reader never sees; formulas that hide their source are placeholders by now and stay."""
    for element in page.hidden:
        if element.getparent() is not None and element.attrib and element.tag not in ("body", "html"):
            element.clear(keep_tail=True)
