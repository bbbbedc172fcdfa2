"""Code blocks: exact text and indentation, no gutters, copy buttons and prompts, and the language the page names."""

from __future__ import annotations

import functools
import re

from lxml import etree
from lxml.etree import _Element

from components.data.extraction.languages import class_language, language_of
from components.data.extraction.result import CodeBlock
from components.data.extraction.scan import Page
from components.data.extraction.slots import OPEN, Slots

_TAGS = ("pre", "code", "tt", "kbd", "samp", "listing", "xmp", "textarea", "table")
_WIDGETS = re.compile(
    r"syntaxhighlighter|crayon-syntax|ltx_listing|CodeMirror-code|(?:^|\s)de1(?:$|\s)|code-view|linenums|hljs-ln|"
    r"(?:^|\s)(?:code-block|codeblock|fragment)(?:$|\s)|(?:^|\s)dp-\w|ace_text-layer|view-lines|enlighter-code|"
    r"geshifilter-|w3-code"
)  # of elements that hold code without being any of these
_WIDGET_HINTS = (
    "syntaxhighlighter", "crayon-", "ltx_listing", "CodeMirror", "de1", "code", "linenums", "hljs-", "dp-", "ace_text",
    "view-lines", "enlighter", "geshifilter", "fragment",
)  # fmt: skip
_STRING = etree.XPath("string(.)", smart_strings=False)
_HOLDS_FORMULAS = etree.XPath("boolean(.//math or .//script[@type])")
_PHRASING = frozenset(["span", "br", "b", "i", "em", "strong", "a"])
_LINE_DIVS = etree.XPath("boolean(./div[@class='line'])")
_BLOCK_CLASS = re.compile(r"(?:^|[\s_-])(?:code)?block(?:$|\s)", re.I)
_PREFORMATTED = re.compile(r"white-space:\s*pre\s*(?:;|$)", re.I)
_IN_TABLE = etree.XPath("boolean(@class = 'code' or .//pre or .//code or .//td[contains(@class, 'code')])")
_MATH = re.compile(
    r"(?:^|\s)(?:math|js-render-math|math-inline|math-block|math-display|katex|language-math|"
    r"tex2jax_process)(?:\s|$)"
)
_GUTTER = re.compile(
    r"(?:^|\s)(?:[\w-]*gutter[\w-]*|[\w-]*line[_-]?num[\w-]*|[\w-]*lineno[\w-]*|blob-num|hljs-ln-n\w*|ln|"
    r"lnt|lnos|crayon-nums?|"
    r"pre-numbering|rownumber|ltx_tag_listingline)(?:\s|$)",
    re.I,
)
_CONTROL = re.compile(
    r"(?:^|[\s_-])(?:copy\w*|btn\w*|button\w*|clipboard\w*|toolbar|tools|lang-label|code-lang|headerlink)(?:$|[\s-])",
    re.I,
)
_SPECIAL = etree.XPath(
    ".//*[self::br or self::div or self::li or self::p or self::tr or self::button or self::sup or self::img or "
    "self::textarea or "
    "@data-line-number or @unselectable or contains(@class, 'line') or contains(@class, 'ln') or "
    "contains(@class, 'gutter') or contains(@class, 'num') or contains(@class, 'copy') or contains(@class, "
    "'button') or "
    "contains(@class, 'tool') or contains(@class, 'prompt') or contains(@style, 'user-select') or "
    "contains(@class, 'headerlink')]"
)
_SPECIAL_TAGS = ("br", "div", "li", "p", "tr", "button", "sup", "img", "textarea")
# in the value of any attribute; the last are those of `unselectable` and `data-line-number`
_SPECIAL_VALUE = re.compile(
    "line|ln|gutter|num|copy|button|tool|prompt|headerlink|user-select|^(?:on|true|yes|unselectable|[0-9]*)$"
)
_VALUES = etree.XPath("descendant::*/@*", smart_strings=False)
_PRE = frozenset(["pre", "listing", "xmp", "textarea"])
_FLUSH = re.compile(r"^[^\s]", re.M)
_SPACE_AFTER_NUMBER = re.compile("^[ \\xa0]", re.M)
_SPACES = re.compile("[ \\t\\n]+")
_INLINE = frozenset(["code", "tt", "kbd", "samp"])
_LINE_CLASSES = frozenset(["line", "code-line", "token-line", "view-line", "cl", "crayon-line", "ltx_listingline"])
_LINES = {"div", "li", "p", "tr", "ol", "ul", "table", "tbody"}
_CODE_TABLE = re.compile(r"highlight|code|syntax|hljs|rouge|lntable")
_NUMBERED = re.compile(r"[ \t]*(\d{1,5})(?:[.:|]|(?=\s|$))[ \t]?(.*)")
_DIGITS = re.compile(r"[\d\s.:]+")
_PROMPT = re.compile(
    r"(?:>>>|\.\.\.|In \[\d+\]:|\$|irb\([^)]*\)[^>]*>|mysql>|postgres=[#>]|sqlite>|julia>|ghci>|scala>)(?: |$)"
)
MAX_INLINE = 200  # characters of inline code


def replace_code(root: _Element, page: Page, slots: Slots) -> None:
    """Replace code below `root` by placeholders, in place: blocks in a `div`, inline code where it stands."""
    gone: set[_Element] = set()
    for candidate in _candidates(root, page):
        element = _whole(candidate)
        if element in gone or element.getparent() is None or _names_math(element.get("class") or ""):
            continue
        block = _read(element)
        if block is None:
            continue
        if len(element):
            gone.update(element.iter(*_TAGS, "div", "ol", "ul", "p"))  # all that can be candidates
        tail = element.tail
        language = "" if isinstance(block, str) else block.language
        empty = not (block if isinstance(block, str) else block.text).strip()
        element.clear()
        element.tail = tail
        element.tag = "span" if isinstance(block, str) else "div"
        if not empty:
            element.text = slots.put(block)
            if language or not isinstance(block, str):
                element.set("data-block", "code")


@functools.lru_cache(maxsize=16_384)
def _names_math(classes: str) -> bool:
    return bool(_MATH.search(classes))


def _whole(element: _Element) -> _Element:
    """The element, or its parent where that is a block with a `code` a line."""
    following = element.getnext()
    parent = element.getparent()
    if element.tag != "code" or parent is None or following is None or following.tag != "br" or len(parent) < 5:
        return element
    pieces = [parent.text, *(child.tail for child in parent)]
    lines = all(child.tag in ("code", "br") for child in parent) and not any(
        piece and piece.strip() for piece in pieces
    )
    return parent if lines else element


def _candidates(root: _Element, page: Page) -> list[_Element]:
    """What may be code, outer elements first."""
    tags: tuple[str, ...] = _TAGS
    named = "\n".join(page.classes)
    maybe = any(hint in named for hint in _WIDGET_HINTS)
    widgets = {value for value in page.classes if _is_widget(value)} if maybe else set()
    styled = {element for element in page.typewritten if _PREFORMATTED.search(element.get("style", ""))}
    if widgets or styled:
        tags = (*_TAGS, "div", "ol", "ul", "p")
    found = []
    for element in root.iter(*tags):
        tag = element.tag
        if tag == "table":
            if not _IN_TABLE(element):
                continue
        elif tag == "textarea":
            classes = element.get("class") or ""
            if "code" not in classes and "brush" not in classes:
                continue
        elif tag in ("div", "ol", "ul", "p") and element not in styled:
            classes = element.get("class") or ""
            if classes not in widgets or ("fragment" in classes and not _LINE_DIVS(element)):
                continue
            if "block" in classes and not all(node.tag in _PHRASING for node in element.iterdescendants()):
                continue   # the box around one
        found.append(element)
    return found


@functools.lru_cache(maxsize=16_384)
def _is_widget(classes: str) -> bool:
    return bool(_WIDGETS.search(classes))


def _read(element: _Element) -> CodeBlock | str | None:
    """A block, inline code as `str`, or None where `element` is no code as a whole."""
    tag = element.tag
    if tag in _INLINE:
        if (text := _inline(element)) is not None:
            return text
        if next(element.iterdescendants("pre", "table"), None) is not None:
            return None   # a box around the code
    if len(element) and next(element.iter("math", "script"), None) is not None and _HOLDS_FORMULAS(element):
        return None
    if tag == "table":
        text = _table(element)
        return None if text is None else _block(element, text)
    text = _text(element)
    if tag in _INLINE:
        stripped = text.strip()
        if _is_in_line(element, stripped):
            stripped = " ".join(stripped.split())
            return stripped if OPEN not in stripped else None
        if "\n" not in stripped:
            text = stripped
    return _block(element, text)


def _is_in_line(element: _Element, text: str) -> bool:
    """Whether code outside `pre` is part of its line: short, and not shown as a block."""
    classes = element.get("class") or ""
    if _PREFORMATTED.search(element.get("style") or "") or _BLOCK_CLASS.search(classes):
        return False
    if "\n" not in text:
        return True
    short = len(text) <= MAX_INLINE and "\n " not in text
    return short and not class_language(classes) and element.find(".//br") is None


def _inline(element: _Element) -> str | None:
    """The fast way for what nearly all inline code is: text on one line."""
    if len(element) and any(child.tag != "span" or len(child) for child in element):
        return None
    text = _STRING(element).strip()
    return None if "\n" in text or OPEN in text or "block" in (element.get("class") or "") else text


def _block(element: _Element, text: str) -> CodeBlock:
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")
    text = text.replace("\u200b", "").replace("\ufeff", "")
    lines = [line.rstrip() for line in text.split("\n")]
    while lines and not lines[0]:
        lines.pop(0)
    while lines and not lines[-1]:
        lines.pop()
    lines = _without_prompts(_without_numbers(lines))
    return CodeBlock("\n".join(lines), language_of(element))


def _text(element: _Element) -> str:
    """The text of an element as it is shown: a line for each `br` and line element, nothing for gutters."""
    special = _SPECIAL(element) if _may_be_special(element) else []
    plain = _STRING(element)
    if not special:
        return plain
    skipped = {node for node in special if _is_gutter(node)}
    lines = {node for node in special if node.tag in _LINES}
    if "\n" not in plain.strip():
        lines.update(node for node in special if _is_line(node))
    breaks = [node for node in special if node.tag == "br"]
    # outside pre only `br` breaks lines; inside, editors put one before every newline
    folded = bool(breaks) and (
        element.tag not in _PRE or all((node.tail or "").startswith("\n") for node in breaks[:-1])
    )
    spaced = folded and "\xa0" in plain and element.tag not in _PRE  # and only these spaces count
    text = ""
    starts: list[int] = []  # where the text of each open element begins
    walker = etree.iterwalk(element, events=("start", "end"))
    for event, node in walker:
        piece = ""
        if event == "start":
            if node in skipped:
                walker.skip_subtree()
                continue
            if node.tag == "br" or (node in lines and text and not text.endswith("\n")):
                text += "\n"
            starts.append(len(text))
            piece = node.text or ""
        else:
            if node not in skipped:
                start = starts.pop()
                if node in lines and not (text.endswith("\n") and len(text) > start):
                    text += "\n"
            if node is not element:
                piece = node.tail or ""
                if node in lines and not piece.strip():
                    piece = ""
        if spaced:
            piece = _SPACES.sub(" ", piece)
            piece = piece.lstrip(" ") if not text or text.endswith("\n") else piece
        text += piece.lstrip("\n") if folded else piece
    numbered = any(node.text and node.text.strip().isdigit() for node in skipped)
    return _SPACE_AFTER_NUMBER.sub("", text) if numbered and not _FLUSH.search(text) else text


def _may_be_special(element: _Element) -> bool:
    """A cheaper question than `_SPECIAL`, with the answer no for nearly all code."""
    if len(element) == 0:
        return False
    if next(element.iter(*_SPECIAL_TAGS), None) is not None:
        return True
    return any(map(_is_special_value, set(_VALUES(element))))


@functools.lru_cache(maxsize=16_384)
def _is_special_value(value: str) -> bool:
    return bool(_SPECIAL_VALUE.search(value))


def _is_gutter(node: _Element) -> bool:
    if node.tag in ("button", "img", "textarea"):
        return True
    classes = node.get("class") or ""
    style = (node.get("style") or "").replace(" ", "")
    unselectable = "user-select:none" in style or node.get("unselectable") is not None
    if unselectable or node.get("data-line-number") is not None or _GUTTER.search(classes):
        text = _STRING(node)
        return not text.strip() or bool(_DIGITS.fullmatch(text))
    return bool(_CONTROL.search(classes)) and len(_STRING(node)) < 40


def _is_line(node: _Element) -> bool:
    return not _LINE_CLASSES.isdisjoint((node.get("class") or "").split())


def _table(table: _Element) -> str | None:
    """Code in a table with a gutter, or with a row a line; None for any other table."""
    inner = next(table.iterdescendants("table"), None)
    if inner is not None and next(inner.iterdescendants("table"), None) is not None:
        return None   # layout; to read it again at each level would take forever
    rows = [row for row in _outer_rows(table) if row.find("td") is not None]
    lines: list[str] = []
    gutters = 0
    named = bool(_CODE_TABLE.search(table.get("class") or ""))
    for row in rows:
        cells = [cell for cell in row if cell.tag in ("td", "th")]
        named = named or cells[0].get("class") == "code"
        kept = []
        for cell in cells:
            text = _STRING(cell)
            is_first_of_two = len(cells) == 2 and cell is cells[0]
            if _GUTTER.search(cell.get("class") or "") or (is_first_of_two and _DIGITS.fullmatch(text)):
                gutters += 1
            else:
                kept.append(cell)
        if len(kept) > 1:
            return None
        lines.append(_text(_only_pre(kept[0])).strip("\n") if kept else "")
    if not gutters and not named:
        return None
    return "\n".join(lines) if any(lines) else None


def _only_pre(cell: _Element) -> _Element:
    """The `pre` that is all there is in a cell, or the cell."""
    inside = cell.find("pre")
    return cell if inside is None or _STRING(inside).strip() != _STRING(cell).strip() else inside


def _outer_rows(table: _Element) -> list[_Element]:
    """Rows that are in no other row of the table."""
    rows = []
    walker = etree.iterwalk(table, events=("start",))
    for _, node in walker:
        if node.tag == "tr":
            rows.append(node)
            walker.skip_subtree()
    return rows


def _without_numbers(lines: list[str]) -> list[str]:
    """Line numbers that are part of the text: every line begins with the number after the last line's."""
    odd = lines[::2]
    if len(lines) >= 6 and odd == [str(number) for number in range(1, len(odd) + 1)]:
        return lines[1::2]   # a line for the number, and one for the code
    matches = [_NUMBERED.match(line) for line in lines]
    if len(lines) < 3 or not all(matches):
        return lines
    numbers = [int(match[1]) for match in matches if match]
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))) or (numbers[0] > 1 and len(lines) < 5):
        return lines
    return [match[2] for match in matches if match]


def _without_prompts(lines: list[str]) -> list[str]:
    """Prompts go where every line has one; in a transcript they stay, being what tells input from output."""
    filled = [line for line in lines if line]
    if not filled or not all(_PROMPT.match(line) for line in filled):
        return lines
    return [_PROMPT.sub("", line, count=1) for line in lines]
