"""Presentation MathML -> TeX, for formulas that come without their TeX source."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

from lxml.etree import _Element

from components.data.extraction.symbols import ACCENTS, FUNCTIONS, SYMBOLS

MAX_DEPTH = 60  # of nested MathML; deeper formulas are flattened to their text

_SKIPPED = {"annotation", "annotation-xml", "mphantom", "mprescripts", "none", "maligngroup", "malignmark"}
_LARGE = {"∑", "∏", "∐", "∫", "∬", "∭", "∮", "⋂", "⋃", "⋁", "⋀", "⨁", "⨂", "lim", "max", "min", "sup", "inf"}
_VARIANTS = {
    "bold": "mathbf",
    "double-struck": "mathbb",
    "script": "mathcal",
    "bold-script": "mathcal",
    "fraktur": "mathfrak",
    "normal": "mathrm",
    "sans-serif": "mathsf",
    "monospace": "mathtt",
    "bold-italic": "boldsymbol",
}
_LETTERS = {
    "DOUBLE-STRUCK": "mathbb",
    "SCRIPT": "mathcal",
    "FRAKTUR": "mathfrak",
    "BOLD": "mathbf",
    "SANS-SERIF": "mathsf",
    "MONOSPACE": "mathtt",
}


_MATRIX, _STACKED = "\\begin{matrix}", "\\genfrac{}{}{0pt}{}"
_SPACE = "\x00"  # one that shows, inside `\text`; no page holds this character
_NOTATIONS = [("radical", "sqrt"), ("box", "boxed"), ("strike", "cancel"), ("top", "overline"), ("bottom", "underline")]
_FENCED = {
    ("(", ")"): "pmatrix",
    ("[", "]"): "bmatrix",
    ("\\{", "\\}"): "Bmatrix",
    ("|", "|"): "vmatrix",
    ("\\|", "\\|"): "Vmatrix",
}


def mathml_to_tex(math: _Element) -> str:
    """TeX of a `math` element (any namespace prefix), without delimiters."""
    return _tidy(_row(math, 0))


def local_name(element: _Element) -> str:
    """`mrow` of `mml:mrow` or `{http://…}mrow`; empty for comments."""
    tag = element.tag
    return tag.rpartition("}")[2].rpartition(":")[2].lower() if isinstance(tag, str) else ""


def _tidy(tex: str) -> str:
    tex = " ".join(tex.split()).replace("{ ", "{").replace(" }", "}").replace("_ ", "_").replace("^ ", "^")
    return tex.replace(_SPACE, " ")


def _row(element: _Element, depth: int) -> str:
    parts = [_node(child, depth + 1) for child in element]
    if not parts and element.text:
        return _text(element.text.strip())
    return " ".join(_fit_fences([part for part in parts if part]))


def _fit_fences(parts: list[str]) -> list[str]:
    """Fences and what they are around as the one command that TeX has for both."""
    fitted: list[str] = []
    for part in parts:
        inner = fitted[-1] if fitted else ""
        before = fitted[-2] if len(fitted) > 1 else ""
        environment = _FENCED.get((before, part))
        if environment and inner.startswith(_MATRIX):
            fitted[-2:] = [_in_environment(inner, environment)]
        elif environment == "pmatrix" and inner.startswith(_STACKED):
            fitted[-2:] = ["\\binom" + inner.removeprefix(_STACKED)]
        else:
            fitted.append(part)
    if len(fitted) > 1 and fitted[-2] == "\\{" and fitted[-1].startswith(_MATRIX):
        fitted[-2:] = [_in_environment(fitted[-1], "cases")]
    return fitted


def _in_environment(matrix: str, name: str) -> str:
    inside = matrix.removeprefix(_MATRIX).removesuffix("\\end{matrix}")
    return f"\\begin{{{name}}}{inside}\\end{{{name}}}"


def _node(element: _Element, depth: int) -> str:
    name = local_name(element)
    if not name or name in _SKIPPED:
        return ""
    if depth > MAX_DEPTH:
        return _text("".join(element.itertext()))
    return _RULES.get(name, _row)(element, depth)


def _arguments(element: _Element, depth: int, count: int) -> list[str]:
    children = [child for child in element if local_name(child) and local_name(child) not in _SKIPPED - {"none"}]
    values = [_node(child, depth + 1) for child in children[:count]]
    return values + [""] * (count - len(values))


def _group(tex: str) -> str:
    """Braces where a script's or command's argument needs them."""
    return "{" + tex + "}"


def _base(tex: str) -> str:
    return tex if len(tex) == 1 or (tex.startswith("\\") and tex[1:].isalpha()) else _group(tex)


def _content(element: _Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _text(text: str) -> str:
    return " ".join(_symbol(character) for character in text) if len(text) > 1 else _symbol(text) if text else ""


def _symbol(character: str) -> str:
    if character in SYMBOLS:
        return SYMBOLS[character]
    if character.isascii():
        return "\\" + character if character in "#$%&_{}" else character
    name = unicodedata.name(character, "")
    if name.startswith("MATHEMATICAL "):  # 𝔸, 𝐱, …: the letter in a TeX alphabet
        plain = unicodedata.normalize("NFKC", character)
        for style, command in _LETTERS.items():
            if style in name:
                return f"\\{command}{{{SYMBOLS.get(plain, plain)}}}"
        return SYMBOLS.get(plain, plain)
    return character


def _identifier(element: _Element, depth: int) -> str:
    text = _content(element)
    if text in FUNCTIONS:
        return "\\" + text
    variant = _VARIANTS.get(element.get("mathvariant", ""), "")
    if len(text) > 1 and text.isascii() and text.isalnum():
        return f"\\{variant or 'mathrm'}{{{text}}}"
    tex = _text(text)
    return f"\\{variant}{{{tex}}}" if variant and variant != "mathrm" else tex


def _number(element: _Element, depth: int) -> str:
    variant = _VARIANTS.get(element.get("mathvariant", ""), "")
    text = _content(element).replace("%", "\\%").replace("∞", "\\infty")
    return f"\\{variant}{{{text}}}" if variant and variant != "mathrm" else text


def _operator(element: _Element, depth: int) -> str:
    text = _content(element)
    if text in FUNCTIONS:
        return "\\" + text
    if len(text) > 1 and text.isalpha():
        return f"\\operatorname{{{text}}}"
    return "".join(_symbol(character) for character in text)


def _mtext(element: _Element, depth: int) -> str:
    text = re.sub(r"\s+", _SPACE, "".join(element.itertext()))
    return f"\\text{{{text}}}" if text.strip(_SPACE) else "\\ " if text else ""


def _fraction(element: _Element, depth: int) -> str:
    top, bottom = _arguments(element, depth, 2)
    if element.get("linethickness", "").strip() in ("0", "0pt", "0px", "0em"):
        return f"\\genfrac{{}}{{}}{{0pt}}{{}}{{{top}}}{{{bottom}}}"
    return f"\\frac{{{top}}}{{{bottom}}}"


def _root(element: _Element, depth: int) -> str:
    radicand, index = _arguments(element, depth, 2)
    return f"\\sqrt[{index}]{{{radicand}}}"


def _scripts(element: _Element, depth: int) -> str:
    name = local_name(element)
    base, *scripts = _arguments(element, depth, 3 if name == "msubsup" else 2)
    signs = {"msub": "_", "msup": "^", "msubsup": "_^"}[name]
    if name == "msup" and scripts[0] and not scripts[0].strip("'"):
        return base + scripts[0]
    return _base(base) + "".join(sign + _group(script) for sign, script in zip(signs, scripts, strict=True) if script)


def _under_over(element: _Element, depth: int) -> str:
    name = local_name(element)
    base, *scripts = _arguments(element, depth, 3 if name == "munderover" else 2)
    signs = {"munder": "_", "mover": "^", "munderover": "_^"}[name]
    head = _content(element[0]) if len(element) else ""
    if name != "munderover" and head not in _LARGE:
        mark = _content(element[1]) if len(element) > 1 else ""
        accent = ACCENTS[signs].get(mark)
        if accent:
            return f"\\{accent}{{{base}}}"
        command = "overset" if name == "mover" else "underset"
        if not base.startswith(("\\sum", "\\prod", "\\int", "\\lim", "\\overbrace", "\\underbrace", "\\operatorname")):
            return f"\\{command}{{{scripts[0]}}}{{{base}}}"
    return base + "".join(sign + _group(script) for sign, script in zip(signs, scripts, strict=True) if script)


def _multiscripts(element: _Element, depth: int) -> str:
    children = [child for child in element if local_name(child)]
    if not children:
        return ""
    sides: list[list[str]] = [[], []]
    side = 0
    for child in children[1:]:
        if local_name(child) == "mprescripts":
            side = 1
        else:
            sides[side].append(_node(child, depth + 1))
    post, pre = ("".join(_pairs(scripts)) for scripts in sides)
    return ("{}" + pre if pre else "") + _base(_node(children[0], depth + 1)) + post


def _pairs(scripts: list[str]) -> list[str]:
    signs = "_^" * (len(scripts) // 2 + 1)
    return [sign + _group(script) for sign, script in zip(signs, scripts, strict=False) if script]


def _fenced(element: _Element, depth: int) -> str:
    inside = [_node(child, depth + 1) for child in element]
    separators = element.get("separators", ",").split() or [""]
    tex = inside[0] if inside else ""
    for index, part in enumerate(inside[1:]):
        tex += f" {separators[min(index, len(separators) - 1)]} {part}"
    opening, closing = (_text(element.get(key, default)) or "." for key, default in (("open", "("), ("close", ")")))
    fitted = _fit_fences([opening, tex, closing] if closing != "." else [opening, tex])
    if len(fitted) == 1:
        return fitted[0]
    return f"\\left{opening} {tex} \\right{closing}"


def _table(element: _Element, depth: int) -> str:
    rows, labels = [], []
    for row in element:
        name = local_name(row)
        if name in ("mtr", "mlabeledtr"):
            cells = [_row(cell, depth + 2) for cell in row if local_name(cell) == "mtd"]
            labelled = name == "mlabeledtr" and len(cells) > 1
            labels.append(_content(row[0]).strip("()") if labelled else "")
            rows.append(" & ".join(cells[1:] if labelled else cells))
    if len(rows) == 1 and labels[0]:
        return f"{rows[0]} \\tag{{{labels[0]}}}"   # an equation and its number
    rows = [f"{row} \\quad ({label})" if label else row for row, label in zip(rows, labels, strict=True)]
    aligned = element.get("columnalign", "").split()[:2] == ["right", "left"]
    name = "aligned" if aligned else "matrix"
    return f"\\begin{{{name}}} " + " \\\\ ".join(rows) + f" \\end{{{name}}}"


def _enclosed(element: _Element, depth: int) -> str:
    tex = _row(element, depth)
    notation = element.get("notation", "longdiv")
    command = next((command for name, command in _NOTATIONS if name in notation), "")
    return f"\\{command}{{{tex}}}" if command else tex


def _semantics(element: _Element, depth: int) -> str:
    return _node(element[0], depth + 1) if len(element) else ""


def _space(element: _Element, depth: int) -> str:
    return "\\\\" if element.get("linebreak") == "newline" else "\\ "


def _styled(element: _Element, depth: int) -> str:
    variant = _VARIANTS.get(element.get("mathvariant", ""), "")
    tex = _row(element, depth)
    return f"\\{variant}{{{tex}}}" if variant and variant != "mathrm" else tex


_RULES: dict[str, Callable[[_Element, int], str]] = {
    "mi": _identifier,
    "mn": _number,
    "mo": _operator,
    "mtext": _mtext,
    "ms": _mtext,
    "mspace": _space,
    "mfrac": _fraction,
    "msqrt": lambda element, depth: f"\\sqrt{{{_row(element, depth)}}}",
    "mroot": _root,
    "msub": _scripts,
    "msup": _scripts,
    "msubsup": _scripts,
    "munder": _under_over,
    "mover": _under_over,
    "munderover": _under_over,
    "mmultiscripts": _multiscripts,
    "mfenced": _fenced,
    "mtable": _table,
    "menclose": _enclosed,
    "semantics": _semantics,
    "mstyle": _styled,
}
