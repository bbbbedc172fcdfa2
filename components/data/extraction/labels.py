"""Short texts that belong to a site and not to a page's subject, in the languages most sites are in."""

from __future__ import annotations

import functools
import re

LONGEST = 100  # characters of a label
_LABELS = re.compile(
    r"(?:advertise?ment|report this ad|sponsored.*|share(?: this| on| it)?.{0,20}|tweet|print|e-?mail(?: this)?|"
    r"follow (?:us|me|him|her|them|@).*|sign (?:up|in)[^.]*|subscribe.*|read (?:more|next|also).*|continue reading.*|"
    r"see also:.*|more (?:from|on|in|about) [^.]*|"
    r"(?:related|recommended|suggested|trending|popular|more|latest|further) (?:articles?|posts?|stor(?:y|ies)|"
    r"searches|topics|news|reading|links|coverage|content)[^.]*|"
    r"(?:topics|tags|tagged|labels|categor(?:y|ies)|filed under|posted (?:in|by|on|at)|published(?: on| at| by)?|"
    r"last (?:updated|modified)|updated|written by|by line)\b(?:[^.]*|.*\d{4}.*)|"
    r"(?-i:(?:[Bb]y|BY|Von|Par|Por) [A-Z][\w.'’-]+(?: (?:[A-Z][\w.'’-]+|[a-z.]+@\S+)){0,4}(?:[,|·•][^.:]{0,60})?)|"
    r"\d* ?(?:comments?|replies|responses|thoughts on .*)(?: \(\d+\))?:?|(?:leave|post|add) a (?:comment|reply).*|"
    r"\(?no comments.*|reply|copyright.*|all rights reserved.*|©.*|terms (?:&|and|of) [^.]*|privacy policy.*|"
    r"(?:proudly )?powered by.*|(?:back|scroll) to top|jump to [^.]*|skip to .*|loading\W*|"
    r"(?:code|python|quote):?\s*\[?(?:select|copy)(?: all)?\]?|click to expand.*|"
    r"[\d.,]+ ?[km]? (?:shares?|likes?|views?|followers?|subscribers?|claps?|members?|min(?:ute)?s?(?: read)?)|"
    r"\d+[- ]min(?:ute)?s? read|log ?in[^.]*|about the author.*|about me|click here[^.]*|"
    r"click to (?:share|print|e-?mail|enlarge|view|expand|rate)[^.]*|member-only story|"
    r"(?:photo|image|picture|foto|bild|photograph|video|quelle|source|credit)s?(?: credit)?(?: by)?\s*[:/].{0,80}|"
    r"you may also like.*|people also.*|most (?:read|popular|viewed|shared)|table of contents|listen to this article.*|"
    r"anzeige|werbung|teilen|drucken|kommentare?.*|weiterlesen.*|mehr (?:zum thema|lesen).*|lesen sie (?:auch|mehr).*|"
    r"verwandte (?:artikel|beiträge|themen).*|das könnte (?:sie|dich) .*|schlagwörter.*|schlagworte.*|"
    r"veröffentlicht (?:am|in|von).*|aktualisiert.*|zuletzt (?:aktualisiert|geändert).*|(?:artikel|beitrag) teilen.*|"
    r"lire aussi.*|à lire aussi.*|publié le.*|partager.*|sur le même sujet.*|"
    r"le puede interesar.*|te puede interesar.*|lea también.*|lee también.*|compartir.*|publicado (?:el|en|por).*|"
    r"artículos relacionados.*|noticias relacionadas.*|leia também.*|compartilh.*|leggi anche.*|condividi.*|"
    r"читайте также.*|поделиться.*|相关(?:阅读|文章|新闻|推荐).*|分享到.*|(?:责任)?编辑[:：].*|来源[:：].*|作者[:：].*|"
    r"(?:您|你)?(?:当前|现在)?的?(?:所在)?位置.*|热门(?:新闻|文章|推荐).*|上一篇.*|下一篇.*|関連記事.*|最終更新.*)",
    re.I | re.S,
)
_LONGEST_NOTICE = 400
_COOKIES = re.compile(
    r"\b(?:we|site|page) uses? (?:\w+ ){0,3}cookies\b.*\b(?:agree|consent|accept|continu|settings|more information)|"
    r"\b(?:by continuing to|if you continue to)\b.{0,80}\bcookies\b|\bverwende[nt] .{0,30}cookies\b",
    re.I | re.S,
)
ENDS = re.compile(
    r"(?:related|recommended|you (?:may|might) (?:also )?(?:like|enjoy)|more (?:from|stories|articles|posts|news)|"
    r"read (?:more|next)|leave a (?:comment|reply)|about the author|written by|share this|"
    r"verwandte|ähnliche|weitere (?:artikel|beiträge|themen|infos|informationen)|mehr (?:zum thema|lesen)|"
    r"zum weiterlesen|auch interessant|das könnte|über den autor|à lire|articles liés|"
    r"artículos relacionados|noticias relacionadas|te puede interesar|相关|热门)\b.{0,60}|"
    r"(?:\d+ )?(?:comments?|tags?|kommentare?)(?: \(\d+\))?:?",
    re.I,
)  # headings after which an article is over
CREDIT = re.compile(
    r"^\s*(?:©|\(c\)|foto|photo|bild|image)\b|(?:©|\bfotos?:|\bphoto:|\bcredit:|getty images|"
    r"/reuters|/afp|/dpa|\(ap\b)",
    re.I,
)
CONTACT = re.compile(
    r"(?:follow|contact|reach|e-?mail) (?:him|her|them|us|me|@|the (?:author|writer|reporter))\b|can be reached|"
    r"(?:is|has been) an? (?:freelance |staff |senior )?(?:writer|reporter|journalist|editor|columnist) "
    r"(?:at|for|with|in|based)",
    re.I,
)  # of a line after an article
_MONTHS = (
    r"jan\w*|feb\w*|mar\w*|apr\w*|may|mai|jun\w*|jul\w*|aug\w*|sep\w*|oct\w*|okt\w*|nov\w*|dec\w*|dez\w*|märz|"
    r"janvier|février|avril|juin|juillet|août|enero|febrero|abril|mayo|junio|julio|agosto|octubre|noviembre|diciembre"
)
_WHEN = re.compile(
    rf"\d{{1,2}}(?:st|nd|rd|th|\.)?[\s.]*(?:de\s)?(?:{_MONTHS})\b\.?,?(?:\s*(?:de\s)?\d{{4}})?|"
    rf"(?:{_MONTHS})\b\.?\s*\d{{1,2}}"
    r"(?:st|nd|rd|th)?(?:,?\s*\d{4})?|\d{1,4}[./-]\d{1,2}[./-]\d{2,4}|\d{4}年\d{1,2}月\d{1,2}日|\d{1,2}月\d{1,2}日|"
    r"\d{1,2}[:.]\d{2}(?::\d{2})?(?:\s*[ap]\.?m\.?)?|"
    r"(?:\d+|an?) (?:second|minute|min|hour|hr|day|week|month|year)s? ago|"
    r"(?:mon|tues?|wed(?:nes)?|thur?s?|fri|sat(?:ur)?|sun)(?:day)?\b,?",
    re.I,
)
_AROUND = re.compile(
    r"\b(?:published|posted|updated|last|first|created|modified|written|on|at|by|the|date|uhr|est|edt|pst|pdt|gmt|utc|bst|"
    r"et|pt|am|pm|stand)\b|[\W_\d]",
    re.I,
)
_LEAST_LEFT = 16  # letters beside a date, from which a line says more than when and who


def is_label_text(text: str) -> bool:
    """Whether a block's whole text is a label: share buttons, bylines, notices."""
    if len(text) < LONGEST:
        return _is_label(text)
    return len(text) < _LONGEST_NOTICE and "ookies" in text and bool(_COOKIES.search(text))


@functools.lru_cache(maxsize=4096)   # asked several times of a page's blocks, and of every page's `Home`
def _is_label(text: str) -> bool:
    return bool(_LABELS.fullmatch(text))


def is_date_line(text: str) -> bool:
    """Whether a text says when something was written and hardly more: `Mar 4, 2022 · 7:30 am · Jane Doe`."""
    if len(text) > 80 or not any(character.isdigit() for character in text):
        return False
    rest, dates = _WHEN.subn("", text)
    return dates > 0 and len(_AROUND.sub("", rest)) < _LEAST_LEFT and not text.rstrip().endswith(("?", "!"))
