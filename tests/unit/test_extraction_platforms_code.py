# ruff: noqa: E501  (markup as platforms write it)
"""Code in the markup of the platforms that hold most of it: each block comes out once and exact."""

from __future__ import annotations

import pytest
from test_extraction_code import CODE, LINES, SPANS, E, page

from components.data.extraction import extract

NUMBERED = list(enumerate(LINES, 1))


def nb(line: str) -> str:
    return E(line).replace(" ", "&nbsp;")


CODES = {
    "doxygen": (
        "<div class='fragment'>"
        + "".join(
            f"<div class='line'><a id='l0000{n}' name='l0000{n}'></a><span class='lineno'>    {n}</span> {E(line)}</div>\n"
            for n, line in NUMBERED
        )
        + "</div><!-- fragment -->",
        CODE,
        "",
    ),
    "doxygen nolines": (
        "<div class='fragment'>" + "".join(f"<div class='line'>{E(line)}</div>\n" for n, line in NUMBERED) + "</div>",
        CODE,
        "",
    ),
    "quarto": (
        "<div class='sourceCode' id='cb1'><pre class='sourceCode numberSource python number-lines code-with-copy'><code class='sourceCode python'>"
        + "\n".join(f"<span id='cb1-{n}'><a href='#cb1-{n}'></a>{E(line)}</span>" for n, line in NUMBERED)
        + "</code><button title='Copy to Clipboard' class='code-copy-button'><i class='bi'></i></button></pre></div>",
        CODE,
        "python",
    ),
    "prism line numbers": (
        "<pre class='language-python line-numbers' tabindex='0'><code class='language-python'>"
        + SPANS
        + "<span aria-hidden='true' class='line-numbers-rows'><span></span><span></span></span></code></pre>",
        CODE,
        "python",
    ),
    "prism toolbar": (
        "<div class='code-toolbar'><pre class='language-python'><code class='language-python'>"
        + SPANS
        + "</code></pre><div class='toolbar'><div class='toolbar-item'><span>Python</span></div><div class='toolbar-item'><button class='copy-to-clipboard-button'><span>Copy</span></button></div></div></div>",
        CODE,
        "python",
    ),
    "w3schools": (
        "<div class='w3-example'><h3>Example</h3><div class='w3-code notranslate pythonHigh'>\n  "
        + "<br>\n  ".join(nb(line) for line in LINES)
        + "</div><a class='w3-btn' href='try'>Try it Yourself »</a></div>",
        CODE,
        "",
    ),
    "gfg": (
        "<div class='responsive-tabs'><h2 class='tabtitle'>Python3</h2><div class='tabcontent'><div class='code-container'><table border='0' cellpadding='0' cellspacing='0'><tbody><tr><td class='code'><div class='container'>"
        + "".join(
            f"<div class='line number{n} index{n - 1} alt1'><code class='keyword'></code><code class='undefined spaces'>{'&nbsp;' * (len(line) - len(line.lstrip()))}</code><code class='plain'>{E(line.lstrip())}</code></div>"
            for n, line in NUMBERED
        )
        + "</div></td></tr></tbody></table></div></div></div>",
        CODE,
        "",
    ),
    "cnblogs": (
        "<div class='cnblogs_code'><div class='cnblogs_code_toolbar'><span class='cnblogs_code_copy'><a href='javascript:void(0);' title='复制代码'><img src='copycode.gif' alt='复制代码'></a></span></div><pre>"
        + "\n".join(
            f"<span style='color: #008080;'>{n:>2}</span> <span style='color: #0000ff;'></span>{E(line)}"
            for n, line in NUMBERED
        )
        + "</pre><div class='cnblogs_code_toolbar'><span>复制</span></div></div>",
        CODE,
        "",
    ),
    "csdn new": (
        "<pre data-index='0' class='set-code-show prettyprint'><code class='prism language-python has-numbering' onclick='mdcp.signin(event)' style='position: unset;'>"
        + SPANS
        + "<div class='hljs-button signin active add_def' data-title='登录复制' data-report-click='{}'></div></code><div class='hide-preCode-box'><span class='hide-preCode-bt'><img class='look-more-preCode' src='x.png' alt='' title=''></span></div><ul class='pre-numbering' style=''>"
        + "".join(f"<li style='color: rgb(153, 153, 153);'>{n}</li>" for n, _ in NUMBERED)
        + "</ul></pre>",
        CODE,
        "python",
    ),
    "csdn hljs-ln": (
        "<pre data-index='1'><code class='language-python hljs'><ol class='hljs-ln' style='width:100%'>"
        + "".join(
            f"<li><div class='hljs-ln-numbers'><div class='hljs-ln-line hljs-ln-n' data-line-number='{n}'></div></div><div class='hljs-ln-code'><div class='hljs-ln-line'>{E(line)}</div></div></li>"
            for n, line in NUMBERED
        )
        + "</ol></code><div class='hljs-button signin' data-title='登录后复制'></div></pre>",
        CODE,
        "python",
    ),
    "medium": (
        "<pre class='kz la lb lc'><span id='1234' class='md me bi'>" + E(CODE).replace("\n", "<br/>") + "</span></pre>",
        CODE,
        "",
    ),
    "devto": (
        "<div class='highlight js-code-highlight'>\n<pre class='highlight python'><code>"
        + SPANS
        + "\n</code></pre>\n<div class='highlight__panel js-actions-panel'><div class='highlight__panel-action js-fullscreen-code-action'><svg xmlns='http://www.w3.org/2000/svg'><title>Enter fullscreen mode</title><path d='M1'/></svg></div></div></div>",
        CODE,
        "python",
    ),
    "crayon": (
        "<div id='crayon-1' class='crayon-syntax crayon-theme-classic' data-settings=''><div class='crayon-toolbar' data-settings=' mouseover'><span class='crayon-title'></span><div class='crayon-tools'><div class='crayon-button'></div><span class='crayon-language'>Python</span></div></div><div class='crayon-info'></div><div class='crayon-plain-wrap'><textarea class='crayon-plain print-no' readonly>"
        + E(CODE)
        + "</textarea></div><div class='crayon-main'><table class='crayon-table'><tr class='crayon-row'><td class='crayon-nums' data-settings='show'><div class='crayon-nums-content'>"
        + "".join(f"<div class='crayon-num'>{n}</div>" for n, _ in NUMBERED)
        + "</div></td><td class='crayon-code'><div class='crayon-pre'>"
        + "".join(
            f"<div class='crayon-line' id='c{n}'>"
            + (f"<span class='crayon-e'>{nb(line)}</span>" if line else "&nbsp;")
            + "</div>"
            for n, line in NUMBERED
        )
        + "</div></td></tr></table></div></div>",
        CODE,
        "",
    ),
    "enlighter": (
        "<pre class='EnlighterJSRAW' data-enlighter-language='python' data-enlighter-theme=''>" + E(CODE) + "</pre>",
        CODE,
        "python",
    ),
    "rustdoc": (
        "<div class='example-wrap'><pre class='rust rust-example-rendered'><code><span class='kw'>def</span>"
        + E(CODE)[3:]
        + "</code></pre><div class='button-holder'><button class='copy-button'></button></div></div>",
        CODE,
        "rust",
    ),
    "jupyter": (
        "<div class='jp-Cell jp-CodeCell jp-Notebook-cell'><div class='jp-Cell-inputWrapper'><div class='jp-InputArea jp-Cell-inputArea'><div class='jp-InputPrompt jp-InputArea-prompt'>In&nbsp;[1]:</div><div class='jp-CodeMirrorEditor jp-Editor jp-InputArea-editor' data-type='inline'><div class='CodeMirror cm-s-jupyter'><div class='highlight hl-ipython3'><pre><span></span>"
        + SPANS
        + "\n</pre></div></div></div></div></div><div class='jp-Cell-outputWrapper'><div class='jp-OutputArea jp-Cell-outputArea'><div class='jp-OutputArea-child'><div class='jp-OutputPrompt jp-OutputArea-prompt'>Out[1]:</div><div class='jp-RenderedText jp-OutputArea-output' data-mime-type='text/plain'><pre>42\n</pre></div></div></div></div></div>",
        CODE,
        "",
    ),
    "old nb": (
        "<div class='cell border-box-sizing code_cell rendered'><div class='input'><div class='prompt input_prompt'>In&nbsp;[1]:</div><div class='inner_cell'><div class='input_area'><div class=' highlight hl-ipython3'><pre><span></span>"
        + SPANS
        + "</pre></div></div></div></div></div>",
        CODE,
        "",
    ),
    "vitepress": (
        "<div class='language-py vp-adaptive-theme line-numbers-mode'><button title='Copy Code' class='copy'></button><span class='lang'>py</span><pre class='shiki shiki-themes github-light vp-code' tabindex='0'><code>"
        + "\n".join(
            f"<span class='line'><span style='--shiki-light:#D73A49;'>{E(line)}</span></span>" for line in LINES
        )
        + "</code></pre><div class='line-numbers-wrapper' aria-hidden='true'>"
        + "".join(f"<span class='line-number'>{n}</span><br>" for n, _ in NUMBERED)
        + "</div></div>",
        CODE,
        "python",
    ),
    "gatsby": (
        "<div class='gatsby-highlight' data-language='py'><pre class='language-py'><code class='language-py'>"
        + SPANS
        + "</code></pre></div>",
        CODE,
        "python",
    ),
    "expressive code": (
        "<div class='expressive-code'><figure class='frame not-content'><figcaption class='header'><span class='title'>main.py</span></figcaption><pre data-language='py'><code>"
        + "".join(
            f"<div class='ec-line'><div class='gutter'><div class='ln' aria-hidden='true'>{n}</div></div><div class='code'>{'<span class=indent>' + line[: len(line) - len(line.lstrip())] + '</span>' if line[:1] == ' ' else ''}<span style='--0:#C792EA'>{E(line.lstrip()) or chr(10)}</span></div></div>"
            for n, line in NUMBERED
        )
        + "</code></pre><div class='copy'><button title='Copy to clipboard' data-code='x'><div></div></button></div></figure></div>",
        CODE,
        "python",
    ),
    "coderay": (
        "<table class='CodeRay'><tr><td class='line-numbers' title='double click to toggle'><pre>"
        + "\n".join(f"<a href='#n{n}' name='n{n}'>{n}</a>" for n, _ in NUMBERED)
        + "\n</pre></td><td class='code'><pre>"
        + SPANS
        + "</pre></td></tr></table>",
        CODE,
        "",
    ),
    "trac": (
        "<table class='code'><thead><tr><th class='lineno' title='Line numbers'>Line</th><th class='content'>&nbsp;</th></tr></thead><tbody>"
        + "".join(f"<tr><th id='L{n}'><a href='#L{n}'>{n}</a></th><td>{E(line)}</td></tr>" for n, line in NUMBERED)
        + "</tbody></table>",
        CODE,
        "",
    ),
    "gitlab blob": (
        "<div class='file-content code js-syntax-highlight'><div class='line-numbers'>"
        + "".join(
            f"<a class='diff-line-num' data-line-number='{n}' href='#L{n}' id='L{n}'>{n}</a>" for n, _ in NUMBERED
        )
        + "</div><div class='blob-content'><pre class='code highlight'><code>"
        + "\n".join(f"<span id='LC{n}' class='line' lang='python'>{E(line)}</span>" for n, line in NUMBERED)
        + "</code></pre></div></div>",
        CODE,
        "",
    ),
    "gist": (
        "<div class='js-gist-file-update-container'><div class='Box-body p-0 blob-wrapper data type-python'><table data-hpc class='highlight tab-size js-file-line-container js-code-nav-container js-tagsearch-file' data-tab-size='8'>"
        + "".join(
            f"<tr><td id='file-a-py-L{n}' class='blob-num js-line-number js-code-nav-line-number js-blob-rnum' data-line-number='{n}'></td><td id='file-a-py-LC{n}' class='blob-code blob-code-inner js-file-line'>{E(line)}</td></tr>"
            for n, line in NUMBERED
        )
        + "</table></div></div>",
        CODE,
        "",
    ),
    "confluence": (
        "<div class='code panel pdl conf-macro output-block' data-macro-name='code'><div class='codeContent panelContent pdl'><pre class='syntaxhighlighter-pre' data-syntaxhighlighter-params='brush: py; gutter: false; theme: Confluence' data-theme='Confluence'>"
        + E(CODE)
        + "</pre></div></div>",
        CODE,
        "python",
    ),
    "blogger prettify": ("<pre class='prettyprint'>" + E(CODE).replace("\n", "<br />") + "</pre>", CODE, ""),
    "div pre style": ("<div style='white-space: pre; font-family: monospace'>" + E(CODE) + "</div>", CODE, ""),
    "geshi ol": (
        "<div class='geshifilter'><div class='python geshifilter-python' style='font-family:monospace;'><ol>"
        + "".join(
            f"<li style='font-family: monospace; font-weight: normal;'><div style='font-family: monospace;'>{nb(line) or '&nbsp;'}</div></li>"
            for line in LINES
        )
        + "</ol></div></div>",
        CODE,
        "python",
    ),
    "geshi pre ol": (
        "<pre class='python'><ol>"
        + "".join(f"<li class='li1'><div class='de1'>{E(line) or '&nbsp;'}</div></li>" for line in LINES)
        + "</ol></pre>",
        CODE,
        "python",
    ),
    "phpbb": (
        "<div class='codebox'><p>Code: <a href='#' onclick='selectCode(this); return false;'>Select all</a></p><pre><code>"
        + E(CODE)
        + "</code></pre></div>",
        CODE,
        "",
    ),
    "phpbb3.0": (
        "<dl class='codebox'><dt>Code: <a href='#'>Select all</a></dt><dd><code>"
        + E(CODE).replace("    ", "&nbsp; &nbsp; ").replace("\n", "<br />")
        + "</code></dd></dl>",
        CODE,
        "",
    ),
    "smf": (
        "<div class='codeheader'>Code: <a href='#'>[Select]</a></div><code class='bbc_code'>"
        + E(CODE).replace("\n", "<br />").replace("    ", "&nbsp; &nbsp; ")
        + "</code>",
        CODE,
        "",
    ),
    "vb4": (
        "<div class='bbcode_container'><div class='bbcode_description'>Code:</div><pre class='bbcode_code' style='height:96px;'>"
        + E(CODE)
        + "</pre></div>",
        CODE,
        "",
    ),
    "vb html": (
        "<div style='margin:20px; margin-top:5px'><div class='smallfont' style='margin-bottom:2px'>Code:</div><pre class='alt2' dir='ltr' style='margin: 0px; border: 1px inset; width: 640px; overflow: auto'>"
        + E(CODE)
        + "</pre></div>",
        CODE,
        "",
    ),
    "microsoft": (
        "<div class='codeHeader' id='code-try-0'><span class='language'>Python</span><button class='action' data-bi-name='copy'><span class='icon'></span><span>Copy</span></button></div><pre tabindex='0' class='has-inner-focus'><code class='lang-python' data-author-content=''><span>"
        + SPANS
        + "</span></code></pre>",
        CODE,
        "python",
    ),
    "mdn": (
        "<div class='code-example'><div class='example-header'><span class='language-name'>python</span><button type='button' class='icon copy-icon'><span class='visually-hidden'>Copy to Clipboard</span></button></div><pre class='brush: python notranslate'><code>"
        + SPANS
        + "</code></pre></div>",
        CODE,
        "python",
    ),
    "knitr": ("<pre class='r'><code>" + E(CODE) + "</code></pre><pre><code>## [1] 5</code></pre>", CODE, "r"),
    "spans block": (
        "<pre><code>"
        + "".join(f"<span class='line' style='display:block'>{E(line)}\n</span>" for line in LINES)
        + "</code></pre>",
        CODE,
        "",
    ),
    "code p lines": (
        "<pre>" + "".join(f"<p>{E(line)}</p>" for line in LINES if line) + "</pre>",
        CODE.replace("\n\n", "\n"),
        "",
    ),
    "highlighted td pre": (
        "<div class='highlight'><table class='highlighttable'><tbody><tr><th colspan='2' class='filename'><span class='filename'>a.py</span></th></tr><tr><td class='linenos'><div class='linenodiv'><pre><span></span>"
        + "\n".join(f"<span class='normal'>{n}</span>" for n, _ in NUMBERED)
        + "</pre></div></td><td class='code'><div><pre><span></span><code>"
        + SPANS
        + "\n</code></pre></div></td></tr></tbody></table></div>",
        CODE,
        "",
    ),
    "mkdocs": (
        "<div class='language-python highlight'><pre id='__code_0'><span></span><button class='md-clipboard md-icon' title='Copy to clipboard' data-clipboard-target='#__code_0 &gt; code'></button><code>"
        + "\n".join(
            f"<a id='__codelineno-0-{n}' name='__codelineno-0-{n}' href='#__codelineno-0-{n}'></a>{E(line)}"
            for n, line in NUMBERED
        )
        + "\n</code></pre></div>",
        CODE,
        "python",
    ),
    "readthedocs prompt": (
        "<div class='highlight-console notranslate'><div class='highlight'><pre><span></span><span class='gp'>$ </span>pip install x\n<span class='gp'>$ </span>x run\n</pre></div></div>",
        "pip install x\nx run",
        "console",
    ),
    "shell out": ("<pre>$ ls\na.txt\n$ pwd\n/home</pre>", "$ ls\na.txt\n$ pwd\n/home", ""),
    "pgdoc": (
        "<pre class='screen'>\n<code class='prompt'>mydb=&gt;</code> <strong class='userinput'><code>SELECT 1;</code></strong>\n ?column?\n----------\n        1\n</pre>",
        "mydb=> SELECT 1;\n ?column?\n----------\n        1",
        "",
    ),
    "numbers colon": ("<pre>" + "\n".join(f"{n}: {E(line)}".rstrip() for n, line in NUMBERED) + "</pre>", CODE, ""),
    "numbers zero pad": (
        "<pre>" + "\n".join(f"{n:03d} {E(line)}".rstrip() for n, line in NUMBERED) + "</pre>",
        CODE,
        "",
    ),
    "ace": (
        "<div class='ace_editor'><div class='ace_gutter'><div class='ace_gutter-cell'>1</div></div><div class='ace_layer ace_text-layer'>"
        + "".join(f"<div class='ace_line'>{nb(line)}</div>" for line in LINES)
        + "</div></div>",
        CODE,
        "",
    ),
    "codemirror": (
        "<div class='CodeMirror'><div class='CodeMirror-code'>"
        + "".join(
            f"<div style='position: relative'><div class='CodeMirror-gutter-wrapper'><div class='CodeMirror-linenumber CodeMirror-gutter-elt'>{n}</div></div><pre class=' CodeMirror-line '><span>{E(line) or '&#8203;'}</span></pre></div>"
            for n, line in NUMBERED
        )
        + "</div></div>",
        CODE,
        "",
    ),
    "leetcode": (
        "<pre><strong>Input:</strong> nums = [1,2]\n<strong>Output:</strong> 3\n</pre>",
        "Input: nums = [1,2]\nOutput: 3",
        "",
    ),
    "gdocs nbsp": ("<pre><code>" + "<br>".join(nb(line) for line in LINES) + "</code></pre>", CODE, ""),
    "textile br newline": ("<pre><code>" + E(CODE).replace("\n", "<br />\n") + "</code></pre>", CODE, ""),
    "p code br": (
        "<p><code>" + E(CODE).replace("    ", "&nbsp;&nbsp;&nbsp;&nbsp;").replace("\n", "<br />\n") + "</code></p>",
        CODE,
        "",
    ),
    "font code": ("<pre><font face='courier'>" + E(CODE) + "</font></pre>", CODE, ""),
    "dp-highlighter": (
        "<div class='dp-highlighter bg_python'><div class='bar'><div class='tools'>Python代码 <a title='复制代码'>copy</a></div></div><ol start='1' class='dp-py'>"
        + "".join(f"<li class='alt'><span><span>{nb(line)}</span></span></li>" for line in LINES)
        + "</ol></div>",
        CODE,
        "",
    ),
    "xmp": ("<xmp>" + CODE + "</xmp>", CODE, ""),
    "nested pre pre": ("<pre><pre>" + E(CODE) + "</pre></pre>", CODE, ""),
    "code around pre": (
        "<code class='highlight-wrap'>\n<pre><code class='language-python'>" + E(CODE) + "</code></pre>\n</code>",
        CODE,
        "python",
    ),
    "code around table": (
        "<div class='language-python highlighter-rouge'><div class='highlight'><code><table class='rouge-table'><tbody><tr><td class='rouge-gutter gl'><pre class='lineno'>"
        + "".join(f"{n}\n" for n, _ in NUMBERED) + "</pre></td><td class='rouge-code'><pre>" + E(CODE) + "</pre></td></tr></tbody></table></code></div></div>",
        CODE,
        "python",
    ),
    "hugo table on lines": (
        "<div class='highlight'><div class='chroma'>\n<table class='lntable'><tr><td class='lntd'>\n<pre class='chroma'><code>"
        + "".join(f"<span class='lnt'>{n}\n</span>" for n, _ in NUMBERED)
        + "</code></pre></td>\n  <td class='lntd'>\n  <pre class='chroma'><code class='language-python' data-lang='python'>" + E(CODE) + "</code></pre></td></tr></table></div></div>",
        CODE,
        "python",
    ),
    "rows of number and line": (
        "<code class='flex-1'><pre class='flex flex-col'>"
        + "".join(f"<div class='flex flex-row'><span class='text-end'>{n}</span><div class='flex-1'>{E(line) or '&nbsp;'}</div></div>" for n, line in NUMBERED)
        + "</pre></code>",
        CODE,
        "",
    ),
    "writerside": ("<div class='code-block' data-lang='python'>" + E(CODE) + "</div>", CODE, "python"),
    "code styled as block": ("<div><code style='white-space: pre'>\n" + E(CODE) + "\n</code></div>", CODE, ""),
    "code named block": ("<code class='hl lean block'>\n    <span>def</span> h1 := 1\n</code>", "def h1 := 1", ""),
    "style inside": ("<pre><style>.x{color:red}</style><code>" + E(CODE) + "</code></pre>", CODE, ""),
    "each line a code": (
        "<p>" + "<br>".join(f"<code>{nb(line)}</code>" for line in LINES if line) + "</p>",
        CODE.replace("\n\n", "\n"),
        "",
    ),
}


@pytest.mark.parametrize("name", CODES)
def test_code_of_platforms(name: str) -> None:
    body, expected, language = CODES[name]
    extraction = extract(page(body))
    languages = [block.language for block in extraction.code_blocks if block.text == expected]
    assert len(languages) == 1, extraction.text
    assert not language or languages == [language]
    assert "Copy" not in extraction.text and "复制" not in extraction.text
