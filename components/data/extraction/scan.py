"""One look at a page before anything is read from it: what it has at all, so that rules for what it has not cost
nothing. Navigation goes here, before anything walks it again.
"""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree
from lxml.etree import _Element

from components.data.extraction.boilerplate import is_boilerplate, names_boilerplate

FORMULA_DATA = (
    "data-tex",
    "data-latex",
    "data-formula",
    "data-math",
    "data-equation",
    "data-katex",
    "data-expr",
    "data-mathml",
    "data-original-tex",
    "data-math-tex",
    "data-tex-source",
    "data-latex-code",
    "data-mathjax-latex",
    "data-asciimath",
    "data-eqn",
    "data-mjx-latex",
    "data-latex-source",
    "data-equation-content",
    "data-attrs",
)
# attributes whose values name parts of a page as classes do
_NAMING = frozenset(
    [
        "data-area",
        "data-component",
        "data-testid",
        "data-module",
        "data-widget-type",
        "data-type",
        "data-ad",
        "data-name",
        "itemprop",
    ]
)
_ROLES = {
    "navigation": "",
    "complementary": "sidebar",
    "contentinfo": "footer",
    "search": "search",
    "dialog": "modal",
    "alertdialog": "modal",
    "toolbar": "toolbar",
    "menu": "menu",
    "menubar": "menu",
    "tablist": "menu",
}
_TOLD = frozenset(["style", "hidden", "role", "itemtype", "data-nosnippet", *_NAMING, *FORMULA_DATA])
_HIDING = re.compile(r"display:\s*none|visibility:\s*hidden", re.I)
_ENGINES = ("mathjax", "katex", "latex", "jsmath", "tex2jax", "asciimath", "mathml", "rendermath")
_ASCIIMATH = ("sciimath", "sciiMath", "ASCIIMathML", "AM_CHTML", "AM_HTMLorMML", "AM_SVG", "mml-am", "-am_", "AM-MML")
_HIDDEN_CLASSES = frozenset(["MathJax_Preview", "mw-editsection", "headerlink", "katex-html"])
_LONG_CLASS = 2000  # characters; a longer attribute names nothing
_LONG_SCRIPT = 60_000  # characters; longer scripts are programs and data, no configuration


_PRUNABLE = frozenset(["nav", "aside", "div", "ul", "ol", "section", "footer", "header", "table"])
_ALL_OF_IT, _MUCH = 0.8, 0.5  # of the page's characters
_LEAST_PAGE, _LEAST_SHOWN = 2000, 400  # characters; less is not all of a page, or much of one
_LINK_SHARE = 0.6  # of the characters of a boilerplate element, white space included
_STRING = etree.XPath("string(.)", smart_strings=False)
_LENGTH = etree.XPath("string-length(.)")


@dataclass(frozen=True)
class Page:
    """What is on a page. `classes` are its distinct class attributes, `scripts` what its scripts and their addresses
    say where they speak of formulas."""

    source: str
    classes: frozenset[str]
    words: frozenset[str]  # of all classes
    types: frozenset[str]  # the values of `itemtype`
    hidden: tuple[_Element, ...]
    data: tuple[_Element, ...]  # elements with one of `FORMULA_DATA`
    typewritten: tuple[_Element, ...]  # div and p whose style names white space and a font of one width
    mains: tuple[_Element, ...]  # that markup says the page is about
    scripts: str
    asciimath: bool

    @property
    def engine(self) -> bool:
        """Some program that draws formulas is named."""
        return bool(self.scripts)


def scan(root: _Element, source: str) -> Page:
    """Look at all elements below `root`, and remove navigation that is little else than links."""
    classes: dict[str, bool] = {}   # and whether each of them hides
    hidden: list[_Element] = []
    data: list[_Element] = []
    typewritten: list[_Element] = []
    pruned: list[_Element] = []
    types: set[str] = set()
    mains: list[_Element] = []
    most = functools.cache(lambda: _ALL_OF_IT * _LENGTH(root))   # counted when first asked for, and once
    walker = etree.iterwalk(root, events=("start",))
    for _, element in walker:
        tag = element.tag
        if tag in _PRUNABLE and is_boilerplate(element, tag) and _is_link_list(element, most):
            pruned.append(element)
            walker.skip_subtree()
            continue
        if tag == "pre":
            walker.skip_subtree()  # a highlighter's hundreds of spans say nothing
        elif tag == "main":
            mains.append(element)
        for name in element.keys():  # noqa: SIM118  an element is no mapping
            if name == "class":
                value = element.get("class", "")
                hides = classes.get(value)
                if hides is None:
                    hides = classes[value] = not _HIDDEN_CLASSES.isdisjoint(value.split())
                if hides:
                    hidden.append(element)
            elif name not in _TOLD:
                continue
            elif name == "style":
                value = element.get("style", "")
                if _HIDING.search(value[:2000]):
                    hidden.append(element)
                if "white-space" in value and "mono" in value and tag in ("div", "p"):
                    typewritten.append(element)
            elif name == "hidden" or (name == "role" and element.get("role") == "navigation"):
                hidden.append(element)
            elif name == "role" and element.get("role") == "main" and tag != "main":
                mains.append(element)
            elif name in FORMULA_DATA:
                data.append(element)
            elif name == "itemtype":
                types.add(element.get("itemtype", ""))
            else:
                _name(element, name)
    for element in pruned:
        named = element.get("class") or ""
        element.clear(keep_tail=True)
        element.set("class", named)
    words = frozenset(itertools.chain.from_iterable(value.split() for value in classes if len(value) < _LONG_CLASS))
    scripts = "\n".join(_speaking_of_formulas(root))
    if not scripts and (words & {"MathJax", "MathJax_Preview", "katex", "math-tex", "tex2jax_process", "mathjax"}):
        scripts = "mathjax"
    asciimath = any(name in scripts for name in _ASCIIMATH)
    named = (frozenset(classes), words, frozenset(types))
    found = (tuple(hidden), tuple(data), tuple(typewritten), tuple(mains))
    return Page(source, *named, *found, scripts, asciimath)


def _name(element: _Element, attribute: str) -> None:
    """Add to an element's classes what another attribute says against it."""
    value = element.get(attribute) or ""
    if attribute == "role":
        word = _ROLES.get(value, "")
    elif attribute == "data-nosnippet":
        word = "nosnippet" if element.find(".//pre") is None else ""
    else:
        word = value if len(value) < 40 and names_boilerplate(value) else ""
    if word:
        element.set("class", f"{element.get('class') or ''} {word}")


@functools.lru_cache(maxsize=512)
def with_classes(values: tuple[str, ...]) -> Callable[[_Element], list[_Element]]:
    """Finds the elements whose class attribute is one of `values`."""
    variables = " or ".join(f"@class = $c{index}" for index in range(len(values)))
    path = etree.XPath(f"//*[@class and ({variables})]")
    return functools.partial(path, **{f"c{index}": value for index, value in enumerate(values)})


def _is_link_list(element: _Element, most: Callable[[], float]) -> bool:
    """Little else than links, and not all of the page: that is content, whatever it is called."""
    links = sum(len(link.text or "") if len(link) == 0 else len(_STRING(link)) for link in element.iter("a"))
    if links == 0:
        return False
    length = _LENGTH(element)
    if links <= _LINK_SHARE * length or element.find(".//pre") is not None:
        return False
    return length < _LEAST_PAGE or length < most()


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
        if ("math" in lower or "tex" in lower) and any(name in lower for name in _ENGINES):
            found.append(text)
    return found


def remove_hidden(page: Page, body: _Element) -> None:
    """Empty what a reader never sees; formulas that hide their source are placeholders by now and stay. What holds
    much of a page is shown by a script: frameworks send it hidden. Behind a tab is the same for another system."""
    much = functools.cache(lambda: _MUCH * _LENGTH(body))   # of the body as it was before the first that asks
    for element in page.hidden:
        if element.getparent() is None or not element.attrib or element.tag in ("body", "html"):
            continue
        streamed = (element.get("id") or "").startswith("S:")   # React's name for a part of the page
        length = _LENGTH(element)
        if streamed or element.get("role") == "tabpanel" or (length >= _LEAST_SHOWN and length > much()):
            for name in ("hidden", "style", "class"):
                element.attrib.pop(name, None)
        else:
            element.clear(keep_tail=True)
