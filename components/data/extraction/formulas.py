"""Formulas that are elements: every kind of markup that carries TeX or MathML becomes a placeholder.

The outermost element that stands for one formula is replaced as a whole (Wikipedia's `mwe-math-element`, KaTeX's and
MathJax's output with their hidden copies), so that a formula comes out once.
"""

from __future__ import annotations

import json
import re
from urllib.parse import unquote, unquote_plus, urlsplit

from lxml import etree
from lxml.etree import _Element

from components.data.extraction.mathml import local_name, mathml_to_tex
from components.data.extraction.rendered import rebuild
from components.data.extraction.result import Formula
from components.data.extraction.scan import FORMULA_DATA, Page, with_classes
from components.data.extraction.slots import OPEN, Slots
from components.data.extraction.tex import maybe_tex, strip_wrapping, surely_tex, undelimit

Found = tuple[str, bool, str]  # TeX, display, origin

_WITH_VALUE = etree.XPath("//*[@data-value and contains(@class, 'ql-formula')]")
_TAGS = (
    "math",
    "mml:math",
    "m:math",
    "mathml:math",
    "mjx-container",
    "d-math",
    "math-renderer",
    "tex-math",
    "amp-mathml",
    "math-field",
    "tex",
    "latex",
    "inline-math",
    "la-tex",
    "x-katex",
    "x-tex",
    "eq",
    "eqn",
    "var",
)
_MATHJAX_OUTPUT = frozenset([
    "MathJax", "MathJax_Display", "MathJax_SVG", "MathJax_SVG_Display", "MathJax_CHTML", "mjx-chtml", "MJXc-display",
    "MathJax_MathML", "MathJax_PHTML", "MathJax_PlainSource", "MathJax_Processed",
])  # fmt: skip
_CONTAINERS = {"katex-display", "katex", "mwe-math-element", "texhtml-katex", "math-katex", "ltx_Math"}
_TEXT_CLASSES = {
    "math",
    "tex",
    "latex",
    "TeX",
    "LaTeX",
    "math-container",
    "math-tex",
    "arithmatex",
    "mathjax",
    "MathJax_Preview",
    "math-inline",
    "math-display",
    "math-block",
    "inline-math",
    "display-math",
    "js-render-math",
    "katex-src",
    "mathtex",
    "tex2jax_process",
    "inline-formula",
    "disp-formula",
    "inline-equation",
    "display-equation",
    "formula",
    "equation",
    "language-math",
    "tex-math",
    "mathjax-inline",
    "mathjax-block",
    "jax",
    "math-formula",
    "latex-formula",
    "tex-formula",
    "nolink-math",
    "mathquill",
    "mathquill-embedded-latex",
    "texmath",
    "wp-katex-eq",
    "katex-eq",
    "math_inline",
    "math_display",
    "tex-span",
}
_CLASSES = _MATHJAX_OUTPUT | _CONTAINERS | _TEXT_CLASSES
_PLAIN_CLASSES = frozenset(["formula", "equation", "tex", "latex", "math"])  # whose TeX may be a mere letter
_DISPLAY_CLASSES = re.compile(r"display|block|disp-|katex-eq-block|ltx_equation", re.I)
_IMAGE_CLASSES = re.compile(r"math|\btex\b|latex|equation|formula|wiris", re.I)
_IMAGE_URL = re.compile(
    r"codecogs|mathtex|mimetex|latex2png|texrender|forkosh|latex\.php|chart\.(?:apis\.)?google|googleapis\.com/chart|"
    r"render/math|/equation\?|upmath|s2cms|quicklatex|math\.now\.sh|/latex|/tex/|tex\.cgi|/math/render|"
    r"eq\.latex|/svg\.image|"
    r"/gif\.latex|/png\.latex|/svg\.latex|texify|latexmath|wikimedia\.org/api/rest_v1/media/math|"
    r"%(?:25)?5c[a-z]{2}",   # of whatever service: no other address holds a command of TeX
    re.I,
)
_IMAGE_HINTS = ("tex", "math", "chart", "equation", "s2cms", "forkosh", "codecogs", "5c")
_SOURCES = ("src", "data-src", "data-lazy-src", "data-original")
_IMAGE_OPTIONS = re.compile(r"^(?:\\(?:dpi\{\d+\}|[bf]g_\w+|inline|large|Large|small|huge|fn_\w+|displaystyle)\s*)+")
_QUERY = re.compile(r"[?&](?:tex|latex|math|chl|eq|equation|formula|from|expr|code|t|l)=([^&#]+)", re.I)
_JSON = re.compile(r'"(?:persistentExpression|latex|tex|formula|equation|expression)"\s*:\s*("(?:[^"\\]|\\.)*")')
_NUMBERS = etree.XPath(".//*[contains(@class, 'eqno') or contains(@class, 'equation-number')]")
_COPIED = re.compile(r"\n\s*\n")  # between what is left of elements that were stripped to their text
_WIRIS = str.maketrans("«»¨§´", "<>\"&'")
_PARSER = etree.HTMLParser(encoding="utf-8", no_network=True, huge_tree=False)


def _candidates(root: _Element, page: Page) -> list[_Element]:
    """What may be a formula, outer elements first; only rules for what the page has are asked."""
    kinds = [list(root.iter(*_TAGS))]
    if "mathjax" in page.scripts:
        kinds.append([script for script in root.iter("script") if (script.get("type") or "").startswith("math/")])
    words = page.words & _CLASSES
    if words:
        classes = tuple(sorted(value for value in page.classes if not words.isdisjoint(value.split())))
        kinds.append(with_classes(classes)(root))
    if page.data:
        kinds.append(list(page.data))
    if "ql-formula" in page.words:
        kinds.append(_WITH_VALUE(root))
    filled = [kind for kind in kinds if kind]
    if len(filled) > 1:
        chosen = {element for kind in filled for element in kind}
        filled = [[element for element in root.iter() if element in chosen]]
    return [*(filled[0] if filled else []), *root.iter("svg"), *filter(_may_be_image, root.iter("img"))]


def _may_be_image(image: _Element) -> bool:
    text = f"{image.get('alt') or ''} {image.get('title') or ''}"
    if "\\" in text or "$" in text or "^" in text or "_" in text or "=" in text:
        return True
    classes = image.get("class")
    if classes and _IMAGE_CLASSES.search(classes):
        return True
    for name in _SOURCES:
        source = image.get(name)
        if source and not source.startswith("data:"):
            source = source[:1000].lower()
            if any(hint in source for hint in _IMAGE_HINTS) and _IMAGE_URL.search(source):
                return True
    return image.get("data-mathml") is not None


def replace_formulas(root: _Element, page: Page, slots: Slots) -> None:
    """Replace every formula element below `root` by its placeholder, in place."""
    gone: set[_Element] = set()
    for element in _candidates(root, page):
        if element in gone or element.getparent() is None:
            continue
        found = _read(element)
        if found is None or OPEN in found[0]:  # code inside: no formula
            continue
        gone.update(element.iter())
        tex, display, origin = found
        tail = element.tail
        element.clear()
        element.tail = tail
        element.tag = "span"
        tex = strip_wrapping(tex)
        element.text = slots.put(Formula(tex, display, origin)) if tex else None


def _read(element: _Element) -> Found | None:
    """The formula that `element` stands for, `("", …)` for a copy that goes, None if it is no formula as a whole."""
    name = local_name(element)
    if name == "math":
        return _math(element)
    if name == "img":
        return _data(element, []) or _image(element)
    if name == "script":
        return _script(element)
    if name == "svg":
        return _svg(element)
    classes = (element.get("class") or "").split()
    if name == "mjx-container" or not _MATHJAX_OUTPUT.isdisjoint(classes):
        return _rendered(element)
    if not _CONTAINERS.isdisjoint(classes):
        return _container(element, classes)
    return _data(element, classes) or _text(element, name, classes)


def _math(math: _Element) -> Found | None:
    display = math.get("display") == "block" or math.get("mode") == "display" or "display" in (math.get("class") or "")
    for child in math.iter():
        if local_name(child) == "annotation" and "tex" in (child.get("encoding") or "").lower():
            tex, wide, _ = undelimit("".join(child.itertext()))
            if tex:
                return tex, display or wide, "mathml annotation"
    alttext, wide, _ = undelimit(math.get("alttext") or math.get("alt") or "")
    if alttext and maybe_tex(alttext):
        return alttext, display or wide, "mathml alttext"
    tex = mathml_to_tex(math)
    if not tex and math.text and maybe_tex(math.text):  # TeX written straight into <math>
        tex, wide, _ = undelimit("".join(math.itertext()))
    return (tex, display or wide, "mathml") if tex else None


def _script(script: _Element) -> Found | None:
    kind = (script.get("type") or "").lower()
    source = strip_wrapping(script.text or "")
    display = "mode=display" in kind.replace(" ", "")
    if "tex" in kind and source:
        return undelimit(source)[0], display, "script"
    if "mml" in kind or "mathml" in kind:
        found = _parse_mathml(source)
        return (found[0], display or found[1], "script mathml") if found else None
    return (source, display, "script asciimath") if "asciimath" in kind and source else None


def _parse_mathml(source: str) -> Found | None:
    if "<" not in source or len(source) > 100_000:
        return None
    tree = etree.fromstring(source.encode(), _PARSER)
    math = None if tree is None else next((node for node in tree.iter() if local_name(node) == "math"), None)
    return None if math is None else _math(math)


def _rendered(element: _Element) -> Found | None:
    """MathJax's output: nothing where its source stands beside it, else its source attributes or hidden MathML."""
    sibling = element.getnext()
    for _ in range(3):
        if sibling is None:
            break
        if sibling.tag == "script" and (sibling.get("type") or "").startswith("math/"):
            return "", False, "rendered"
        sibling = sibling.getnext()
    if element.find(".//script[@type]") is not None:  # a wrapper around output and source
        return None
    display = element.get("display") == "true" or bool(_DISPLAY_CLASSES.search(element.get("class") or ""))
    for node in element.iter():
        if isinstance(node.tag, str):
            tex = node.get("data-latex") or node.get("data-tex")
            if tex:
                return undelimit(tex)[0], display, "rendered source"
            mathml = node.get("data-mathml")
            found = _parse_mathml(mathml) if mathml else _math(node) if local_name(node) == "math" else None
            if found:
                return found[0], display or found[1], "rendered mathml"
            if "mjx-math" in (node.get("class") or "") and node.get("aria-label"):  # MathJax 2, drawn by a server
                return undelimit(node.get("aria-label", ""))[0], display, "rendered source"
    rebuilt = rebuild(element)
    tex = "" if rebuilt is None else mathml_to_tex(rebuilt)
    return (tex, display, "rendered") if tex else None


def _container(element: _Element, classes: list[str]) -> Found | None:
    display = any(_DISPLAY_CLASSES.search(word) for word in classes)
    for node in element.iter():
        found = None
        if node is not element:
            found = _math(node) if local_name(node) == "math" else _image(node) if node.tag == "img" else None
        if found:
            parent = element.getparent()
            around = parent.get("class") or "" if parent is not None else ""
            display = display or found[1] or "katex-display" in around
            return found[0], display, "katex" if "katex" in " ".join(classes) else found[2]
        if node.get("class") == "katex-mathml" and len(node) == 0:  # MathML stripped to its text; the source is last
            tex = _COPIED.split((node.text or "").strip())[-1]
            return (tex, display, "katex") if tex else None
    return _data(element, classes)


def _data(element: _Element, classes: list[str]) -> Found | None:
    held = element.keys()
    for name in (*FORMULA_DATA, "data-value") if "ql-formula" in classes else FORMULA_DATA:
        value = element.get(name) if name in held else None
        if not value or len(value) > 20_000:
            continue
        if name == "data-mathml" or value.lstrip().startswith(("<math", "«math")):
            found = _parse_mathml(value.translate(_WIRIS) if "«" in value else value)
            if found:
                return found
        if name == "data-attrs":
            inside = _JSON.search(value)
            value, classes = (json.loads(inside[1]), [*classes, "display-math"]) if inside else ("", classes)
        tex, display, delimited = undelimit(value)
        if delimited or surely_tex(tex) or ((not _TEXT_CLASSES.isdisjoint(classes) or "ql-formula" in classes) and tex):
            return tex, display or any(_DISPLAY_CLASSES.search(word) for word in classes), "attribute"
    return None


def _text(element: _Element, name: str, classes: list[str]) -> Found | None:
    """An element that by its name or class holds nothing but TeX as text."""
    tagged = name in _TAGS
    if not tagged and _TEXT_CLASSES.isdisjoint(classes):
        return None
    for number in _NUMBERS(element) if len(element) else ():
        number.clear(keep_tail=True)
        number.tag = "wbr"
    if any(child.tag not in ("br", "wbr") for child in element) and name not in ("math-renderer", "d-math"):
        children = {child.tag for child in element}
        if not children <= {"br", "wbr", "span", "code"} or element.find(".//*[@class]") is not None:
            return None
    text = "".join(element.itertext())
    if len(text) > 20_000:
        return None
    tex, display, delimited = undelimit(text)
    if name == "var" and not surely_tex(tex):
        return None
    if not tex or not (delimited or maybe_tex(tex)) or "\\)" in tex or ("$" in tex and not delimited):
        return None
    strong = tagged or delimited or surely_tex(tex) or not _PLAIN_CLASSES.isdisjoint(classes)
    wide = name == "div" or element.get("display") is not None or any(_DISPLAY_CLASSES.search(word) for word in classes)
    return (tex, (display or wide) if delimited or wide else False, "element") if strong else None


def _svg(svg: _Element) -> Found | None:
    labels = [svg.get(name) for name in ("data-tex", "data-latex", "aria-label")]
    for label in [*labels, svg.findtext("title"), svg.findtext("desc")]:
        if label:
            tex, display, delimited = undelimit(label)
            if delimited or surely_tex(tex):
                return tex, display, "svg"
    return None


def _image(image: _Element) -> Found | None:
    texts = [image.get("alt") or "", image.get("title") or ""]
    alt = next(filter(surely_tex, texts), texts[0] or texts[1])
    alt = " ".join(alt.split()).removeprefix("LaTeX: ")
    classes = image.get("class") or ""
    sources = [source for name in _SOURCES if (source := image.get(name)) and not source.startswith("data:")]
    source = next(filter(_IMAGE_URL.search, sources), "")
    tex, display, delimited = undelimit(alt)
    display = display or "display" in classes
    if maybe_tex(tex) and (delimited or (surely_tex(tex) and re.search(r"\\[a-zA-Z]{2,}|[_^]\{|\S\^\S", tex))):
        return tex, display, "image alt"
    if source:
        from_url = _tex_in_url(source)
        if from_url:
            return from_url, display, "image url"
        if tex and maybe_tex(tex):
            return tex, display, "image alt"
    if _IMAGE_CLASSES.search(classes) and maybe_tex(tex) and not re.fullmatch(r"[\w -]*\.\w{3,4}|[A-Za-z]{4,}", tex):
        return tex, display, "image alt"
    return None


def _tex_in_url(url: str) -> str:
    """TeX that an image service was asked to draw."""
    match = _QUERY.search(url)
    if match:
        tex = unquote_plus(match[1])
    else:
        parts = urlsplit(url)
        tex = unquote(parts.query or parts.path.rpartition("/svg/" if "/svg/" in parts.path else "/")[2])
        if re.search(r"\.(?:png|gif|svg|jpe?g|webp)$", tex):
            return ""
    tex = unquote(tex) if "%5C" in tex else tex   # some encode it twice
    tex, _, delimited = undelimit(strip_wrapping(tex))
    tex = _IMAGE_OPTIONS.sub("", tex).strip()
    named = match is not None and (maybe_tex(tex) or "latex" in match[0])
    return tex if tex and (delimited or surely_tex(tex) or named) else ""
