"""URL normalisation: two spellings of one address become one string."""

from __future__ import annotations

import re
from urllib.parse import quote, unquote, urlsplit

# Parameters that say where a visitor came from or who they are, never what the page holds.
_TRACKING = re.compile(
    r"utm_\w+|fbclid|gclid|gclsrc|dclid|gbraid|wbraid|msclkid|yclid|twclid|ttclid|igshid|mc_cid|mc_eid|_hsenc|_hsmi"
    r"|_ga|_gl|mkt_tok|oly_anon_id|oly_enc_id|vero_id|s_cid|wt_mc|phpsessid|jsessionid|sessionid|sid|aspsessionid\w*",
    re.IGNORECASE,
)
# What most addresses look like: nothing in them needs a second look but the trailing slash and the host's case.
_PLAIN = re.compile(r"https?://([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)((?:/[A-Za-z0-9._~-]+)*)/?")
_PORTS = {"http": 80, "https": 443, "ftp": 21}
_PATH = "/:@!$&'()*+,;=-._~"


def normalize_url(url: str) -> str:
    """One spelling for a page's address, without its scheme; empty for an empty URL.

    Tracking and session parameters, the fragment (unless it is a `#!` route), the default port, a trailing slash and
    needless escapes go; the host is lower-cased and the parameters are sorted. What is no URL comes back stripped.
    """
    url = url.strip()
    if plain := _PLAIN.fullmatch(url):
        return plain[1].lower() + plain[2]
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return url
    if not parts.netloc and not parts.path:
        return url
    host = (parts.hostname or "").rstrip(".")
    if ":" in host:
        host = f"[{host}]"
    if port and port != _PORTS.get(parts.scheme):
        host += f":{port}"
    path = re.sub(r";(?:jsessionid|phpsessid)=[^/;]*", "", parts.path, flags=re.IGNORECASE)
    path = _escape(re.sub(r"/{2,}", "/", path), _PATH).rstrip("/")
    parameters = sorted(
        _escape(parameter, _PATH + "?")
        for parameter in parts.query.split("&")
        if parameter and not _TRACKING.fullmatch(parameter.partition("=")[0])
    )
    query = "?" + "&".join(parameters) if parameters else ""
    route = "#" + parts.fragment if parts.fragment.startswith("!") else ""
    return host + path + query + route


def _escape(text: str, safe: str) -> str:
    """Escape what must be escaped and nothing else; an escaped `/`, `%`, `&`, `=`, `+`, `#` or `?` stays escaped."""
    kept = re.split(r"(%(?:2[3567BbFf]|3[DdFf]))", text)
    return "".join(
        part.upper() if number % 2 else quote(unquote(part, errors="surrogateescape"), safe, errors="surrogateescape")
        for number, part in enumerate(kept)
    )
