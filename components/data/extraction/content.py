"""Main content: which blocks of a page belong to it.

Resiliparse decides, block by block: a mark before every block shows in its text which ones it kept. What its rules lose
inside the main content (code, formulas, headings, paragraphs between kept ones) is taken back, what is plainly boilerplate
goes.
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
_LEAST = 200       # characters; less than this kept, and the page is read by link density alone
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
    kept = sum(len(block.text) for block, kept in zip(blocks, keep, strict=True) if kept)
    if kept < _LEAST:
        wide = [keep[index] or not (block.boilerplate or _is_link_list(block)) for index, block in enumerate(blocks)]
        if sum(len(block.text) for block, kept in zip(blocks, wide, strict=True) if kept) > 2 * kept:
            return wide
        return keep
    _take_back(blocks, keep)
    return keep


def _is_link_list(block: Block) -> bool:
    return block.links > 0.8 and block.kind in ("p", "item") and not block.slots


def _take_back(blocks: Sequence[Block], keep: list[bool]) -> None:
    """Add what belongs to the main container and is no boilerplate."""
    container = _container(blocks, keep)
    inside = [container is not None and not block.boilerplate and _is_within(block.home, container) for block in blocks]
    first = keep.index(True)
    last = len(keep) - 1 - keep[::-1].index(True)
    for index, block in enumerate(blocks):
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
    return max(holders, key=lambda element: depths[element], default=None)


def _is_within(element: _Element, container: _Element) -> bool:
    return element is container or any(ancestor is container for ancestor in element.iterancestors())
