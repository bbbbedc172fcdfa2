"""Main content: which blocks of a page belong to it.

Resiliparse decides, block by block: a mark before every block shows in its text which ones it kept. What its rules lose
inside the main content (code, formulas, headings, paragraphs between kept ones) is taken back, what is plainly
boilerplate goes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from lxml import etree
from lxml.etree import _Element
from resiliparse.extract.html2text import extract_plain_text

from components.data.extraction.blocks import Block

_MARK = re.compile("\ue002([0-9]+)\ue003")
_LABELS = re.compile(
    r"(?:advertise?ment|report this ad|sponsored.*|share(?: this| on).*|share|tweet|print|e-?mail|"
    r"follow us.*|sign up.*|"
    r"subscribe.*|read more|continue reading.*|(?:related|recommended|suggested|trending|popular|more) "
    r"(?:articles?|posts?|stor(?:y|ies)|searches|topics|news|reading|links).*|(?:topics|tags|categor(?:y|"
    r"ies)|filed under|"
    r"posted (?:in|by|on)|published(?: on)?|last (?:updated|modified)|updated)\b.*|\d* ?comments?(?: \(\d+\))?|"
    r"leave a (?:comment|reply).*|copyright.*|all rights reserved.*|©.*|terms (?:&|and|of) .*|"
    r"privacy policy.*|powered by.*|"
    r"back to top|skip to .*|loading.*|\d+ (?:shares?|likes?|views?|min(?:ute)?s? read)|share this.*|"
    r"log ?in.*)", re.I)
_LEAST = 200       # characters; less than this kept, and the page is read by link density alone
_CLIMB = 2
_CONTENT = re.compile(
    r"(?:^|[\s_-])(?:article|post|entry|story|page|main|markdown|mw-parser|document|doc|lesson|chapter)[_-]?"
    r"(?:body|content|text|output)(?:$|[\s_-])|"
    r"(?:^|\s)(?:markdown|rst-content|body|document|content)(?:$|\s)|articleBody", re.I)
_MAIN_SHARE = 0.75   # of the kept characters that the main container holds


def choose(root: _Element, blocks: Sequence[Block]) -> list[bool]:
    """Whether each block is main content. Changes the tree: it is of no use afterwards."""
    for index, block in enumerate(blocks):
        mark = f"\ue002{index}\ue003"
        if block.after:
            block.anchor.tail = mark + (block.anchor.tail or "")
        else:
            block.anchor.text = mark + (block.anchor.text or "")
    html = etree.tostring(root, encoding="unicode", method="html")
    text = extract_plain_text(html, main_content=True, alt_texts=False, comments=False, post_meta=False)
    voted = {int(number) for number in _MARK.findall(text)}
    keep = [index in voted and not _is_link_list(block) for index, block in enumerate(blocks)]
    for is_chaff in (lambda block: block.navigation, _is_label):
        firm = [wanted and not is_chaff(block) for block, wanted in zip(blocks, keep, strict=True)]
        if _characters(blocks, firm) > 0.6 * _characters(blocks, keep):   # else the whole page sits in such an element
            keep = firm
    kept = _characters(blocks, keep)
    if kept < _LEAST:
        wide = [keep[index] or not (block.boilerplate or _is_link_list(block)) for index, block in enumerate(blocks)]
        if _characters(blocks, wide) > 2 * kept:
            return wide
        return keep if any(keep) else [not block.navigation for block in blocks]
    _take_back(blocks, keep)
    return keep


def _is_label(block: Block) -> bool:
    """Short text that belongs to the site and not to the page's subject."""
    if block.slots or block.kind in ("code", "table"):
        return False
    if block.boilerplate and (len(block.text) < 140 or block.links > 0.3) and block.prefix != "# ":
        return True
    return len(block.text) < 80 and bool(_LABELS.fullmatch(block.text))


def _characters(blocks: Sequence[Block], keep: Sequence[bool]) -> int:
    return sum(len(block.text) for block, wanted in zip(blocks, keep, strict=True) if wanted)


def _is_link_list(block: Block) -> bool:
    return block.links > 0.8 and block.kind in ("p", "item") and not block.slots


def _take_back(blocks: Sequence[Block], keep: list[bool]) -> None:
    """Add what belongs to the main container and is no boilerplate."""
    container = _container(blocks, keep)
    inside = [container is not None and not block.boilerplate and _is_within(block.home, container) for block in blocks]
    first = keep.index(True)
    last = len(keep) - 1 - keep[::-1].index(True)
    for index, block in enumerate(blocks):
        if keep[index] and container is not None and not inside[index]:
            prose = len(block.text) >= 140 and block.links < 0.2 and not block.boilerplate
            keep[index] = prose or block.prefix == "# " or block.slots or _is_within(block.home, container)
        if keep[index] or not inside[index]:
            continue
        prose = len(block.text) >= 60 and block.links < 0.3 and first < index
        between = first < index < last and block.links < 0.5 and block.kind != "heading"
        if block.kind == "code" or block.slots or prose or between:
            keep[index] = True
    for index in range(len(blocks) - 2, -1, -1):   # a heading goes with what follows it
        if blocks[index].kind == "heading" and keep[index + 1] and (inside[index] or index >= first):
            keep[index] = keep[index] or (blocks[index].links < 0.9 and not blocks[index].boilerplate)
    for index, block in enumerate(blocks):         # and without anything it goes
        if block.kind == "heading" and keep[index] and not any(keep[index + 1 : index + 3]):
            keep[index] = False


def _container(blocks: Sequence[Block], keep: Sequence[bool]) -> _Element | None:
    """The deepest element that holds most of the kept characters."""
    weights: Counter[_Element] = Counter()
    depths: dict[_Element, int] = {}
    total = 0
    for block, kept in zip(blocks, keep, strict=True):
        if kept:
            total += len(block.text)
            chain = [block.home, *block.home.iterancestors()]
            for height, element in enumerate(chain):
                weights[element] += len(block.text)
                depths[element] = len(chain) - height
    holders = [element for element, weight in weights.items() if weight >= total * _MAIN_SHARE]
    container = max(holders, key=lambda element: depths[element], default=None)
    return None if container is None else _widened(container)


def _widened(container: _Element) -> _Element:
    """The outermost element that markup calls the content, at most `_CLIMB` wrappers above each other."""
    widest = container
    missed = 0
    for ancestor in container.iterancestors():
        if ancestor.tag in ("body", "html") or missed > _CLIMB:
            break
        classes = f"{ancestor.get('class') or ''} {ancestor.get('id') or ''}"
        if ancestor.tag in ("section", "article", "main") or ancestor.get("role") == "main" or _CONTENT.search(classes):
            widest, missed = ancestor, 0
        else:
            missed += 1
    return widest


def _is_within(element: _Element, container: _Element) -> bool:
    return element is container or any(ancestor is container for ancestor in element.iterancestors())
