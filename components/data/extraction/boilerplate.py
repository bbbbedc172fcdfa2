"""Whether markup says of an element that it holds no content."""

from __future__ import annotations

import functools
import re

from lxml.etree import _Element

_BOILERPLATE_TAGS = frozenset(["nav", "aside", "footer", "form", "menu"])
# As a whole word of a class or identifier, `-` and `_` counting as spaces. Names are put in lower case first: a search
# that minds case is six times as fast as one that does not. Sites invent attributes, but of words that others have too.
_BOILERPLATE = re.compile(
    r"(?:^|[_-])(?:nav\w*|menu|foot|share\w*|sharing|social\w*|promo\w*|adverts?|ads|ad|popup|modal|banner|"
    r"comments?|respond|disqus|pagination|pager|toc|sr-only|by-?line|author-?(?:box|bio|info|date|name|card|"
    r"description|profile|link|meta)?|about-?(?:the-?)?author|\w*bio|(?:post|entry|article|posted|story)-?(?:meta|"
    r"info|date|on|tags|header-meta|foot\w*|nav\w*|author|ratings?)|postmetadata|tags?|tag-?(?:cloud|list|s?-?links)|"
    r"widget|widgets|login|signup|sign-up|search\w*|copyright|credits?|caption-?credit|(?:most-?)?popular|cta|recirc\w*|"
    r"trending|overlay|lightbox|player|vjs|videos?|video-\w*|off-?screen|time-?stamp|date-?line|published?|topics|"
    r"categor(?:y|ies)|cat-links|read-?(?:more|next|also)|follow\w*|jump-?links?|catlinks|mw-editsection|headerlink|"
    r"outbrain|taboola|most-?read|hidden|d-none|toolbar|dropdown|alerts?|notice|donat\w*|rating|ratings|votes?|"
    r"reviews?|contact-?box|info-?box|fact-?box|print-?only|skip-?link|skip-?to\w*|teasers?|more-?(?:posts|stories|"
    r"articles|news|links)|next-?post\w*|prev-?post\w*|post-?navigation|article-?nav\w*|language-?\w*switch\w*|"
    r"last-?(?:modified|updated)|actions?|button|btn|icon|metadata|no-?snippet|no-?content|no-?print|hidden-?print|"
    r"print-?none|speechify-ignore|[at]?mbox\w*|feedback|survey|tooltip|breaking\w*|ticker)(?:$|[_-])|"
    # anywhere
    r"side-?bar|breadcrumb|footer|related-?(?:posts?|articles?|stor|content|links?|news|topics|items)|^related|"
    r"recommend|advertis|sponsor|cookie|consent|newsletter|subscri(?!ber-(?:only|preview|content|premium)|bed)|screen-?reader|"
    r"visually-?hidden|masthead|"
    r"site-?header|page-?header|paywall|gdpr|addtoany|sharedaddy|jp-relatedposts|addthis"
)
_BODY = re.compile(r"(?:^|[_-])(?:article|entry|post|story)[_-]?(?:body|content|text)(?:$|[_-])|articlebody")
_NEVER = re.compile(
    r"content-sidebar[\w-]*|markdown-alert[\w-]*|notice--\w+|^(?:has|no|with|without|is)-\S+|^\S+-enabled"
)  # says what a page has


def is_boilerplate(element: _Element, tag: str) -> bool:
    """Whether markup makes it likely that an element holds no content."""
    if tag in _BOILERPLATE_TAGS:
        return True
    if tag in ("body", "html", "article", "main"):
        return False
    classes, name = element.get("class"), element.get("id")
    if classes and names_boilerplate(classes):
        return True  # an id may be a heading's words: `related-functions` is a section like any other
    return bool(name) and tag not in ("section", "span", "a") and len(name) <= 24 and names_boilerplate(name)


@functools.lru_cache(maxsize=16_384)
def names_boilerplate(words: str) -> bool:
    """Whether a class attribute or an identifier names a part of a page that is no content."""
    named = in_note = False
    for word in words.lower().split():
        is_named, is_body = _read(word)
        if is_body:
            return False
        named = named or (is_named and not (in_note and word.startswith("alert")))
        in_note = in_note or "admonition" in word
    return named


@functools.lru_cache(maxsize=16_384)
def _read(word: str) -> tuple[bool, bool]:
    """Whether a word of a name says that it is boilerplate, and that it is the text of an article."""
    named = bool(_BOILERPLATE.search(word)) and bool(_BOILERPLATE.search(_NEVER.sub("", word)))
    return named, bool(_BODY.search(word))
