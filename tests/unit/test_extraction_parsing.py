"""What the quick ways of reading a page may not change."""

from __future__ import annotations

import pytest

from components.data.extraction import ExtractionError, extract, slots

PROSE = "<p>The theorem was known long before anybody could prove it, and its proof fills many pages of a book.</p>"

LAST = "After all that the book says nothing of a shorter proof, though all its readers have asked for one since."


def test_every_reference_to_an_unwanted_character_is_looked_at() -> None:
    """The look that decides whether a page's references are read one by one misses none that would be changed."""
    for code in [*range(0x1200), *range(0xD000, 0x11000), 0x10FFFF, 0x110000, 9_999_999]:
        for written in (f"&#{code};", f"&#00{code}", f"&#x{code:x};", f"&#X0{code:X}g"):
            match = slots._REFERENCE.match(written)
            changed = match is not None and slots._allowed_reference(match) != match[0]
            assert not changed or slots._SUSPICIOUS.search(written.encode()), written
    common = b"&#34; &#39; &#039; &#38; &#60; &#62; &#x27; &#x2F; &#x22; &#160; &#8217; &#x2019; &#xA0;"
    assert not slots._SUSPICIOUS.search(common)   # or most pages would pay for it


def nested(depth: int) -> str:
    return f"<html><body>{'<div>' * depth}{PROSE * 3}{'</div>' * depth}<p>{LAST}</p></body></html>"


@pytest.mark.parametrize("depth", [200, 300, 580])
def test_a_deep_page_is_read_to_its_end(depth: int) -> None:
    text = extract(nested(depth)).text
    assert text.startswith("The theorem") and text.endswith(f"{LAST}\n")


@pytest.mark.parametrize("depth", [700, 3000])
def test_a_page_that_is_too_deep_is_refused_by_name(depth: int) -> None:
    with pytest.raises(ExtractionError, match="too_deep"):
        extract(nested(depth))


def test_a_long_text_is_read_to_its_end() -> None:
    """Over ten megabytes in one piece the first parser gives up."""
    text = extract(f"<html><body>{PROSE * 3}<p>{'word ' * 2_200_000}end</p></body></html>").text
    assert text.endswith("word end\n") and len(text) > 11_000_000
