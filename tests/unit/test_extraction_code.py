# ruff: noqa: E501  (markup as sites write it)
"""Code comes out with its exact lines and indentation, whatever draws it; threads come out as threads."""

from __future__ import annotations

import html

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from components.data.extraction import extract
from components.data.extraction.survival import find_code_lines, find_formulas, measure

PROSE = (
    "The program that follows reads a list of numbers and prints the largest one; it was written for clarity, and every "
    "line of it is explained in the text below. Readers who know the language may skip to the end of the section."
)
CODE = "def largest(numbers):\n    best = None\n    for n in numbers:\n        if best is None or n > best:\n            best = n\n\n    return best"
LINES = CODE.split("\n")


def page(body: str) -> str:
    return f"""<html><head><title>Largest | Blog</title></head><body><div class='menu'><a href='/'>Home</a></div>
    <div class='content'><h1>Largest</h1><p>{PROSE}</p>{body}<p>{PROSE}</p></div>
    <div class='footer'>Powered by software</div></body></html>"""


E = html.escape
SPANS = E(CODE).replace("def", "<span class='k'>def</span>").replace("largest", "<span class='nf'>largest</span>")
NUMBERS = "\n".join(str(n) for n in range(1, len(LINES) + 1))
MARKUP = {
    "pre": f"<pre>{E(CODE)}</pre>",
    "pre code": f"<pre><code class='language-python'>{E(CODE)}</code></pre>",
    "highlight.js": f"<pre><code class='hljs python'>{SPANS}</code></pre>",
    "sphinx": f"<div class='highlight-python notranslate'><div class='highlight'><pre><span></span>{SPANS}\n</pre></div></div>",
    "github": f"<div class='highlight highlight-source-python' dir='auto'><pre>{SPANS}</pre><div class='zeroclipboard-container'>"
              f"<clipboard-copy aria-label='Copy' value='x'></clipboard-copy></div></div>",
    "pygments table": f"<table class='highlighttable'><tr><td class='linenos'><div class='linenodiv'><pre>{NUMBERS}</pre></div></td>"
                      f"<td class='code'><div class='highlight'><pre>{SPANS}</pre></div></td></tr></table>",
    "rouge": f"<div class='language-python highlighter-rouge'><div class='highlight'><pre class='highlight'><code><table class='rouge-table'>"
             f"<tbody><tr><td class='rouge-gutter gl'><pre class='lineno'>{NUMBERS}</pre></td><td class='rouge-code'><pre>{SPANS}</pre>"
             f"</td></tr></tbody></table></code></pre></div></div>",
    "chroma": "<div class='highlight'><div class='chroma'><table class='lntable'><tr><td class='lntd'><pre class='chroma'><code>"
              + "".join(f"<span class='lnt'>{n}\n</span>" for n in range(1, len(LINES) + 1))
              + f"</code></pre></td><td class='lntd'><pre class='chroma'><code class='language-python' data-lang='python'>{SPANS}</code>"
                "</pre></td></tr></table></div></div>",
    "chroma inline": "<div class='highlight'><pre class='chroma'><code class='language-python'>" + "".join(
        f"<span class='line'><span class='ln'>{n}</span><span class='cl'>{E(line)}\n</span></span>" for n, line in enumerate(LINES, 1))
        + "</code></pre></div>",
    "pygments inline": "<pre>" + "\n".join(f"<span class='linenos'>{n}</span>{E(line)}" for n, line in enumerate(LINES, 1)) + "</pre>",
    "hljs line numbers": "<pre><code class='hljs python'><table class='hljs-ln'><tbody>" + "".join(
        f"<tr><td class='hljs-ln-line hljs-ln-numbers' data-line-number='{n}'><div class='hljs-ln-n' data-line-number='{n}'></div></td>"
        f"<td class='hljs-ln-line hljs-ln-code' data-line-number='{n}'>{E(line)}</td></tr>" for n, line in enumerate(LINES, 1))
        + "</tbody></table></code></pre>",
    "github blob": "<table class='highlight tab-size js-file-line-container'>" + "".join(
        f"<tr><td id='L{n}' class='blob-num js-line-number' data-line-number='{n}'></td><td class='blob-code blob-code-inner'>{E(line)}\n</td></tr>"
        for n, line in enumerate(LINES, 1)) + "</table>",
    "csdn": f"<pre class='prettyprint'><code class='prism language-python has-numbering'>{SPANS}</code><ul class='pre-numbering'>"
            + "".join(f"<li>{n}</li>" for n in range(1, len(LINES) + 1)) + "</ul></pre>",
    "prettify": "<pre class='prettyprint linenums'><ol class='linenums'>" + "".join(
        f"<li class='L{n}'><code><span class='pln'>{E(line)}</span></code></li>" for n, line in enumerate(LINES)) + "</ol></pre>",
    "syntaxhighlighter": "<div class='syntaxhighlighter python'><table><tbody><tr><td class='gutter'>" + "".join(
        f"<div class='line number{n}'>{n}</div>" for n in range(1, len(LINES) + 1)) + "</td><td class='code'><div class='container'>"
        + "".join(f"<div class='line number{n}'><code class='python plain'>{E(line).replace(' ', '&nbsp;')}</code></div>"
                  for n, line in enumerate(LINES, 1)) + "</div></td></tr></tbody></table></div>",
    "wp-syntax": f"<div class='wp_syntax'><table><tr><td class='line_numbers'><pre>{NUMBERS}\n</pre></td><td class='code'>"
                 f"<pre class='python' style='font-family:monospace;'>{E(CODE)}</pre></td></tr></table></div>",
    "breaks": "<pre>" + E(CODE).replace("\n", "<br/>") + "</pre>",
    "breaks with nbsp": "<code>" + E(CODE).replace("    ", "&nbsp;&nbsp;&nbsp;&nbsp;").replace("\n", "<br>\n") + "</code>",
    "docusaurus": "<pre class='prism-code language-python'><code class='codeBlockLines'>" + "".join(
        f"<span class='token-line' style='color:#000'><span class='token plain'>{E(line)}</span><br></span>" for line in LINES)
        + "</code></pre><button aria-label='Copy'>Copy</button>",
    "shiki": "<pre class='shiki'><code>" + "\n".join(f"<span class='line'><span style='color:#fff'>{E(line)}</span></span>" for line in LINES)
             + "</code></pre>",
    "div lines": "<pre><code>" + "".join(f"<div class='line'>{E(line) or '<br>'}</div>" for line in LINES) + "</code></pre>",
    "copy button": f"<pre><button class='copy-btn'>Copy code</button><code>{E(CODE)}</code></pre>",
    "numbers in text": "<pre>" + "\n".join(f"{n:2d}  {E(line)}" for n, line in enumerate(LINES, 1)) + "</pre>",
    "crlf": "<pre>" + E(CODE).replace("\n", "\r\n") + "</pre>",
    "prompts": "<pre>" + "\n".join((">>> " if line[:1] not in ("", " ") else "... ") + E(line) for line in LINES) + "</pre>",
}


@pytest.mark.parametrize("name", MARKUP)
def test_code_is_exact(name: str) -> None:
    extraction = extract(page(MARKUP[name]))
    expected = CODE
    if name == "numbers in text":
        expected = "\n".join(line and " " + line for line in LINES)
    assert [block.text for block in extraction.code_blocks] == [expected]
    assert f"\n{expected}\n```" in extraction.text
    assert "Copy" not in extraction.text and "Powered by" not in extraction.text


@pytest.mark.parametrize(("markup", "language"), [
    ("<pre><code class='language-c++'>int x;</code></pre>", "cpp"),
    ("<pre class='brush: java; gutter: false'>int x;</pre>", "java"),
    ("<div class='highlight-default'><pre>int x;</pre></div>", ""),
    ("<pre class='lang-js prettyprint'>let x;</pre>", "javascript"),
    ("<pre class='sourceCode haskell'><code class='sourceCode haskell'>x = 1</code></pre>", "haskell"),
    ("<figure class='highlight' data-lang='ruby'><pre>x = 1</pre></figure>", "ruby"),
    ("<pre class='wp-block-code'><code>x</code></pre>", ""),
])
def test_language_stands_on_the_fence(markup: str, language: str) -> None:
    extraction = extract(page(markup))
    assert [block.language for block in extraction.code_blocks] == [language]
    assert f"```{language}\n" in extraction.text


def test_transcripts_keep_their_prompts() -> None:
    code = ">>> 1 + 1\n2\n>>> x = [\n...     3]\n>>> x\n[3]"
    assert [block.text for block in extract(page(f"<pre>{E(code)}</pre>")).code_blocks] == [code]


CODE_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z", "M"], exclude_characters="\u2800"), max_size=8)
CODE_LINE = st.tuples(st.integers(0, 12), st.lists(CODE_TEXT, max_size=4)).map(lambda pair: " " * pair[0] + " ".join(pair[1]))


@settings(max_examples=80, deadline=None)
@given(st.lists(CODE_LINE, min_size=1, max_size=12))
def test_any_code_survives(lines: list[str]) -> None:
    code = "\n".join(["begin", *(line.rstrip() for line in lines), "end"])
    extraction = extract(page(f"<pre>{E(code)}</pre>"))
    assert [block.text for block in extraction.code_blocks] == [code]
    assert code in extraction.text


POSTS = ["How can I find the largest number in a list without sorting it first? My list holds millions of numbers.",
         "Use the function max, which walks over the list once and remembers the largest number it has seen so far.",
         "You could also use a heap if you need the k largest numbers, which costs a logarithm per number."]
STACK_EXCHANGE = f"""<div id='question' class='question' data-score='12'><div class='js-vote-count' data-value='12'>12</div>
<div class='s-prose js-post-body' itemprop='text'><p>{POSTS[0]}</p></div><div class='post-taglist'>python list</div></div>
<div class='answer js-answer accepted-answer' data-score='7' itemprop='acceptedAnswer' itemscope itemtype='https://schema.org/Answer'>
<div class='s-prose js-post-body'><p>{POSTS[1]}</p><pre><code>max(x)</code></pre></div></div>
<div class='answer' data-score='-1'><div class='s-prose js-post-body'><p>{POSTS[2]}</p></div></div>"""
FORUMS = {
    "discourse": "".join(f"<div class='topic-post'><div class='topic-body'><div class='names'>user</div><div class='cooked'><p>{p}</p></div></div></div>" for p in POSTS),
    "xenforo": "".join(f"<article class='message message--post js-post'><div class='message-cell--user'>Junior Member</div><article class='message-body'><div class='bbWrapper'>{p}</div></article><aside class='message-signature'>My signature line</aside></article>" for p in POSTS),
    "phpbb": "".join(f"<div class='post has-profile bg2'><div class='inner'><dl class='postprofile'><dt>user</dt></dl><div class='postbody'><h3>Re: list</h3><p class='author'>by user</p><div class='content'>{p}</div><div class='signature'>My signature line</div></div></div></div>" for p in POSTS),
    "vbulletin": "".join(f"<td class='alt1'><div id='post_message_{n}'>{p}</div></td>" for n, p in enumerate(POSTS)),
    "smf": "".join(f"<div class='post_wrapper'><div class='poster'>Member</div><div class='postarea'><div class='post'><div class='inner' id='msg_{n}'>{p}</div></div></div></div>" for n, p in enumerate(POSTS)),
    "schema.org": "".join(f"<li itemscope itemtype='http://schema.org/DiscussionForumPosting'><span>user</span><div itemprop='text'>{p}</div></li>" for p in POSTS),
}


def test_questions_and_answers() -> None:
    extraction = extract(page(STACK_EXCHANGE))
    thread = extraction.thread
    assert thread is not None
    assert [(post.role, post.votes, post.accepted) for post in thread.posts] == [
        ("question", 12, False), ("answer", 7, True), ("answer", -1, False)]
    assert thread.posts[0].text == POSTS[0]
    assert thread.posts[1].text == POSTS[1] + "\n\n```\nmax(x)\n```"
    assert "## Answer (accepted, 7 votes)" in extraction.text and "python list" not in extraction.text


def test_of_remarks_below_a_post_those_with_formulas_are_kept() -> None:
    remarks = "".join(
        f"<li class='comment'><div class='comment-body'><span class='comment-copy'>{text}</span> &ndash; "
        f"<a class='comment-user' href='/u'>Ada</a> <span class='comment-date'>Aug 2 at 5:37</span></div></li>"
        for text in ("It is <span class='math-container'>$b^n+1$</span> that is even.", "Thanks, that helped me a lot!")
    )
    first, rest = STACK_EXCHANGE.split("<div class='post-taglist'>", 1)
    extraction = extract(page(f"{first}<ul class='comments-list'>{remarks}</ul><div class='post-taglist'>{rest}"))
    assert extraction.thread is not None
    assert extraction.thread.posts[0].text == POSTS[0] + "\n\n- It is $b^n+1$ that is even."
    assert all(word not in extraction.text for word in ("Ada", "Aug 2", "Thanks"))


@pytest.mark.parametrize("name", FORUMS)
def test_forum_threads(name: str) -> None:
    extraction = extract(page(FORUMS[name]))
    assert extraction.thread is not None and extraction.thread.software == name
    assert [post.text for post in extraction.thread.posts] == POSTS
    assert "signature" not in extraction.text


def test_structure_is_markdown() -> None:
    text = extract(page(
        "<h2>Steps</h2><ol><li>First</li><li>Second<ul><li>inner <b>one</b></li></ul></li></ol><blockquote>Said so</blockquote>"
        "<table><tr><th>n</th><th>square</th></tr><tr><td>2</td><td>4</td></tr><tr><td>3</td><td>a|b</td></tr></table>"
        f"<p>{PROSE}</p>"
    )).text
    assert "## Steps\n\n1. First\n2. Second\n  - inner one\n\n> Said so\n\n| n | square |\n| --- | --- |\n| 2 | 4 |\n| 3 | a\\|b |" in text


def test_the_measure_sees_what_is_lost() -> None:
    source = page(f"<p><span class='math'>\\(x^2\\)</span> <script type='math/tex'>y</script></p><pre>{E(CODE)}</pre>")
    assert find_formulas(source) == ["y", "x^2"]
    assert find_code_lines(source) == [line for line in LINES if line]
    full = measure(source, extract(source).text)
    assert (full.formulas_kept, full.code_lines_kept) == (full.formulas, full.code_lines) == (2, 6)
    flat = measure(source, " ".join(extract(source).text.replace("x^2", "x2").split()))
    assert (flat.formulas_kept, flat.code_lines_kept) == (1, 0)
