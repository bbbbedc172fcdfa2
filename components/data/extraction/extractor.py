"""From a page to its Markdown: the order in which everything happens.

1. Decode, clean, parse (lxml). 2. Code, then formulas, become placeholders. 3. The page becomes a list of blocks.
4. Of these, a thread's posts or the main content are kept. 5. Markdown, placeholders restored last.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from html import escape

from lxml import etree
from lxml.etree import _Element

from components.data.extraction.blocks import DROPPED, Block, read_blocks
from components.data.extraction.code import replace_code
from components.data.extraction.content import choose
from components.data.extraction.delimiters import read_delimiters
from components.data.extraction.encoding import decode
from components.data.extraction.formulas import replace_formulas
from components.data.extraction.labels import is_label_text
from components.data.extraction.posts import find_posts
from components.data.extraction.result import CodeBlock, Extraction, ExtractionError, Formula, Losses, Post, Thread
from components.data.extraction.scan import remove_hidden, scan
from components.data.extraction.slots import OPEN, PLACEHOLDER, Slots, clean, without_private
from components.data.extraction.threads import PostMark, ThreadMark, find_thread

MAX_CHARACTERS = 20_000_000
MAX_NODES = 300_000
MAX_DEPTH = 600
_LEAST_NOSCRIPT = 400
_NO_TEXT = ("button", "select", "svg", "map")
_LEAST_SWALLOWED = 1000
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (MAX_DEPTH + 1)})")
_PARSER = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
# for what that one gives up on: elements 256 deep, texts of 10 MB
_LARGE_PARSER = etree.HTMLParser(
    encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True, huge_tree=True
)
_NODES = etree.XPath("count(//*)")
_STRING = etree.XPath("string(.)", smart_strings=False)
_LATEX2HTML = re.compile(r"<!--\s*MATH\s([^<>]{1,5000}?)-->\s*<img\b[^>]{0,1000}>", re.I)  # TeX, and its picture
_SUFFIX = re.compile(r"\s+(?:[|»·—–]|-|::)\s+")


def extract_page(html: str | bytes, url: str = "", content_type: str = "") -> Extraction:
    """See `components.data.extraction.extract`."""
    source = decode(html, content_type) if isinstance(html, bytes) else html
    if content_type.strip().lower().startswith("text/plain"):
        return _plain(source)
    root = _parse(source)
    slots = Slots()
    title = _title(root)
    page = scan(root, source)
    etree.strip_elements(root, "style", with_tail=False)   # some stand in code
    replace_code(root, page, slots)
    replace_formulas(root, page, slots)
    _open_noscript(root)
    _free_swallowed(root)
    etree.strip_elements(root, *DROPPED, with_tail=False)
    body = root.find(".//body")
    body = root if body is None else body
    remove_hidden(page, body)
    mark = find_thread(body, page)
    marks = list(enumerate(mark.posts)) if mark else []
    comments = {comment: index for index, post in marks for comment in post.comments}
    posts = {post.body: index for index, post in marks} | comments
    blocks = read_blocks(body, read_delimiters(page), slots, posts, page)
    _list_comments(blocks, comments)
    keep = [block.post >= 0 and not is_label_text(block.text) for block in blocks] if mark else []
    if not any(keep):
        mark = None   # or one whose posts are empty
    found = None if mark else find_posts(blocks, page)
    keep = keep if mark else choose(root, blocks, page)
    if found:
        mark = _number_posts(blocks, found, keep)
        keep = [block.post >= 0 for block in blocks]
    kept = [block for block, wanted in zip(blocks, keep, strict=True) if wanted]
    if not kept:
        raise ExtractionError("no_content", f"{len(blocks)} blocks, none of them main content")
    thread = _thread(mark, kept, slots) if mark else None
    text = without_private(_thread_text(title, thread) if thread else render(kept, slots))
    items = [item for block in kept for item in slots.get(block.text)]
    formulas = tuple(item for item in items if isinstance(item, Formula))
    code = tuple(item for item in items if isinstance(item, CodeBlock))
    kinds = [type(item) for item in slots.items]
    losses = Losses(kinds.count(Formula), len(formulas), kinds.count(CodeBlock), len(code))
    return Extraction(text, title, formulas, code, thread, losses)


def _list_comments(blocks: Sequence[Block], comments: Mapping[_Element, int]) -> None:
    """Of remarks below a post, those with formulas are items of a list; the others go."""
    for block in blocks if comments else ():
        if any(element in comments for element in (block.anchor, *block.anchor.iterancestors())):
            block.kind, block.prefix, block.indent = "item", "- ", "  "
            block.post = block.post if block.slots else -1


def _plain(source: str) -> Extraction:
    """Text that never was a page, or that somebody else extracted: as it is."""
    lines = [line.rstrip() for line in without_private(clean(source).decode()).splitlines()]
    text = "\n".join(lines).strip("\n")
    if not text.strip():
        raise ExtractionError("empty")
    return Extraction(text + "\n", text.strip().partition("\n")[0][:200])


def _number_posts(blocks: Sequence[Block], found: list[int], keep: list[bool]) -> ThreadMark:
    """Mark blocks with the posts that `posts.py` found; what is kept above the first of them is post 0."""
    first = next(index for index, post in enumerate(found) if post > 0)
    opening = [wanted and index < first for index, wanted in enumerate(keep)]
    texts = any(wanted and block.kind != "heading" for block, wanted in zip(blocks, opening, strict=True))
    for block, post, wanted in zip(blocks, found, opening, strict=True):
        block.post = post if post > 0 else 0 if texts and wanted and block.prefix != "# " else -1
    return ThreadMark("unknown", tuple(PostMark(blocks[0].home, "post") for _ in range(max(found) + 1)))


def _parse(source: str) -> _Element:
    """A tree of bounded size and depth.

    Raises:
        ExtractionError: there is no markup in it, or too much.
    """
    if len(source) > MAX_CHARACTERS:
        raise ExtractionError("too_large", f"{len(source)} characters")
    if not source.strip():
        raise ExtractionError("empty")
    if "<!-- MATH" in source:
        source = _LATEX2HTML.sub(_show_source, source)
    data = clean(source)
    root = etree.fromstring(data, _PARSER)
    error = _PARSER.error_log.last_error
    if error is not None and error.level == etree.ErrorLevels.FATAL:
        root = etree.fromstring(data, _LARGE_PARSER)
        if root is not None and _TOO_DEEP(root):
            raise ExtractionError("too_deep", f"over {MAX_DEPTH} elements inside each other")
    if root is None:
        raise ExtractionError("no_markup")
    if len(source) > MAX_NODES and source.count("<") > MAX_NODES // 2 and _NODES(root) > MAX_NODES:
        raise ExtractionError("too_many_elements", f"over {MAX_NODES}")
    return root


def _show_source(match: re.Match[str]) -> str:
    return f"<span class='math'>{escape(match[1])}</span>"


def _open_noscript(root: _Element) -> None:
    """Show what a page keeps for readers without scripts, where that is more than a request to turn them on."""
    for element in list(root.iter("noscript")):
        if len(element) and len(_STRING(element).strip()) > _LEAST_NOSCRIPT:
            element.tag = "div"


def _free_swallowed(root: _Element) -> None:
    """Make plain boxes of controls and pictures that hold paragraphs: the parser found their end too late."""
    for element in list(root.iter(*_NO_TEXT)):
        if len(element) and element.find(".//p") is not None and len(_STRING(element)) > _LEAST_SWALLOWED:
            element.tag = "div"


def _title(root: _Element) -> str:
    """The longest heading that the title repeats, else the title without the site's name."""
    title = " ".join((root.findtext(".//title") or "").split())
    first = _heading(root.find(".//h1"))
    if first and title.startswith(first):
        return first[:500]
    headings = [_heading(element) for element in itertools.islice(root.iter("h1", "h2", "h3"), 12)]
    repeated = [heading for heading in headings if heading and heading.lower() in title.lower()]
    if repeated or (first and not title):
        return max(repeated or [first], key=len)[:500]
    parts = _SUFFIX.split(title)
    return (max(parts[0], parts[-1], key=len) if len(parts) > 1 and len(parts[0]) < 10 else parts[0])[:500]


def _heading(element: _Element | None) -> str:
    return "" if element is None else " ".join(_STRING(element).split()).rstrip("¶#").strip()


def render(blocks: Sequence[Block], slots: Slots) -> str:
    """Markdown of blocks, placeholders restored."""
    pieces: list[str] = []
    last: Block | None = None
    for block in blocks:
        inline = block.kind in ("table", "heading")
        text = _restore(block.text, slots, inline)
        if block.kind not in ("code", "table"):
            text = block.prefix + text.replace("\n", "\n" + block.indent)
        tight = last is not None and last.kind == block.kind == "item" and "\n" not in text
        pieces.append(("\n" if tight else "\n\n") + text if pieces else text)
        last = block
    return "".join(pieces).strip("\n") + "\n"


def _restore(text: str, slots: Slots, inline: bool) -> str:
    def item(match: re.Match[str]) -> str:
        value = slots.items[int(match[1])]
        if isinstance(value, Formula):
            if value.display and not inline:
                return f"\n$$\n{value.tex}\n$$\n" if "\n" in value.tex else f"\n$${value.tex}$$\n"
            return f"${value.tex}$"
        if isinstance(value, CodeBlock):
            fence = "```"
            while fence in value.text:
                fence += "`"
            return f"{fence}{value.language}\n{value.text}\n{fence}"
        ticks = "``" if "`" in value else "`"
        return f"{ticks}{value}{ticks}"

    restored = PLACEHOLDER.sub(item, text) if OPEN in text else text
    return re.sub(r" *\n *(?=\$\$)|(?<=\$\$) *\n *", "\n", restored).strip("\n") if "$$" in restored else restored


def _thread(mark: ThreadMark, blocks: Sequence[Block], slots: Slots) -> Thread:
    posts = []
    for index, post in enumerate(mark.posts):
        own = [block for block in blocks if block.post == index]
        if own:
            posts.append(_post(post, render(own, slots)))
    return Thread(mark.software, tuple(posts))


def _post(mark: PostMark, text: str) -> Post:
    return Post(mark.role, text.strip("\n"), mark.votes, mark.accepted)


def _thread_text(title: str, thread: Thread) -> str:
    """Markdown of a thread: its title, then every post under a heading that says what it is."""
    parts = [f"# {title}"] if title else []
    for number, post in enumerate(thread.posts, 1):
        notes = ["accepted"] if post.accepted else []
        if post.votes is not None:
            notes.append(f"{post.votes} votes")
        name = {"question": "Question", "answer": "Answer"}.get(post.role, f"Post {number}")
        parts.append(f"## {name}" + (f" ({', '.join(notes)})" if notes else ""))
        parts.append(post.text)
    return "\n\n".join(parts) + "\n"
