"""What a page's owner says about its use: `X-Robots-Tag` headers and `meta` robots."""

from __future__ import annotations

import re
from collections.abc import Iterable

_META = re.compile(rb"<meta\b[^>]{0,500}>", re.I)
_NAME = re.compile(rb"""\bname\s*=\s*["']?\s*robots\s*["'\s/>]""", re.I)
_CONTENT = re.compile(rb"""\bcontent\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>"']+))""", re.I)
_HEAD = 65_536  # bytes in which `meta` is looked for
_WITH_VALUE = frozenset(["unavailable_after", "max-snippet", "max-image-preview", "max-video-preview"])


def forbidding(html: bytes, headers: Iterable[str], directives: frozenset[str]) -> str:
    """The first of `directives` that the page or its `X-Robots-Tag` headers say to all robots; empty: none."""
    said = [*map(_for_everybody, headers)]
    head = html[:_HEAD]
    if b"obots" in head or b"OBOTS" in head:
        for tag in _META.findall(head):
            content = _CONTENT.search(tag) if _NAME.search(tag) else None
            if content:
                said.append(next(filter(None, content.groups()), b"").decode("latin-1"))
    words = [word.strip().lower() for text in said for word in text.split(",")]
    return next((word for word in words if word in directives), "")


def _for_everybody(header: str) -> str:
    """A header's value, empty where it names a robot: `googlebot: noindex`."""
    agent, colon, _ = header.partition(":")
    return "" if colon and "," not in agent and agent.strip().lower() not in _WITH_VALUE else header
