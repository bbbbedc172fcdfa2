"""The page as a list of blocks: paragraphs, headings, list items, tables, code, each with its Markdown.

Every block remembers where it starts in the tree, so that a judge of main content can be asked about it (`content.py`).
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lxml import etree
from lxml.etree import _Element

from components.data.extraction.boilerplate import is_boilerplate
from components.data.extraction.delimiters import Delimiters
from components.data.extraction.result import CodeBlock
from components.data.extraction.scan import Page
from components.data.extraction.slots import CLOSE, OPEN, PLACEHOLDER, Slots

MAX_QUOTES, MAX_LISTS = 4, 12  # levels shown; a page can nest them by the hundred
LINE = "\ue004"  # a line break that whitespace folding must not see
DROPPED = (
    "script",
    "style",
    "noscript",
    "template",
    "iframe",
    "object",
    "embed",
    "button",
    "select",
    "textarea",
    "input",
    "svg",
    "canvas",
    "title",
    "audio",
    "video",
    "map",
    "dialog",
    "datalist",
    "option",
)
_BLOCK_TAGS = (
    "address article aside blockquote body caption center dd details dir div dl dt fieldset figcaption "
    "figure footer form "
    "h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section summary table tbody "
    "td tfoot th "
    "thead tr ul"
)
_BLOCKS = frozenset(_BLOCK_TAGS.split())
_HEADINGS = {"h1": "# ", "h2": "## ", "h3": "### ", "h4": "#### ", "h5": "##### ", "h6": "###### "}
_OPENING = frozenset([*_HEADINGS, "ul", "ol", "menu", "dir", "li", "blockquote"])  # that say how blocks in them look
_NAVIGATION_TAGS = frozenset(["nav", "footer"])
_NAVIGATION = re.compile(
    r"(?:^|[\s_-])(?:nav\w*|share\w*|sharing|social\w*|pagination|pager|adverts?|ads|login|signup|skip-?link|"
    r"mw-editsection|catlinks|most-?read|author-?(?:box|bio|description|profile|card)|about-?(?:the-?)?author|"
    r"comments?|respond|disqus|post-?meta\w*|entry-?meta|tag-?(?:list|links)|credits?|outbrain|taboola|donat\w*)(?:$|[\s_-])|"
    r"breadcrumb|footer|cookie|consent|newsletter|advertis|sponsored|related-?(?:posts?|articles?|stor)|gdpr|subscri(?!ber-(?:only|preview|content|premium)|bed)|"
    r"addtoany|sharedaddy|jp-relatedposts|paywall"
)  # of names in lower case
# these may outgrow an article
_COMMENTS = re.compile(r"comment|respond|disqus|repl(?:y|ies)|side-?bar|foot|^nav|^aside|cookie|consent", re.I)
_LARGE = 0.4  # of the page's characters; what holds more is the page, whatever it is called
# inline elements whose text is all there is to them, and the blocks that mostly hold nothing else
_INLINE_TAGS = (
    "a b strong em i u span font small big img abbr cite time mark label wbr ins del s strike q var acronym dfn bdi "
    "bdo ruby rb rt rp data nobr center"
)
_INLINE = frozenset(_INLINE_TAGS.split())
_LEAF_TAGS = "p h1 h2 h3 h4 h5 h6 li dt dd figcaption caption summary td th div blockquote address"
_LEAVES = frozenset(_LEAF_TAGS.split())
_STRING = etree.XPath("string(.)", smart_strings=False)
_LENGTH = etree.XPath("string-length(normalize-space(.))")
_ORDINAL = re.compile(r"st|nd|rd|th|er?|o|a|tm|sm|®|™|°|º|ª", re.I)


@dataclass(eq=False, slots=True)
class Block:
    """A run of text. `anchor` is the element it starts in; `after` says that it starts in that element's tail."""

    text: str
    kind: str  # p, heading, item, table, code, quote
    anchor: _Element
    after: bool
    prefix: str = ""  # Markdown before the first line
    indent: str = ""  # and before the others
    links: float = 0.0  # share of characters inside links
    regions: tuple[str, ...] = ()  # names of open elements whose markup makes it likely that they are no content
    boilerplate: bool = False  # in such a part
    navigation: bool = False  # and in one whose markup leaves little doubt
    post: int = -1  # index of the thread's post it belongs to
    slots: bool = False  # holds a formula or code

    @property
    def home(self) -> _Element:
        """The element that the block is in."""
        parent = self.anchor.getparent() if self.after else None
        return self.anchor if parent is None else parent


@dataclass(slots=True)
class _Walk:
    """State while walking the tree."""

    slots: Slots
    delimiters: Delimiters
    blocks: list[Block] = field(default_factory=list)
    parts: list[str] = field(default_factory=list)
    anchor: tuple[_Element, bool] | None = None
    link_depth: int = 0
    link_characters: int = 0
    # open boilerplate: the element, whether it is navigation, its name
    regions: list[tuple[_Element, bool, str]] = field(default_factory=list)
    heading: str = ""
    quotes: int = 0
    lists: list[list[int | bool]] = field(default_factory=list)  # [ordered, number, a marker is due]
    post: int = -1

    def add(self, text: str | None, element: _Element, after: bool) -> None:
        if not text:
            return
        if self.anchor is None:
            if text.isspace():
                return
            self.anchor = (element, after)
        self.parts.append(text)
        if self.link_depth:
            self.link_characters += len(text)

    def close_script(self, element: _Element) -> None:
        if brace := element.attrib.pop("data-close", ""):
            self.parts.append(brace)

    def flush(self) -> None:
        """End the run of text."""
        if self.anchor is not None:
            text = fold("".join(self.parts))
            if text:
                self.blocks.append(self._block(text, *self.anchor))
            self.anchor, self.link_characters = None, 0
        if self.parts:
            self.parts = []

    def mark(self, block: Block) -> None:
        """Say what boilerplate the block is in."""
        if self.regions:
            block.boilerplate = True
            block.navigation = any(navigation for _, navigation, _ in self.regions)
            block.regions = tuple(name for _, _, name in self.regions)

    def _block(self, text: str, anchor: _Element, after: bool) -> Block:
        links = min(1.0, self.link_characters / max(len(text), 1)) if self.link_characters else 0.0
        text = self.delimiters.replace(text, self.slots)
        if OPEN in text:
            text = self.slots.without_copies(text)
        block = Block(text, "p", anchor, after, links=links, post=self.post)
        self.mark(block)
        items = self.slots.get(text) if OPEN in text else []
        block.slots = bool(items) and any(not isinstance(item, str) for item in items)
        if len(items) == 1 and isinstance(items[0], CodeBlock) and PLACEHOLDER.fullmatch(text.strip()):
            block.kind = "code"
            if self.lists:
                self.lists[-1][2] = False
            return block
        quote = "> " * min(self.quotes, MAX_QUOTES) if self.quotes else ""
        if self.heading:
            block.kind, block.prefix = "heading", quote + self.heading
        elif self.lists:
            block.kind = "item" if self.lists[-1][2] else "p"
            ordered, number, due = self.lists[-1]
            mark = (f"{number}. " if ordered else "- ") if due else "  "
            block.prefix = quote + "  " * min(len(self.lists) - 1, MAX_LISTS) + mark
            self.lists[-1][2] = False
        elif self.quotes:
            block.kind, block.prefix = "quote", quote
        if quote or self.lists:
            block.indent = quote + "  " * min(len(self.lists), MAX_LISTS)
        return block


def fold(text: str) -> str:
    """White space as a browser shows it; `LINE` becomes a newline."""
    text = " ".join(text.split())
    if LINE in text:
        text = re.sub(f" ?{LINE} ?", "\n", text).strip("\n")
        text = re.sub("\n{3,}", "\n\n", text)
    return text


def read_blocks(
    root: _Element, delimiters: Delimiters, slots: Slots, posts: Mapping[_Element, int], page: Page
) -> list[Block]:
    """Blocks below `root` in order. `posts`: elements that hold a post of a thread, and its index."""
    walk = _Walk(slots, delimiters)
    inline = _INLINE - {"span"} if "classifier" in page.words else _INLINE
    walker = etree.iterwalk(root, events=("start", "end"))
    large = _LARGE * _LENGTH(root)
    owners: list[tuple[_Element, int]] = []
    for event, element in walker:
        tag = element.tag
        block = tag in _BLOCKS
        if event == "start":
            if posts and element in posts:
                walk.flush()
                owners.append((element, walk.post))
                walk.post = posts[element]
            if block:
                if walk.parts:
                    walk.flush()
                if tag == "table" and element not in posts and (table := _data_table(element, walk)):
                    walk.blocks.append(table)
                    walker.skip_subtree()
                    continue
                if tag in _OPENING:
                    _open_block(element, walk)
            elif tag == "br":
                walk.parts.append(LINE)
            elif tag == "a":
                walk.link_depth += 1
            elif tag == "sup" or tag == "sub":
                _open_script(element, walk)
            elif tag == "span" and element.get("class") == "classifier":  # docutils: a parameter's type
                walk.parts.append(" : ")
            if is_boilerplate(element, tag) and (walk.regions or _LENGTH(element) < large):
                classes = element.get("class")
                navigation = tag in _NAVIGATION_TAGS or _names_navigation(classes or "")
                walk.regions.append((element, navigation, f"{tag} {classes}"))
            if block and tag in _LEAVES and _read_leaf(element, walk, inline):
                walker.skip_subtree()
            elif text := element.text:
                walk.add(text, element, False)
        else:
            if tag == "a":
                walk.link_depth = max(0, walk.link_depth - 1)
            elif tag == "sup" or tag == "sub":
                walk.close_script(element)
            elif block:
                if walk.parts:
                    walk.flush()
                if tag in _OPENING:
                    _close_block(element, walk)
            if walk.regions and walk.regions[-1][0] is element:
                walk.regions.pop()
            if owners and owners[-1][0] is element:
                walk.flush()
                walk.post = owners.pop()[1]
            if (text := element.tail) and element is not root:
                walk.add(text, element, True)
    walk.flush()
    _unmark_common(walk.blocks)
    return walk.blocks


@functools.lru_cache(maxsize=16_384)
def _names_navigation(classes: str) -> bool:
    return bool(_NAVIGATION.search(classes.lower()))


def _unmark_common(blocks: Sequence[Block]) -> None:
    """What holds much of a page is no boilerplate, however it is called: `subscriber-only` may be every paragraph."""
    sizes: Counter[str] = Counter()
    for block in blocks:
        for region in set(block.regions):
            sizes[region] += len(block.text)
    limit = _LARGE * sum(len(block.text) for block in blocks)
    common = {region for region, size in sizes.items() if size > limit and not _COMMENTS.search(region)}
    for block in blocks if common else ():
        if block.regions and common.issuperset(block.regions):
            block.boilerplate = block.navigation = False


def _read_leaf(element: _Element, walk: _Walk, inline: frozenset[str]) -> bool:
    """Take the whole text of an element that holds text and simple inline elements alone; whether it is one."""
    if len(element) == 0:
        walk.add(element.text, element, False)
        return True
    linked = 0
    for node in element.iterdescendants():
        tag = node.tag
        if tag not in inline:
            return False
        if tag == "a":
            linked += len(node.text or "") if len(node) == 0 else len(_STRING(node))
    text = _STRING(element)
    if not text.isspace():
        walk.add(text, element, False)
        if not walk.link_depth:
            walk.link_characters += linked
    return True


def _open_block(element: _Element, walk: _Walk) -> None:
    tag = element.tag
    if tag in _HEADINGS:
        walk.heading = _HEADINGS[tag]
    elif tag in ("ul", "ol", "menu", "dir"):
        start = element.get("start") or "1"
        walk.lists.append([tag == "ol", int(start) - 1 if start.isdigit() and len(start) < 6 else 0, False])
    elif tag == "li" and walk.lists:
        walk.lists[-1][1] += 1
        walk.lists[-1][2] = True
    elif tag == "blockquote":
        walk.quotes += 1


def _close_block(element: _Element, walk: _Walk) -> None:
    tag = element.tag
    if tag in _HEADINGS:
        walk.heading = ""
    elif tag in ("ul", "ol", "menu", "dir") and walk.lists:
        walk.lists.pop()
    elif tag == "blockquote":
        walk.quotes = max(0, walk.quotes - 1)


def _open_script(element: _Element, walk: _Walk) -> None:
    """x<sup>2</sup> -> x^2, unless it is an ordinal, a footnote mark or stands alone."""
    content = "".join(element.itertext()).strip()
    before = walk.parts[-1][-1:] if walk.parts else ""
    is_note = "reference" in (element.get("class") or "") or content.startswith("[") or element.find(".//a") is not None
    alone = not before.strip() or before == "\u2044"   # the slash of a fraction
    if not content or len(content) > 40 or alone or is_note or _ORDINAL.fullmatch(content):
        return
    brace = len(content) > 1 and OPEN not in content
    walk.parts.append(("^" if element.tag == "sup" else "_") + ("{" if brace else ""))
    if brace:
        element.set("data-close", "}")


def _data_table(table: _Element, walk: _Walk) -> Block | None:
    """A table of short cells as a Markdown table; None for layout, which is read as blocks."""
    if table.find(".//table") is not None or table.find(".//div[@data-block]") is not None or len(table) == 0:
        return None
    rows = [[cell for cell in row if cell.tag in ("td", "th")] for row in table.iter("tr")]
    rows = [row for row in rows if row]
    width = max((len(row) for row in rows), default=0)
    if width < 2 or len(rows) < 2 or table.get("role") == "presentation" or len(rows) * width > 20_000:
        return None
    if any(table.find(f".//{tag}") is not None for tag in ("ul", "ol", "h1", "h2", "h3", "h4", "form", "blockquote")):
        return None
    before = (walk.parts, walk.anchor)
    texts = [[_cell(cell, walk) for cell in row] for row in rows]
    walk.parts, walk.anchor = before
    lengths = [len(text) for row in texts for text in row]
    if sum(lengths) == 0 or sum(length > 300 for length in lengths) > len(lengths) / 4:
        return None
    lines = ["| " + " | ".join(row + [""] * (width - len(row))) + " |" for row in texts]
    lines.insert(1, "|" + " --- |" * width)
    links = sum(len("".join(a.itertext())) for a in table.iter("a")) / max(sum(lengths), 1)
    cells = [cell for row in rows for cell in row]
    first = next(cell for cell, length in zip(cells, lengths, strict=True) if length)
    text = "\n".join(lines)
    block = Block(text, "table", first, False, links=min(1.0, links), post=walk.post, slots=OPEN in text)
    walk.mark(block)
    if is_boilerplate(table, "table"):
        block.boilerplate = True
        block.navigation |= _names_navigation(table.get("class") or "")
    return block


def _cell(cell: _Element, walk: _Walk) -> str:
    walk.parts = []
    if cell.text:
        walk.parts.append(cell.text)
    for event, element in etree.iterwalk(cell, events=("start", "end")):
        if element is cell:
            continue
        if event == "start":
            if element.tag in ("br", "p", "div"):
                walk.parts.append(" ")
            elif element.tag in ("sup", "sub"):
                _open_script(element, walk)
            if element.text:
                walk.parts.append(element.text)
        else:
            if element.tag in ("sup", "sub"):
                walk.close_script(element)
            if element.tail:
                walk.parts.append(element.tail)
    text = walk.delimiters.replace(fold("".join(walk.parts)), walk.slots)
    return text.replace("|", "\\|") if OPEN not in text else text


def unmarked(text: str) -> str:
    """Text as a judge of content sees it: placeholders without their private-use characters."""
    return text.replace(OPEN, "").replace(CLOSE, "")
