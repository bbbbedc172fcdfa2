"""Bytes of a page -> text, whatever it says or hides about its encoding."""

from __future__ import annotations

import codecs
import re

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_BOMS = [(codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be")]
_META = re.compile(rb"""<meta[^>]{0,300}?charset\s*=\s*["']?\s*([a-zA-Z0-9_:.-]{1,40})""", re.I)
_XML = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([a-zA-Z0-9_:.-]{1,40})""")
_HEADER = re.compile(r"""charset\s*=\s*["']?\s*([a-zA-Z0-9_:.-]{1,40})""", re.I)
_WRONG_SHARE = 0.001  # of replacement characters, from which a declared encoding is not believed


def decode(html: bytes, content_type: str = "") -> str:
    """Decode a page.

    The order is the HTML standard's (byte order mark, HTTP header, `meta`), with two differences: what is valid UTF-8
    and not plain ASCII is UTF-8 whatever the page says, and an encoding that does not fit the bytes gives way to
    detection.
    """
    for mark, encoding in _BOMS:
        if html.startswith(mark):
            return html[len(mark) :].decode(encoding, "replace")
    try:
        text = html.decode("utf-8")
        if not text.isascii() or b"\x1b" not in html:  # ISO-2022-JP is ASCII with escapes
            return text if "\x00" not in text[:1000] else _decode_utf16(html)
    except UnicodeDecodeError:
        pass
    for label in _declared(html, content_type):
        text = _decode_as(html, label)
        if text and text.count("\ufffd") <= len(text) * _WRONG_SHARE:
            return text
    return _decode_as(html, detect_encoding(html) or "windows-1252") or html.decode("windows-1252", "replace")


def _declared(html: bytes, content_type: str) -> list[str]:
    labels = [match[1] for match in [_HEADER.search(content_type)] if match]
    for pattern in (_META, _XML):
        match = pattern.search(html[:4096])
        if match:
            labels.append(match[1].decode("ascii"))
    return labels


def _decode_as(html: bytes, label: str) -> str:
    """Empty when Python has no such codec, or it is one that is no text encoding."""
    for name in (map_encoding_to_html5(label, False), label):
        try:
            if name and codecs.lookup(name)._is_text_encoding:
                return html.decode(name, "replace")
        except (LookupError, UnicodeError):  # unknown; or one that cannot replace (idna)
            continue
    return ""


def _decode_utf16(html: bytes) -> str:
    """Text full of null bytes: UTF-16 without its mark, or a page with null bytes in it."""
    head = html[:1000]
    odd, even = head[1::2].count(0), head[0::2].count(0)
    if max(odd, even) > len(head) * 0.3:
        return html.decode("utf-16-le" if odd > even else "utf-16-be", "replace")
    return html.decode("utf-8", "replace")
