# ruff: noqa: E501  (markup as sites write it)
"""Pages whose frame misleads: what the open web does to its own content (each kind was met on labelled real pages)."""

from __future__ import annotations

import pytest

from components.data.extraction import content, extract

FIRST = (
    "The river had been rising since the morning, and by noon the lower fields were under water. Nobody in the village "
    "had seen it that high, and the old men compared it with what their grandfathers used to tell about."
)
LAST = (
    "In the end the dam held, though only just, and the engineers who came from the city a week later said that another "
    "night of rain would have been enough. They have been building a new one upstream for two years now."
)
ARTICLE = f"<h1>The flood</h1><p>{FIRST}</p>" + f"<p>{FIRST}</p><p>{LAST}</p>" * 3
NAVIGATION = "<nav>" + "".join(f"<a href='/{n}'>Section {n}</a> " for n in range(12)) + "</nav>"


def page(body: str) -> str:
    return f"<!DOCTYPE html><html><head><title>The flood</title></head><body>{NAVIGATION}{body}</body></html>"


FRAMES = {
    "streamed": f"<div id='B:0'></div><div hidden id='S:0'><p>{FIRST}</p></div><div hidden id='S:1'>{ARTICLE}</div>",
    "hidden until a script runs": f"<div style='visibility: hidden'><article>{ARTICLE}</article></div>",
    "a button without an end": f"<header><button class='menu'>Menu<div>{ARTICLE}</div></header>",
    "a figure": f"<article><figure class='paragraph-image'><div class='content'>{ARTICLE}</div></figure></article>",
    "named like a sidebar, and full of links": f"<div class='content-sidebar-wrap'><main>{ARTICLE}</main><aside class='sidebar'>"
    + "".join(f"<a href='/p{n}'>What else happened in the year {1900 + n}, as told here</a> " for n in range(90)) + "</aside></div>",
}  # fmt: skip


@pytest.mark.parametrize("frame", FRAMES)
def test_what_holds_the_page_is_kept(frame: str) -> None:
    text = extract(page(FRAMES[frame])).text
    assert FIRST in text and LAST in text
    assert "Section 3" not in text


def test_what_is_hidden_and_small_goes() -> None:
    text = extract(page(f"<article>{ARTICLE}<div hidden><p>{LAST.upper()}</p></div></article>")).text
    assert LAST in text and LAST.upper() not in text


def test_code_behind_a_tab_or_not_for_search_engines_is_kept() -> None:
    tabs = (
        "<div class='tabs'><section role='tabpanel'><pre><code>pip install flood</code></pre></section>"
        "<section role='tabpanel' hidden><pre><code>brew install flood\nbrew upgrade</code></pre></section></div>"
        "<section data-nosnippet><div><pre>import flood<br>flood.rise()</pre></div></section>"
    )
    text = extract(page(f"<article>{ARTICLE}{tabs}<p>{LAST}</p></article>")).text
    for code in ("pip install flood", "brew install flood\nbrew upgrade", "import flood\nflood.rise()"):
        assert code in text


COMMENTS = "".join(
    f"<li class='comment {'even thread-even' if n % 2 else 'odd thread-odd'} depth-1'><div class='comment-author'>Reader "
    f"{n}</div><div class='comment-content'><p>I remember that night well, number {n}, and we were all afraid.</p></div></li>"
    for n in range(30)
)


@pytest.mark.parametrize("words", ["category-forum", "leaderboard", "billboard-wrap", "icon-threads", "KeyPoints"])
def test_an_article_with_comments_is_no_thread(words: str) -> None:
    short = f"<article><h1>The flood</h1><p>{FIRST}</p></article>"   # than its comments
    extraction = extract(page(f"<div class='{words}'></div>{short}<ol class='comments'>{COMMENTS}</ol>"))
    assert extraction.thread is None and FIRST in extraction.text


def test_the_same_posts_on_a_forum_are_a_thread() -> None:
    extraction = extract(page(f"<div class='forum-header'></div><ol class='posts'>{COMMENTS}</ol>"))
    assert extraction.thread is not None and len(extraction.thread.posts) == 30


def test_boxes_of_a_layout_are_no_posts() -> None:
    box = "<div class='{name}'><div class='date'>today</div><div class='author'>Ada</div>{text}</div>"
    body = "<div class='forum'></div>" + "".join(
        box.format(name=name, text=text)
        for name, text in (("container", ARTICLE), ("container", f"<p>{FIRST}</p>"), ("container", f"<p>{LAST}</p>"))
    )
    extraction = extract(page(body))
    assert extraction.thread is None and FIRST in extraction.text


def test_one_post_does_not_hold_all_the_others_do_not() -> None:
    small = "<div class='card'><time>today</time><p>So it was, and so it will be for all of us here.</p></div>"
    large = f"<div class='card'><time>now</time><i class='author'>Ada</i>{ARTICLE * 4}</div>"
    extraction = extract(page(f"<div class='forum'></div>{large}{small * 2}"))
    assert extraction.thread is None and FIRST in extraction.text


def test_a_page_of_links_keeps_them() -> None:
    links = [
        f"<p><a href='/year/{year}'>What happened on the river in the year {year}, told by those who saw it</a></p>"
        for year in range(1900, 1940)
    ]
    text = extract(page(f"<main><article><h1>The floods</h1><p>{FIRST}</p>{''.join(links)}</article></main>")).text
    assert FIRST in text and text.count("told by those who saw it") == 40
    few = extract(page(f"<main><article><h1>The floods</h1>{ARTICLE}{''.join(links[:5])}</article></main>")).text
    assert "told by those who saw it" not in few


@pytest.mark.parametrize(("body", "voted"), [
    (f"<main>{ARTICLE}</main><aside><p>{FIRST}</p></aside>", False),
    (f"<div role='main'>{ARTICLE}</div>", False),
    (f"<main>{ARTICLE}<div class='related-posts'><p>{FIRST}</p></div></main>", True),   # not only text
    (f"<main><p>{FIRST}</p></main><div>{ARTICLE}</div>", True),   # not most of it
    (f"<main>{ARTICLE}</main><main>{ARTICLE}</main>", True),
    (f"<div>{ARTICLE}</div>", True),
])  # fmt: skip
def test_a_plain_main_element_is_taken_at_its_word(body: str, voted: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    vote = content.extract_plain_text
    monkeypatch.setattr(content, "extract_plain_text", lambda *page, **options: asked.append(1) or vote(*page, **options))
    assert LAST in extract(page(body)).text
    assert bool(asked) == voted


@pytest.mark.parametrize(("classes", "kept"), [
    ("theme-admonition admonition_x alert alert--info", True), ("alert alert--info", False),
])  # fmt: skip
def test_a_note_is_text_though_it_is_called_an_alert(classes: str, kept: bool) -> None:
    note = f"<div class='{classes}'><p>Mind the gap.</p></div>"
    assert ("Mind the gap." in extract(page(f"<article>{ARTICLE}{note}{ARTICLE}</article>")).text) == kept


def test_a_cookie_notice_goes_and_a_text_about_cookies_stays() -> None:
    notice = (
        "This website uses cookies. By continuing to use our website without changing the settings, you are agreeing to "
        "our use of cookies. Click here for more information about them."
    )
    about = "A server sends a cookie once, and the browser sends it back with each request, which is how sessions work."
    text = extract(page(f"<article><p>{notice}</p>{ARTICLE}<p>{about}</p><p>{LAST}</p></article>")).text
    assert notice not in text and about in text
