"""Main content: which blocks of a page belong to it.

The blocks of the page's `main`, where that is plain. Else Resiliparse decides, block by block: a mark before every
block shows in its text which ones it kept. What is lost inside the main content (code, formulas, headings, paragraphs
between kept ones) is taken back, what is plainly boilerplate goes.
"""

from __future__ import annotations

import functools
import re
from collections import Counter
from collections.abc import Sequence

from lxml import etree
from lxml.etree import _Element
from resiliparse.extract.html2text import extract_plain_text

from components.data.extraction.blocks import Block
from components.data.extraction.labels import CONTACT, CREDIT, ENDS, is_date_line, is_label_text
from components.data.extraction.scan import Page

_MARK = re.compile("\ue002([0-9]+)\ue003")
_LEAST = 200  # characters; less than this kept, and the page is read by link density alone
_MISSED = 1500  # characters of prose
_CLIMB = 2
_STOPS, _CLOSING = ".!?。！？…:", " \"'”’»)]”」"
_CONTENT = re.compile(
    r"(?:^|[\s_-])(?:article|post|entry|story|page|main|markdown|mw-parser|document|doc|lesson|chapter)[_-]?"
    r"(?:body|content|text|output)(?:$|[\s_-])|"
    r"(?:^|\s)(?:markdown|rst-content|body|document|content)(?:$|\s)|articleBody",
    re.I,
)
_CAPTION = re.compile(r"caption|img_?-?desc|photo-?desc|image-?desc|picture-?desc")   # of names in lower case
_CAPTIONS = 0.5  # of the characters kept; what holds more is an article inside a `figure`
_LISTING = 1.6  # times the characters of the text; pages of links hold at least that much in lists of links
_LEAST_MAIN = 500  # characters of text in the main element
_MOST = 0.6  # of the text's characters are in it
_PLAIN = 0.97  # of its characters are text
_MAIN_SHARE = 0.75  # of the kept characters that the main container holds
_ARTICLE_SHARE = 0.5  # and of those that markup calls an article


def choose(root: _Element, blocks: Sequence[Block], page: Page) -> list[bool]:
    """Whether each block is main content. Changes the tree: it is of no use afterwards."""
    voted = _of_plain_main(blocks, page) or _votes(root, blocks)
    keep = [index in voted and not _is_link_list(block) for index, block in enumerate(blocks)]
    listed = [index in voted and not block.boilerplate for index, block in enumerate(blocks)]
    if _characters(blocks, listed) > _LISTING * _characters(blocks, keep):   # a page that lists others is made of links
        keep = [wanted or also for wanted, also in zip(keep, listed, strict=True)]
    for is_chaff in (lambda block: block.navigation, _is_label):
        firm = [wanted and not is_chaff(block) for block, wanted in zip(blocks, keep, strict=True)]
        if _characters(blocks, firm) > 0.6 * _characters(blocks, keep):  # else the whole page sits in such an element
            keep = firm
    kept = _characters(blocks, keep)
    if _is_missed(blocks, keep):
        keep = _by_prose(blocks)
    elif kept < _LEAST:
        wide = [
            wanted or not (block.boilerplate or _is_link_list(block) or _is_label(block))
            for block, wanted in zip(blocks, keep, strict=True)
        ]
        if _characters(blocks, wide) > 2 * kept:
            keep = wide
        elif not any(keep):
            return [not block.navigation for block in blocks]
    is_prose = not any(block.slots for block in blocks)
    _take_back(blocks, keep)
    if is_prose:
        _drop_captions(blocks, keep)
    _trim(blocks, keep)
    _fit_headings(blocks, keep)
    return keep if any(keep) else [index in voted for index in range(len(blocks))]


def _is_missed(blocks: Sequence[Block], keep: Sequence[bool]) -> bool:
    """Whether most of the page's prose was left out: the votes fell for a consent dialog, a teaser or a comment."""
    prose = [_is_prose(block) for block in blocks]
    missed = _characters(blocks, [good and not wanted for good, wanted in zip(prose, keep, strict=True)])
    kept = _characters(blocks, [good and wanted for good, wanted in zip(prose, keep, strict=True)])
    return missed > _MISSED and missed > 2 * kept and missed > _characters(blocks, keep)


def _is_prose(block: Block) -> bool:
    running = block.kind in ("p", "item", "quote") and not block.boilerplate
    return running and len(block.text) >= 100 and block.links < 0.2


def _by_prose(blocks: Sequence[Block]) -> list[bool]:
    """Everything that is no boilerplate in the deepest element that holds most of the prose."""
    container = _container(blocks, [_is_prose(block) for block in blocks])
    return [
        within and not (block.boilerplate or _is_link_list(block) or _is_label(block))
        for block, within in zip(blocks, _are_within(blocks, container), strict=True)
    ]


def _of_plain_main(blocks: Sequence[Block], page: Page) -> set[int]:
    """The blocks of the element that markup calls the main one, where it holds most of the page's text and hardly any
    boilerplate; else none. Nobody need vote then."""
    if len(page.mains) != 1:
        return set()
    within = _are_within(blocks, page.mains[0])
    text = [not block.boilerplate and not _is_link_list(block) for block in blocks]
    found = [inside and good for inside, good in zip(within, text, strict=True)]
    characters = _characters(blocks, found)
    if characters < max(_LEAST_MAIN, _MOST * _characters(blocks, text), _PLAIN * _characters(blocks, within)):
        return set()
    return {index for index, wanted in enumerate(found) if wanted}


def _votes(root: _Element, blocks: Sequence[Block]) -> set[int]:
    """Which blocks Resiliparse takes for main content."""
    for index, block in enumerate(blocks):
        mark = f"\ue002{index}\ue003"
        if block.after:
            block.anchor.tail = mark + (block.anchor.tail or "")
        else:
            block.anchor.text = mark + (block.anchor.text or "")
    etree.strip_attributes(root, "href", "src", "srcset", "title", "alt", "style")  # it does not look at them
    html = etree.tostring(root, encoding="unicode", method="html")
    text = extract_plain_text(
        html, main_content=True, list_bullets=False, alt_texts=False, comments=False, post_meta=False
    )
    return {int(number) for number in _MARK.findall(text)}


def _is_label(block: Block) -> bool:
    """Short text that belongs to the site and not to the page's subject."""
    if block.slots or block.kind in ("code", "table"):
        return False
    if block.boilerplate and (len(block.text) < 140 or block.links > 0.3) and block.prefix != "# ":
        return True
    return block.kind != "heading" and is_label_text(block.text)  # `Categories` may well be a chapter


def _characters(blocks: Sequence[Block], keep: Sequence[bool]) -> int:
    return sum(len(block.text) for block, wanted in zip(blocks, keep, strict=True) if wanted)


def _is_link_list(block: Block) -> bool:
    return block.links > 0.8 and block.kind in ("p", "item") and not block.slots


def _take_back(blocks: Sequence[Block], keep: list[bool]) -> None:
    """Add what belongs to the main container and is no boilerplate, drop what lies outside."""
    container = _container(blocks, keep)
    within = _are_within(blocks, container)
    inside = [wanted and not block.boilerplate for block, wanted in zip(blocks, within, strict=True)]
    first = keep.index(True)
    last = len(keep) - 1 - keep[::-1].index(True)
    homes = {_parent(block) for block, wanted in zip(blocks, keep, strict=True) if wanted and len(block.text) >= 80}
    for index, block in enumerate(blocks):
        if keep[index] and container is not None and not inside[index]:
            prose = len(block.text) >= 140 and block.links < 0.2 and not block.boilerplate
            keep[index] = prose or block.prefix == "# " or block.slots or within[index]
        if keep[index] or not inside[index] or _is_label(block) or _is_link_list(block):
            continue
        beside = _parent(block) in homes
        prose = beside and len(block.text) >= 60 and block.links < 0.3 and first < index
        between = (
            first < index < last
            and block.links < 0.5
            and block.kind != "heading"
            and (beside or len(block.text) >= 60 or block.kind in ("item", "table"))
        )
        if block.kind == "code" or block.slots or prose or between:
            keep[index] = True


def _parent(block: Block) -> _Element:
    home = block.home
    parent = home.getparent()
    return home if parent is None or home.tag in ("div", "section", "article", "td") else parent


def _trim(blocks: Sequence[Block], keep: list[bool]) -> None:
    """What stands around an article: dates and names above its first paragraph, everything after its end."""
    running = [wanted and _is_running(block) for block, wanted in zip(blocks, keep, strict=True)]
    if not any(running):
        return
    first, last = running.index(True), len(running) - 1 - running[::-1].index(True)
    headings = [index for index in range(first) if keep[index] and blocks[index].kind == "heading"]
    for index, block in enumerate(blocks):
        if not keep[index] or block.slots or block.kind not in ("p", "item"):
            continue
        if index < first:
            before_title = bool(headings) and index < headings[0] and len(block.text) < 60
            keep[index] = not (
                before_title
                or is_date_line(block.text)
                or (block.kind == "p" and len(block.text) < 40 and block.links > 0.3)
            )
        elif index >= last - 1 and len(block.text) < 250 and CONTACT.search(block.text) and index > first:
            keep[index] = False
        elif index > last:
            keep[index] = block.kind == "item" or not is_date_line(block.text)
    _cut_end(blocks, keep)


def _is_running(block: Block) -> bool:
    """Whether a block is a sentence at least."""
    return (
        block.kind in ("p", "quote")
        and len(block.text) >= 40
        and (len(block.text) >= 120 or block.text.rstrip(_CLOSING)[-1:] in _STOPS or block.text[-1] in _STOPS)
    )


def _cut_end(blocks: Sequence[Block], keep: list[bool]) -> None:
    total = _characters(blocks, keep)
    seen = 0
    for index, block in enumerate(blocks):
        if not keep[index]:
            continue
        if (
            block.kind == "heading"
            and seen > 0.6 * total
            and ENDS.fullmatch(block.text)
            and not any(later.slots for later, wanted in zip(blocks[index:], keep[index:], strict=True) if wanted)
        ):
            keep[index:] = [False] * (len(keep) - index)
            return
        seen += len(block.text)


def _drop_captions(blocks: Sequence[Block], keep: list[bool]) -> None:
    """An article without formulas and code: no captions and credits of pictures."""
    captions = [
        index
        for index, block in enumerate(blocks)
        if keep[index]
        and block.kind == "p"
        and len(block.text) < 300
        and (_in_caption(block) or (len(block.text) < 150 and CREDIT.search(block.text)))
    ]
    if sum(len(blocks[index].text) for index in captions) < _CAPTIONS * _characters(blocks, keep):
        for index in captions:
            keep[index] = False


def _in_caption(block: Block) -> bool:
    home: _Element | None = block.home
    for _ in range(3):
        if home is None:
            return False
        if home.tag in ("figcaption", "figure") or _names_caption(home.get("class") or ""):
            return True
        home = home.getparent()
    return False


@functools.lru_cache(maxsize=16_384)
def _names_caption(classes: str) -> bool:
    return bool(_CAPTION.search(classes.lower()))


def _fit_headings(blocks: Sequence[Block], keep: list[bool]) -> None:
    """A heading goes with what follows it."""
    first = keep.index(True) if True in keep else 0
    for index in range(len(blocks) - 2, -1, -1):
        if blocks[index].kind == "heading" and keep[index + 1] and index >= first - 1:
            keep[index] = keep[index] or (
                blocks[index].links < 0.9 and not blocks[index].boilerplate and not _is_label(blocks[index])
            )
    start = next((index for index, block in enumerate(blocks) if keep[index] and block.kind != "heading"), 0)
    for index, block in enumerate(blocks):
        if block.kind == "heading" and keep[index] and index > start and not any(keep[index + 1 : index + 3]):
            keep[index] = False  # a heading of what went; those above all text are the title


def _container(blocks: Sequence[Block], keep: Sequence[bool]) -> _Element | None:
    """The deepest element that holds most of the kept characters."""
    weights: Counter[_Element] = Counter()
    for block, kept in zip(blocks, keep, strict=True):
        if kept:
            weights[block.home] += len(block.text)
    total = weights.total()
    depths: dict[_Element, int] = {}
    for home in weights:
        _add_depths(home, depths)
    for element in sorted(depths, key=lambda element: -depths[element]):   # each after all that is in it
        parent = element.getparent()
        if parent is not None:
            weights[parent] += weights[element]
    holders = [element for element, weight in weights.items() if weight >= total * _MAIN_SHARE]
    articles = [
        element
        for element, weight in weights.items()
        if weight >= total * _ARTICLE_SHARE
        and (element.tag == "article" or "articleBody" in (element.get("itemprop") or ""))
    ]
    container = max(articles or holders, key=lambda element: depths[element], default=None)
    return None if container is None else _widened(container)


def _add_depths(element: _Element, depths: dict[_Element, int]) -> None:
    path: list[_Element] = []
    above: _Element | None = element
    while above is not None and above not in depths:
        path.append(above)
        above = above.getparent()
    for depth, below in enumerate(reversed(path), 1 if above is None else depths[above] + 1):
        depths[below] = depth


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


def _are_within(blocks: Sequence[Block], container: _Element | None) -> list[bool]:
    """Whether each block is in the container: what is stands together."""
    if container is None:
        return [False] * len(blocks)
    known: dict[_Element, bool] = {container: True}
    return [_is_within(block.home, known) for block in blocks]


def _is_within(element: _Element, known: dict[_Element, bool]) -> bool:
    within = known.get(element)
    if within is None:
        parent = element.getparent()
        within = known[element] = parent is not None and _is_within(parent, known)
    return within
