"""Forum and question-and-answer threads, recognised by the markup of the software that made them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lxml import etree
from lxml.etree import _Element

from components.data.extraction.scan import Page


@dataclass(frozen=True)
class PostMark:
    """Where a post's text is, and what the page says about it."""

    body: _Element
    role: str
    votes: int | None = None
    accepted: bool = False


@dataclass(frozen=True)
class ThreadMark:
    software: str
    posts: tuple[PostMark, ...]


@dataclass(frozen=True)
class _Software:
    """XPaths of posts and, below each, of its body; one of `hints` must be a class on the page, or stand in
    its source where it names an attribute, for them to be tried."""

    name: str
    hints: tuple[str, ...]
    post: etree.XPath
    body: etree.XPath


def _has(word: str) -> str:
    return f"contains(concat(' ', normalize-space(@class), ' '), ' {word} ')"


def _software(name: str, hint: str, post: str, body: str = ".") -> _Software:
    return _Software(name, tuple(hint.split("|")), etree.XPath(post), etree.XPath(body))


_STACK_EXCHANGE = _software(
    "stackexchange", "js-post-body|post-text|s-prose",
    f"//div[@id='question' or {_has('question')} or {_has('answer')}][.//*[{_has('post-text')} or {_has('s-prose')}]]",
    f".//*[{_has('js-post-body')} or {_has('post-text')} or {_has('s-prose')}]",
)
_FORUMS = [
    _software("discourse", "cooked|crawler-post",
              f"//*[{_has('topic-body')} or {_has('topic-post')} or {_has('crawler-post')}]",
              f".//*[{_has('cooked')} or ({_has('post')} and @itemprop)]"),
    _software("xenforo", "bbWrapper|messageText",
              f"//article[{_has('message')} or {_has('message--post')}] | //li[{_has('message')}]",
              f".//*[{_has('bbWrapper')}] | .//*[{_has('messageText')}]"),
    _software("phpbb", "postbody",
              f"//div[{_has('post')} and .//*[{_has('postbody')}]] | "
              f"//table[{_has('tablebg')} and .//div[{_has('postbody')}]]",
              f".//div[{_has('postbody')}]//div[{_has('content')}] | "
              f".//div[{_has('postbody')} and not(.//div[{_has('content')}])]"),
    _software("vbulletin", "post_message_",
              "//*[starts-with(@id, 'post_message_')]"),
    _software("smf", "post_wrapper",
              f"//div[{_has('post_wrapper')}]", f".//div[{_has('inner')}]"),
    _software("mybb", "post_body", f"//*[{_has('post_body')} and starts-with(@id, 'pid_')]"),
    _software("invision", "ipsComment|cPost", "//article[contains(@class, 'cPost') or contains(@class, 'ipsComment')]",
              ".//div[@data-role='commentContent']"),
    _software("vanilla", "userContent", f"//*[{_has('userContent')} and {_has('Message')}]"),
    _software("nodebb", "component=", "//*[@component='post']", ".//*[@component='post/content']"),
    _software("flarum", "Post-body", f"//*[{_has('Post-body')}]"),
    _software("hackernews", "commtext|toptext", f"//*[{_has('commtext')} or {_has('toptext')}]"),
    _software("reddit", "usertext-body", f"//*[{_has('usertext-body')}]"),
    _software("github", "comment-body", f"//*[{_has('comment-body')} and not(ancestor::*[{_has('comment-body')}])]"),
    _software("schema.org", "schema.org/",
              "//*[contains(@itemtype, 'schema.org/Question') or contains(@itemtype, 'schema.org/Answer') or "
              "contains(@itemtype, 'schema.org/DiscussionForumPosting') or "
              "(contains(@itemtype, 'schema.org/Comment') and "
              "ancestor::*[contains(@itemtype, 'DiscussionForumPosting')])]",
              ".//*[@itemprop='text' or @itemprop='articleBody']"),
]
_NOISE = etree.XPath(
    ".//*[contains(@class, 'signature') or contains(@class, 'Signature') or contains(@class, 'post-signature') or "
    "contains(@class, 'post-menu') or contains(@class, 'js-post-menu') or contains(@class, 'postcell-flag') or "
    "contains(@class, 'lastedit') or contains(@class, 'message-lastEdit') or contains(@class, 'post-taglist') or "
    "contains(@class, 'postbuttons') or contains(@class, 'post-buttons') or contains(@class, 'attachments') or "
    "contains(@class, 'bbCodeBlock-expandLink') or contains(@class, 'bbCodeBlock-shrinkLink') or "
    "contains(@class, 'notice')]"
)
_VOTES = etree.XPath(".//*[@itemprop='upvoteCount' or contains(@class, 'vote-count')]")
_ATTRIBUTES = ("post_message_", "schema.org/", "component=")   # hints that are no classes
_LEAST_POSTS = 2


def find_thread(root: _Element, page: Page) -> ThreadMark | None:
    """The thread that a page is; removes signatures and controls inside its posts. None for any other page."""
    if _may_be(_STACK_EXCHANGE, page):
        marks = [_mark(post, body, _role(post), full=True) for post, body in _bodies(root, _STACK_EXCHANGE)]
        if any(mark.role == "question" for mark in marks):
            return _cleaned("stackexchange", marks)
    for software in _FORUMS:
        if _may_be(software, page):
            found = _bodies(root, software)
            if len(found) >= _LEAST_POSTS:
                marks = [_mark(post, body, _role(post), full=software.name == "schema.org") for post, body in found]
                return _cleaned(software.name, marks)
    return None


def _may_be(software: _Software, page: Page) -> bool:
    return any(hint in (page.source if hint in _ATTRIBUTES else page.classes) for hint in software.hints)


def _cleaned(software: str, marks: Sequence[PostMark]) -> ThreadMark:
    for mark in marks:
        for node in _NOISE(mark.body):
            parent = node.getparent()
            if parent is not None and node is not mark.body:
                node.clear(keep_tail=True)
    return ThreadMark(software, tuple(marks))


def _bodies(root: _Element, software: _Software) -> list[tuple[_Element, _Element]]:
    """(post, body) pairs without a body inside another body."""
    pairs = []
    taken: set[_Element] = set()
    for post in software.post(root):
        for body in software.body(post)[:1]:
            if body not in taken and not any(ancestor in taken for ancestor in body.iterancestors()):
                taken.add(body)
                pairs.append((post, body))
    return pairs


def _role(post: _Element) -> str:
    kind = " ".join(post.get(name) or "" for name in ("itemtype", "itemprop", "class", "id")).lower()
    if "answer" in kind:
        return "answer"
    return "question" if "question" in kind else "post"


def _mark(post: _Element, body: _Element, role: str, full: bool) -> PostMark:
    if not full:
        return PostMark(body, role)
    accepted = "accepted-answer" in (post.get("class") or "") or "acceptedAnswer" in (post.get("itemprop") or "")
    return PostMark(body, role, _votes(post), accepted)


def _votes(post: _Element) -> int | None:
    score = post.get("data-score")
    texts = [score] if score else [node.get("content") or "".join(node.itertext()) for node in _VOTES(post)[:1]]
    for text in texts:
        match = re.fullmatch(r"\s*([-−+]?)(\d{1,7})\s*", text or "")
        if match:
            return -int(match[2]) if match[1] in ("-", "−") else int(match[2])
    return None
