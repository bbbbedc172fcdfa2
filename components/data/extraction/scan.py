"""One look at a page before anything is read from it: what it has at all, so that rules for what it has not cost nothing.

Everything that walks the whole tree here does so inside libxml2: Python only sees attributes and the few elements found.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from lxml import etree
from lxml.etree import _Element

FORMULA_DATA = (
    "data-tex", "data-latex", "data-formula", "data-math", "data-equation", "data-katex", "data-expr", "data-mathml",
    "data-original-tex", "data-math-tex", "data-tex-source", "data-latex-code", "data-mathjax-latex", "data-asciimath",
    "data-eqn", "data-mjx-latex", "data-latex-source", "data-equation-content")
_TOLD = frozenset(["style", "hidden", "role", *FORMULA_DATA])
_HIDING = re.compile(r"display:\s*none|visibility:\s*hidden", re.I)
_ENGINES = ("mathjax", "katex", "latex", "jsmath", "tex2jax", "asciimath", "mathml", "rendermath")
_HIDDEN_CLASSES = frozenset(["MathJax_Preview", "mw-editsection", "headerlink", "katex-html"])
_LONG_SCRIPT = 60_000   # characters; longer scripts are programs and data, no configuration


_PRUNABLE = frozenset(["nav", "aside", "div", "ul", "ol", "section", "footer", "header", "table"])
_LINK_SHARE = 0.6   # of the characters of a boilerplate element, white space included
_STRING = etree.XPath("string(.)", smart_strings=False)
_LENGTH = etree.XPath("string-length(.)")
_BOILERPLATE_TAGS = frozenset(["nav", "aside", "footer", "form", "menu"])
_BOILERPLATE = re.compile(
    r"(?:^|[\s_-])(?:nav\w*|menu|side-?bar|breadcrumbs?|footer|foot|related|recommend\w*|share\w*|sharing|social|"
    r"promo\w*|adverts?|advertisement|ads|sponsor\w*|cookies?|consent|newsletter|subscribe|subscription|"
    r"popup|modal|banner|"
    r"comments?|respond|disqus|pagination|pager|toc|skip-?link|sr-only|screen-reader\w*|visually-hidden|"
    r"print-?only|byline|"
    r"author-?(?:box|bio|info|date|name)?|\w*bio|post-?meta|entry-?meta|tags?|tagcloud|widget\w*|login|"
    r"signup|search\w*|"
    r"masthead|copyright|(?:most-?)?popular|cta|recirc\w*|trending|overlay|lightbox|player|vjs|video\w*|off-?screen|"
    r"time-?stamp|dateline|published?|topics|categories|read-?more|teaser|follow\w*|"
    r"site-?header|page-?header|jump-?links?|catlinks|mw-editsection|headerlink|noprint|metadata|outbrain|"
    r"taboola|most-?read|"
    r"hidden|d-none|toolbar|dropdown)(?:$|[\s_-])", re.I)


@dataclass(frozen=True)
class Page:
    """What is on a page. `classes` are its distinct class attributes, `scripts` what its scripts and their addresses say
    where they speak of formulas."""

    source: str
    classes: frozenset[str]
    words: frozenset[str]   # of all classes
    hidden: tuple[_Element, ...]
    data: tuple[_Element, ...]   # elements with one of `FORMULA_DATA`
    scripts: str
    asciimath: bool

    @property
    def engine(self) -> bool:
        """Some program that draws formulas is named."""
        return bool(self.scripts)


def scan(root: _Element, source: str) -> Page:
    """Look at all elements below `root`, and remove navigation that is little else than links: less to walk, and nothing
    a reader came for."""
    classes: set[str] = set()
    hidden: list[_Element] = []
    data: list[_Element] = []
    pruned: list[_Element] = []
    walker = etree.iterwalk(root, events=("start",))
    for _, element in walker:
        if element.tag in _PRUNABLE and is_boilerplate(element, element.tag) and _is_link_list(element):
            pruned.append(element)
            walker.skip_subtree()
            continue
        for name in element.keys():
            if name == "class":
                classes.add(element.get("class", ""))
            elif name in _TOLD:
                if name == "style":
                    unseen = _HIDING.search(element.get("style", "")[:2000])
                else:
                    unseen = name == "hidden" or (name == "role" and element.get("role") == "navigation")
                if unseen:
                    hidden.append(element)
                elif name.startswith("data-"):
                    data.append(element)
    for element in pruned:
        element.clear(keep_tail=True)
    words = frozenset(word for value in classes for word in _words(value))
    if not _HIDDEN_CLASSES.isdisjoint(words):
        hidden += _of_classes(root, tuple(sorted(_HIDDEN_CLASSES & words)))
    scripts = "\n".join(_speaking_of_formulas(root))
    if not scripts and (words & {"MathJax", "MathJax_Preview", "katex", "math-tex", "tex2jax_process", "mathjax"}):
        scripts = "mathjax"
    return Page(source, frozenset(classes), words, tuple(hidden), tuple(data), scripts, asciimath="sciimath" in scripts or "sciiMath" in scripts
                or "AM_CHTML" in scripts or "AM_HTMLorMML" in scripts or "AM_SVG" in scripts or "/asciimath" in scripts
                or "ASCIIMathML" in scripts or "mml-am" in scripts or "-am_" in scripts.lower())


@functools.lru_cache(maxsize=16_384)   # a site repeats its few hundred classes on every page
def _words(value: str) -> tuple[str, ...]:
    return tuple(value.split()) if len(value) < 2000 else ()


@functools.lru_cache(maxsize=256)
def _class_path(words: tuple[str, ...]) -> etree.XPath:
    return etree.XPath("//*[@class and (" + " or ".join(f"contains(@class, '{word}')" for word in words) + ")]")


def _is_link_list(element: _Element) -> bool:
    if len(element) == 0:
        return False
    links = sum(len(link.text or "") if len(link) == 0 else len(_STRING(link)) for link in element.iter("a"))
    return links > _LINK_SHARE * _LENGTH(element) and element.find(".//pre") is None


def is_boilerplate(element: _Element, tag: str) -> bool:
    """Whether markup makes it likely that an element holds no content."""
    if tag in _BOILERPLATE_TAGS:
        return True
    if tag in ("body", "html", "article", "main"):
        return False
    classes, name = element.get("class"), element.get("id")
    if classes and _names_boilerplate(classes):
        return True   # an id may be a heading's words: `related-functions` is a section like any other
    return bool(name) and tag not in ("section", "span", "a") and len(name) <= 24 and _names_boilerplate(name)


@functools.lru_cache(maxsize=8192)   # a site repeats its few hundred classes on every page
def _names_boilerplate(words: str) -> bool:
    return bool(_BOILERPLATE.search(words))


def _of_classes(root: _Element, words: tuple[str, ...]) -> list[_Element]:
    return [element for element in _class_path(words)(root) if not set(words).isdisjoint(element.get("class").split())]


def _speaking_of_formulas(root: _Element) -> list[str]:
    found = []
    for element in root.iter("script", "link", "meta"):
        if element.tag != "script":
            text = element.get("href") or ""
        elif (element.get("type") or "").startswith("math/"):
            found.append("mathjax")
            continue
        else:
            text = element.text or ""
            text = f"{element.get('src') or ''} {text if len(text) < _LONG_SCRIPT else ''}"
        lower = text.lower()
        if any(name in lower for name in _ENGINES):
            found.append(text)
    return found


def remove_hidden(page: Page) -> None:
    """Empty what a reader never sees; formulas that hide their source are placeholders by now and stay."""
    for element in page.hidden:
        if element.getparent() is not None and element.attrib and element.tag not in ("body", "html"):
            element.clear(keep_tail=True)
