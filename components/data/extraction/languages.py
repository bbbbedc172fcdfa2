"""The language of a code block, as far as its page names one."""

from __future__ import annotations

import functools
import re

from lxml.etree import _Element

_LANGUAGE = re.compile(
    r"(?:^|\s)(?:language-|lang-|lang:|highlight-source-|highlight-text-|highlight-|brush:\s*|"
    r"prettyprint lang-|code-|geshifilter-|"
    r"sourceCode |src-|listing-|hljs language-|EnlighterJSRAW-|mw-highlight-lang-|"
    r"cm-s-)([A-Za-z0-9+#.-]{1,24})",
    re.I,
)
_BARE = re.compile(
    r"(?:^|\s)(?:hljs|sourceCode|prettyprint|programlisting|src|highlight|brush|codehilite|code|chroma|"
    r"shiki)(?:\s|$)"
)
_LANGUAGES = (
    "python python3 ipython3 py pycon javascript js typescript ts tsx jsx java c cpp c++ csharp cs c# go golang rust "
    "ruby rb php perl swift kotlin scala haskell hs lua r matlab octave julia fortran pascal ada lisp clojure scheme "
    "erlang elixir ocaml fsharp sql mysql postgresql plsql sqlite bash sh shell console zsh powershell ps1 "
    "batch html "
    "xml css scss less json yaml yml toml ini makefile cmake dockerfile docker nginx diff latex tex bibtex markdown "
    "md asm nasm verilog vhdl vb vbnet dart groovy objectivec objc d nim zig prolog sas stata gnuplot awk sed vim "
    "graphql protobuf solidity cuda glsl http text plaintext"
)
_KNOWN = frozenset(_LANGUAGES.split())
_NO_LANGUAGE = frozenset(
    [
        "default",
        "none",
        "text",
        "plaintext",
        "plain",
        "nohighlight",
        "no-highlight",
        "auto",
        "source",
        "block",
        "snippet",
        "wrapper",
    ]
)
_AMBIGUOUS = (
    "code-",
    "highlight-",
    "src-",
    "cm-s-",
    "sourcecode",
)  # prefixes that stand before much else than languages
_ALIASES = {
    "py": "python",
    "python3": "python",
    "ipython3": "python",
    "js": "javascript",
    "ts": "typescript",
    "c++": "cpp",
    "golang": "go",
    "rb": "ruby",
    "hs": "haskell",
    "shell": "bash",
    "sh": "bash",
    "yml": "yaml",
    "c#": "csharp",
    "cs": "csharp",
}
_ATTRIBUTES = frozenset(["data-lang", "data-language", "lang", "data-code-language", "data-enlighter-language"])


def language_of(element: _Element) -> str:
    """From the element's, its only child's and two ancestors' classes and attributes."""
    nodes = [element]
    nodes += [child for child in element.iter("code", "pre") if child is not element][:4]
    ancestor = element.getparent()
    for _ in range(3):
        if ancestor is not None and ancestor.tag in ("div", "figure", "pre", "td", "table", "span", "code"):
            nodes.append(ancestor)
            ancestor = ancestor.getparent()
    for node in nodes:
        for name in node.keys():  # noqa: SIM118  an element is no mapping
            value = (node.get(name) or "").lower() if name in _ATTRIBUTES else ""
            if value in _KNOWN:
                return _ALIASES.get(value, value)
        classes = f"{node.get('class') or ''} {node.get('data-syntaxhighlighter-params') or ''}"
        language = class_language(classes, bare=node.tag in ("pre", "code"))
        if language:
            return language
    return ""


@functools.lru_cache(maxsize=16_384)
def class_language(classes: str, bare: bool = False) -> str:
    """The language that classes name; `bare`: also without a prefix and without a highlighter's class beside it."""
    for match in _LANGUAGE.finditer(classes):
        name = match[1].lower().rstrip(".-")
        ambiguous = match[0].strip().lower().startswith(_AMBIGUOUS)
        if name not in _NO_LANGUAGE and (name in _KNOWN or not ambiguous):
            return _ALIASES.get(name, name)
    if bare or _BARE.search(classes):
        for word in classes.lower().split():
            if word in _KNOWN and word not in _NO_LANGUAGE:
                return _ALIASES.get(word, word)
    return ""
