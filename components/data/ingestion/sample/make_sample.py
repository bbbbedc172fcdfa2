"""Make `pages.warc.gz`: a seeded slice of real documentation pages, heavy in formulas, code and English prose.

    apt-get download python-sympy-doc python-scipy-doc sqlite3-doc postgresql-doc-15
    for package in *.deb; do dpkg -x $package unpacked; done
    python make_sample.py unpacked pages.warc.gz

The same packages give the same bytes: no clock, no random record ids. NOTICE holds the licences of what is inside.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import math
import re
import uuid
from dataclasses import dataclass
from pathlib import Path

SEED = 0
DATE = "2023-06-10T00:00:00Z"  # Debian 12's release, which these packages are from
PAGE_BYTES = range(2_000, 160_000)
LEAST_PROSE = 500  # characters in paragraphs
DULL = re.compile(r"genindex|modindex|search\.html|toc\.html|/releaselog/|keyword_index|doclist|sitemap|/dev/|biblio")


@dataclass(frozen=True)
class Package:
    folder: str  # below usr/share/doc
    url: str  # where its project publishes these pages
    pages: int


PACKAGES = [
    Package("python-sympy-doc/html", "https://docs.sympy.org/latest/", 85),
    Package("python-scipy-doc/html", "https://docs.scipy.org/doc/scipy-1.10.1/", 125),
    Package("sqlite3", "https://www.sqlite.org/", 45),
    Package("postgresql-doc-15/html", "https://www.postgresql.org/docs/15/", 45),
]
# Families of pages that differ in a name or two: the real near-duplicates of such a crawl.
NEAR_DUPLICATES = re.compile(r"scipy\.sparse\.(csr|csc|coo|bsr)_(matrix|array)\.(dot|getnnz|multiply|sum)\.html$")


def main() -> None:
    """Read unpacked packages, write the WARC file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("unpacked", type=Path, help="where the packages were unpacked with dpkg -x")
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    info = b"format: WARC File Format 1.0\r\nconformsTo: ISO 28500\r\nsoftware: make_sample.py\r\n"
    records = [_record("warcinfo", "", "application/warc-fields", info)]
    for package in PACKAGES:
        root = arguments.unpacked / "usr/share/doc" / package.folder
        for path in _choose(root, package.pages):
            records.append(_response(package.url + path.relative_to(root).as_posix(), path.read_bytes()))
    arguments.output.write_bytes(b"".join(gzip.compress(record, 9, mtime=0) for record in records))
    print(f"{len(records) - 1} pages, {arguments.output.stat().st_size} bytes")


def _choose(root: Path, count: int) -> list[Path]:
    """Weighted sampling without replacement (Efraimidis and Spirakis, 2006), seeded by each page's path."""
    keys: dict[Path, float] = {}
    for path in sorted(root.rglob("*.html")):
        name = path.relative_to(root).as_posix()
        weight = _weight(path)
        if weight and not DULL.search("/" + name):
            digest = hashlib.sha256(f"{SEED}/{name}".encode()).digest()
            uniform = (int.from_bytes(digest[:8], "big") + 1) / 2**64
            keys[path] = math.inf if NEAR_DUPLICATES.search(name) else math.log(uniform) / weight
    return sorted(sorted(keys, key=lambda path: keys[path], reverse=True)[:count])


def _weight(path: Path) -> float:
    """More for formulas, code and prose; 0 for pages without prose and for very small or large ones."""
    html = path.read_bytes()
    if len(html) not in PAGE_BYTES:
        return 0.0
    prose = sum(len(re.sub(rb"<[^>]*>", b"", paragraph)) for paragraph in re.findall(rb"<p\b.*?</p>", html, re.S))
    if NEAR_DUPLICATES.search(path.name):
        return 1.0
    if prose < LEAST_PROSE:
        return 0.0
    formulas = len(re.findall(rb'class="math|<math', html))
    code = len(re.findall(rb"<pre\b", html))
    return 1 + 2 * min(formulas, 20) + min(code, 10) + min(prose / 1000, 5)


def _response(url: str, html: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(html)}\r\n\r\n"
    return _record("response", url, "application/http; msgtype=response", head.encode() + html)


def _record(kind: str, url: str, content_type: str, block: bytes) -> bytes:
    fields = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, url or kind)}>",
        "WARC-Date": DATE,
        **({"WARC-Target-URI": url} if url else {}),
        "WARC-Block-Digest": f"sha1:{base64.b32encode(hashlib.sha1(block).digest()).decode()}",
        "Content-Type": content_type,
        "Content-Length": str(len(block)),
    }
    head = "WARC/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items()) + "\r\n"
    return head.encode() + block + b"\r\n\r\n"


if __name__ == "__main__":
    main()
