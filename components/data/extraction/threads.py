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
    comments: tuple[_Element, ...] = ()   # short remarks below it; text of the post where they hold formulas


@dataclass(frozen=True)
class ThreadMark:
    software: str
    posts: tuple[PostMark, ...]


@dataclass(frozen=True)
class _Software:
    """XPaths of posts and, below each, of its body. One of `hints` must be a class on the page for them to be tried, or
    `attribute` stand in its source, or its `itemtype` be one of `types`."""

    name: str
    hints: frozenset[str]
    post: etree.XPath
    body: etree.XPath
    attribute: str = ""
    types: tuple[str, ...] = ()


def _has(*words: str) -> str:
    return " or ".join(f"contains(concat(' ', normalize-space(@class), ' '), ' {word} ')" for word in words)


def _software(
    name: str, hints: str, post: str, body: str = ".", attribute: str = "", types: tuple[str, ...] = ()
) -> _Software:
    return _Software(name, frozenset(hints.split()), etree.XPath(post), etree.XPath(body), attribute, types)


_STACK_EXCHANGE = _software(
    "stackexchange",
    "js-post-body post-text s-prose",
    f"//div[@id='question' or {_has('question', 'answer')}][.//*[{_has('js-post-body', 'post-text', 's-prose')}]]",
    f".//*[{_has('js-post-body', 'post-text', 's-prose')}]",
)
_FORUMS = [
    _software(
        "discourse",
        "cooked crawler-post",
        f"//*[{_has('topic-body', 'topic-post', 'crawler-post')}]",
        f".//*[{_has('cooked')} or (({_has('post')}) and @itemprop)]",
    ),
    _software(
        "xenforo",
        "bbWrapper messageText",
        f"//article[{_has('message', 'message--post')}] | //*[self::li or self::div][{_has('message')}]",
        f".//*[{_has('message-body')}]//*[{_has('bbWrapper')}] | .//*[{_has('messageText')}]",
    ),
    _software(
        "phpbb",
        "postbody",
        f"//div[({_has('post')}) and .//*[{_has('postbody')}]] | "
        f"//table[({_has('tablebg')}) and .//div[{_has('postbody')}]]",
        f".//div[{_has('postbody')}]//div[{_has('content')}] | "
        f".//div[({_has('postbody')}) and not(.//div[{_has('content')}])]",
    ),
    _software(
        "phpbb 2",
        "postbody",
        f"//tr[td//*[self::span or self::td][{_has('postbody')}] and not(.//tr//tr)]",
        f".//*[self::span or self::td][{_has('postbody')}]",
    ),
    _software("vbulletin", "", "//*[starts-with(@id, 'post_message_')]", attribute="post_message_"),
    _software(
        "vbulletin 5",
        "b-post js-post__content-text",
        f"//*[{_has('b-post')}]",
        f".//*[{_has('js-post__content-text', 'b-post__content')}]",
    ),
    _software(
        "smf",
        "post_wrapper windowbg",
        f"//div[{_has('post_wrapper')}] | //td[{_has('windowbg', 'windowbg2')}]",
        f".//div[{_has('inner')}] | .//div[{_has('post')}][not(.//div[{_has('inner')}])]",
    ),
    _software("mybb", "post_body", f"//*[({_has('post_body')}) and starts-with(@id, 'pid_')]"),
    _software("fluxbb", "postmsg", f"//div[{_has('postmsg')}]", "."),
    _software(
        "invision",
        "cPost ipsComment",
        f"//article[{_has('cPost', 'ipsComment', 'ipsEntry')}]",
        ".//*[@data-role='commentContent']",
    ),
    _software(
        "invision 3",
        "post_block post_body",
        f"//div[{_has('post_block')}]",
        f".//*[{_has('entry-content')}] | .//*[@itemprop='commentText']",
    ),
    _software("vanilla", "userContent", f"//*[({_has('userContent')}) and ({_has('Message')})]"),
    _software("nodebb", "", "//*[@component='post']", ".//*[@component='post/content']", attribute="component="),
    _software("flarum", "Post-body", f"//*[{_has('Post-body')}]"),
    _software(
        "bbpress", "bbp-reply-content bbp-topic-content", f"//*[{_has('bbp-reply-content', 'bbp-topic-content')}]"
    ),
    _software("wpforo", "wpforo-post-content", f"//*[{_has('wpforo-post-content')}]"),
    _software("khoros", "lia-message-body-content", f"//*[{_has('lia-message-body-content')}]"),
    _software(
        "question2answer",
        "qa-q-view-content qa-a-item-content",
        f"//*[{_has('qa-q-view', 'qa-a-list-item')}]",
        f".//*[{_has('qa-q-view-content', 'qa-a-item-content')}]",
    ),
    _software("proboards", "message postbody", "//tr[starts-with(@id, 'post-')]", f".//div[{_has('message')}]"),
    _software(
        "moodle",
        "forumpost forum-post-container",
        f"//*[{_has('forumpost', 'forum-post-container')}]",
        f".//*[{_has('posting', 'post-content-container')}]",
    ),
    _software("aops", "cmty-post-body", f"//*[{_has('cmty-post-body')}]", f".//*[{_has('cmty-post-html')}] | ."),
    _software("hackernews", "commtext toptext", f"//*[{_has('commtext', 'toptext')}]"),
    _software("reddit", "usertext-body", f"//*[{_has('usertext-body')}]"),
    _software(
        "github", "js-comment-body", f"//*[({_has('js-comment-body')}) and not(ancestor::*[{_has('js-comment-body')}])]"
    ),
    _software(
        "schema.org",
        "",
        "//*[contains(@itemtype, 'schema.org/Question') or contains(@itemtype, 'schema.org/Answer') or "
        "contains(@itemtype, 'schema.org/DiscussionForumPosting') or "
        "(contains(@itemtype, 'schema.org/Comment') and "
        "ancestor::*[contains(@itemtype, 'DiscussionForumPosting')])]",
        ".//*[@itemprop='text' or @itemprop='articleBody']",
        types=("schema.org/Question", "schema.org/Answer", "schema.org/DiscussionForumPosting"),
    ),
]
_COMMENTS = etree.XPath(f".//*[{_has('comment-copy')}]")
_NOISE = etree.XPath(
    ".//*[contains(@class, 'signature') or contains(@class, 'Signature') or contains(@class, 'post-signature') or "
    "contains(@class, 'post-menu') or contains(@class, 'js-post-menu') or contains(@class, 'postcell-flag') or "
    "contains(@class, 'lastedit') or contains(@class, 'message-lastEdit') or contains(@class, 'post-taglist') or "
    "contains(@class, 'postbuttons') or contains(@class, 'post-buttons') or contains(@class, 'attachments') or "
    "contains(@class, 'bbCodeBlock-expandLink') or contains(@class, 'bbCodeBlock-shrinkLink') or "
    "contains(@class, 'notice')]"
)
_VOTES = etree.XPath(".//*[@itemprop='upvoteCount' or contains(@class, 'vote-count')]")
_TEXT = etree.XPath("string-length(normalize-space(.))")
_LEAST_POSTS = 2
_LEAST_SHARE = 0.2  # of the page's characters; below it the posts are comments on something else


def find_thread(root: _Element, page: Page) -> ThreadMark | None:
    """The thread that a page is; removes signatures and controls inside its posts. None for any other page."""
    if _may_be(_STACK_EXCHANGE, page):
        marks = [_mark(post, body, _role(post), full=True) for post, body in _bodies(root, _STACK_EXCHANGE)]
        if any(mark.role == "question" for mark in marks):
            return _cleaned("stackexchange", marks)
    for software in _FORUMS:
        if _may_be(software, page):
            found = _bodies(root, software)
            if len(found) >= _LEAST_POSTS and sum(_TEXT(body) for _, body in found) > _LEAST_SHARE * _TEXT(root):
                marks = [_mark(post, body, _role(post), full=software.name == "schema.org") for post, body in found]
                return _cleaned(software.name, marks)
    return None


def _may_be(software: _Software, page: Page) -> bool:
    if software.attribute:
        return software.attribute in page.source
    if software.types:
        return any(name in value for value in page.types for name in software.types)
    return not software.hints.isdisjoint(page.words)


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
    comments = tuple(_COMMENTS(post))
    for comment in comments:
        comment.tag = "div"   # a span, and what stands beside it is its author and date
    return PostMark(body, role, _votes(post), accepted, comments)


def _votes(post: _Element) -> int | None:
    score = post.get("data-score")
    texts = [score] if score else [node.get("content") or "".join(node.itertext()) for node in _VOTES(post)[:1]]
    for text in texts:
        match = re.fullmatch(r"\s*([-−+]?)(\d{1,7})\s*", text or "")
        if match:
            return -int(match[2]) if match[1] in ("-", "−") else int(match[2])
    return None
