"""Threads of software that no rule knows: elements of one class that repeat, each with a person or a date in it.

Works on the blocks of a page. What repeats in every post and is short (names, dates, buttons) is no text of a post.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

from lxml import etree
from lxml.etree import _Element

from components.data.extraction.blocks import Block
from components.data.extraction.labels import is_date_line, is_label_text
from components.data.extraction.scan import Page

_PEOPLE = ("user", "author", "avatar", "member", "poster", "nick", "person", "creator", "profile", "vcard")
_COMMENT = re.compile(r"comment|repl(?:y|ies)|respond", re.I)
# Not `thread-even`, WordPress's word for every other comment, nor a network's name; a billboard is an advertisement.
_FORUM = re.compile(
    r"(?:up|down)vote|vote-?bar|score\b(?!-)|karma|(?<!key)points|forum|thread(?!-(?:even|odd|alt)\b|s\b)|topic|"
    r"(?<!join-)communit(?!y-guideline)|(?<!bill)(?<!leader)(?<!flip)(?<!dash)(?<!clip)(?<!key)board"
)  # fmt: skip
_CATEGORIES = ("category-", "tag-", "topic-")   # such a class says what a page is about
_NO_TEXT = re.compile(
    r"(?:^|[\s_-])(?:sig|signature|foot\w*|buttons?|actions?|tools?|controls?|meta|rank|badge)(?:$|[\s_-])", re.I
)
_MARKS = etree.XPath(
    "boolean(.//time or .//*[contains(@class, 'user') or contains(@class, 'author') or "
    "contains(@class, 'avatar') or contains(@class, 'member') or contains(@class, 'poster') or "
    "contains(@class, 'nick') or contains(@class, 'person') or contains(@class, 'creator') or "
    "contains(@class, 'date') or contains(@class, 'time') or contains(@class, 'head') or contains(@class, 'meta')])"
)
_TITLED = etree.XPath("boolean(.//h1//a or .//h2//a or .//h3//a or .//a/h1 or .//a/h2 or .//a/h3)")
# names of boxes that say where things stand and not what they are
_LAYOUT = frozenset(
    ["wrapper", "wrap", "container", "row", "col", "column", "columns", "flex", "grid", "block", "inner", "clearfix",
     "section", "layout"]
)  # fmt: skip
_LEAST_POSTS = 3
_ONE_HOLDS_ALL = 0.9  # of the characters: a wrapper of the page that shares its class with boxes beside it
_SHORT = 32  # mean characters of what is no text of a post
_OPENING = 1500  # most characters of a text that its comments make a thread of
_FORUM_WORDS = ("vote", "score", "karma", "points", "forum", "thread", "topic", "communit", "board")   # faster to find
Signature = tuple[str, str]


def find_posts(blocks: Sequence[Block], page: Page) -> list[int] | None:
    """The post that each block is text of: 1, 2, … in order, -1 outside; None where the page is no thread."""
    names = " ".join(word for word in page.words if not word.startswith(_CATEGORIES)).lower()
    if not any(name in names for name in _PEOPLE) or not any(word in names for word in _FORUM_WORDS):
        return None
    if not _FORUM.search(names):
        return None   # an article with boxes of one kind, or with comments
    units = _repeated(blocks)
    largest = sorted(units, key=lambda signature: sum(units[signature].values()), reverse=True)
    best = next((signature for signature in largest if _are_posts(units[signature])), None)
    if best is None:
        return None
    numbers = {element: number for number, element in enumerate(units[best], 1)}
    inside = [_owner(block, numbers) for block in blocks]
    within = sum(len(block.text) for block, post in zip(blocks, inside, strict=True) if post > 0)
    outside = sum(
        len(block.text)
        for block, post in zip(blocks, inside, strict=True)
        if post < 0 and len(block.text) >= 80 and block.links < 0.3 and not block.boilerplate
    )
    if outside > (min(_OPENING, within / 2) if _COMMENT.search(best[1]) else 0.3 * within):
        return None
    return _texts(blocks, inside, len(numbers))


def _repeated(blocks: Sequence[Block]) -> dict[Signature, dict[_Element, int]]:
    """The elements of each signature that enough of them have, and the characters in each. A block counts for the
    nearest element of a kind: posts may be nested."""
    signatures: dict[_Element, Signature | None] = {}
    for block in blocks:
        element = block.home.getparent()
        while element is not None and element not in signatures:
            signatures[element] = _signature(element)
            element = element.getparent()
    counts = Counter(filter(None, signatures.values()))
    nearest: dict[_Element | None, _Element | None] = {None: None}   # of a repeated signature, from each element up

    def climb(element: _Element | None) -> _Element | None:
        path = []
        while element is not None and element not in nearest:
            path.append(element)
            element = element.getparent()
        found = nearest[element]
        for below in reversed(path):
            signature = signatures[below]
            found = below if signature and counts[signature] >= _LEAST_POSTS else found
            nearest[below] = found
        return found

    units: dict[Signature, dict[_Element, int]] = defaultdict(dict)
    for block in blocks:
        owners: dict[Signature, _Element] = {}
        element = climb(block.home.getparent())
        while element is not None:
            signature = signatures[element]
            if signature is not None:
                owners.setdefault(signature, element)
            element = climb(element.getparent())
        for signature, owner in reversed(owners.items()):   # of several that hold the same, the outermost comes first
            found = units[signature]
            found[owner] = found.get(owner, 0) + len(block.text)
    return units


def _signature(element: _Element) -> Signature | None:
    words = (element.get("class") or "").split()
    if not words or element.tag in ("body", "html", "p", "span", "main"):
        return None
    name = words[0].rstrip("0123456789-_")
    return None if name in _LAYOUT else (element.tag, name)


def _are_posts(found: dict[_Element, int]) -> bool:
    if len(found) < _LEAST_POSTS or max(found.values()) > _ONE_HOLDS_ALL * sum(found.values()):
        return False
    sample = list(found)[:20]
    marked = sum(bool(_MARKS(element)) for element in sample)
    titled = sum(bool(_TITLED(element)) for element in sample)  # entries of a list of articles
    return marked >= 0.8 * len(sample) and titled < 0.5 * len(sample)


def _owner(block: Block, numbers: dict[_Element, int]) -> int:
    for element in (block.home, *block.home.iterancestors()):
        if element in numbers:
            return numbers[element]
    return -1


def _texts(blocks: Sequence[Block], inside: list[int], posts: int) -> list[int] | None:
    """`inside` without names, dates and buttons."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for index, block in enumerate(blocks):
        if inside[index] > 0:
            places[_place(block)].append(index)
    result = [-1] * len(blocks)
    for place, indices in places.items():
        mean = sum(len(blocks[index].text) for index in indices) / len(indices)
        repeated = len({inside[index] for index in indices}) >= 0.5 * posts
        if (repeated and mean < _SHORT) or any(_NO_TEXT.search(name) for name in place):
            continue
        for index in indices:
            block = blocks[index]
            if block.slots or not (is_label_text(block.text) or is_date_line(block.text) or block.links > 0.9):
                result[index] = inside[index]
    written = {post for post in result if post > 0}
    return result if len(written) >= 0.6 * posts else None


def _place(block: Block) -> tuple[str, ...]:
    """Where in a post a block stands: its element and the one around it."""
    home = block.home
    around = home.getparent()
    names = [f"{element.tag} {element.get('class') or ''}" for element in (home, around) if element is not None]
    return ("after" if block.after else "in", *names)
