"""Whole pages in the markup of real sites (`tests/pages`): content is kept, what surrounds it goes.

A page marks what must come out with `⟦…⟧`, what must not with `⟪…⟫`. Comments at its end hold more that must be in the
text: `expect`, a line each, and `block`, as it stands.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from components.data.extraction import extract

PAGES = Path(__file__).parent.parent / "pages"
KEPT, DROPPED = re.compile("⟦(.*?)⟧", re.S), re.compile("⟪(.*?)⟫", re.S)
COMMENT = re.compile(r"^<!-- (expect|block)\n(.*?)\n-->\n", re.S | re.M)


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.html")), ids=lambda path: path.stem)
def test_a_page_gives_its_content(path: Path) -> None:
    annotated = path.read_text()
    source = COMMENT.sub("", annotated)
    text = extract(re.sub("[⟦⟧⟪⟫]", "", source)).text
    flat = " ".join(text.split())
    wanted = [" ".join(kept.split()) for kept in map(_visible, KEPT.findall(source))]
    blocks = []
    for kind, content in COMMENT.findall(annotated):
        if kind == "expect":
            wanted += content.split("\n")
        else:
            blocks.append(content)
    problems = [f"lost: {item}" for item in wanted if item not in flat]
    problems += [f"lost: {block}" for block in blocks if f"\n{block}\n" not in f"\n{text}\n"]
    problems += [f"leaked: {item}" for item in map(_visible, DROPPED.findall(source)) if _stands_in(item, flat)]
    problems += [f"twice: {item}" for item in wanted if len(item) > 20 and flat.count(item) > 1]
    assert not problems, "\n".join([*problems, "", text])


def _visible(marked: str) -> str:
    import html

    return html.unescape(re.sub("<[^>]*>", "", marked))


def _stands_in(item: str, flat: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(item)}(?!\w)", flat) is not None
