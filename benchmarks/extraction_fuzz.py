"""Extraction of broken pages: no crash, no page over its time bound, nothing of our own marks in a text.

    python benchmarks/extraction_fuzz.py --inputs 50000 --write

Nine of ten inputs are real pages (the shipped sample and `tests/pages`) after 1 to 40 random changes; the others are
tag soup from hypothesis. All follow from the seed. Every input goes through the worker that the stage uses. Inputs that
find something are kept in a folder; the exit status is 1 then.
"""

from __future__ import annotations

import argparse
import hashlib
import heapq
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import hypothesis
from hypothesis import strategies as st

from components.data.extraction.worker import PageWorker
from components.data.ingestion.readers import shipped_pages

RESULTS = Path(__file__).with_suffix(".md")
PAGES = Path(__file__).parent.parent / "tests" / "pages"
SECONDS, MEGABYTES = 5.0, 1500
LONGEST = 5_000  # bytes of a page that are changed: its head, and a part from anywhere
FINDINGS = ("crash", "error", "time_limit", "memory_limit", "marks", "too_long")
TAGS = (
    b"html head body div p span a table tr td th ul ol li dl dt dd pre code math mi mo mrow msup mfrac semantics "
    b"annotation script style svg title noscript template iframe form input textarea select button sup sub br hr img "
    b"h1 h2 blockquote article main nav footer mjx-container mjx-math mjx-c frameset plaintext xmp listing"
).split()
PIECES = [
    b"<", b">", b"</", b"/>", b"<!--", b"-->", b"<![CDATA[", b"]]>", b"<?xml ?>", b"&#", b"&#x0;", b"&#xD800;", b"&amp",
    b"&lt;", b"\x00", b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xee\x80\x80", b"\xee\x80\x800\xee\x80\x81",
    b"\xef\xbb\xbf", b"\xff\xfe", b"\x1b$B", b"$", b"$$", b"\\(", b"\\)", b"\\[", b"\\begin{align}", b"\\end{align}",
    b"`", b"[itex]", b"[/itex]", b"$latex ", b"'", b'"', b"=", b"<script type='math/tex'>", b"<span class='katex'>",
    b"<div id='question' class='question'>", b"<div class='cooked'>", b"<div class='comment'>", b"<math alttext='",
    b"<pre class='brush: c'>", b"<td class='code'>", b"<img class='latex' alt='", b"<meta charset='utf-16'>",
    b"<meta charset='shift_jis'>", b"<p style='display:none'>", b"<ol start='99999999999999'>", b"<td colspan='99999'>",
    *(b"<" + tag + b">" for tag in TAGS), *(b"</" + tag + b">" for tag in TAGS),
]  # fmt: skip
ATTRIBUTES = [
    b"",
    b" class='line'",
    b" class='highlight'",
    b" hidden",
    b" id='x'",
    b" data-tex='x^2'",
    b" type='math/tex'",
]


@dataclass
class Result:
    """What came of all inputs."""

    outcomes: Counter[str] = field(default_factory=Counter)
    slowest: list[tuple[float, str]] = field(default_factory=list)  # CPU seconds, digest of the input
    findings: list[tuple[str, bytes]] = field(default_factory=list)


def real_pages() -> list[bytes]:
    return [page.html for page in shipped_pages()] + [path.read_bytes() for path in sorted(PAGES.glob("*.html"))]


def mutated(pages: list[bytes], generator: random.Random) -> bytes:
    """A page after random changes: pieces in, pieces out, bits turned, parts repeated, moved, or of another page."""
    whole = generator.choice(pages)
    middle = generator.randrange(len(whole))
    page = bytearray(whole[: LONGEST // 5] + whole[middle : middle + LONGEST * 4 // 5])
    for _ in range(generator.randrange(1, 41)):
        at = generator.randrange(len(page) + 1)
        end = min(len(page), at + generator.choice((1, 4, 30, 300, 2000)))
        kind = generator.randrange(8)
        if kind <= 2:
            page[at:at] = generator.choice(PIECES) * generator.choice((1, 1, 1, 2, 50, 700))
        elif kind == 3:
            del page[at:end]
        elif kind == 4 and at < len(page):
            page[at] ^= 1 << generator.randrange(8)
        elif kind == 5:
            page[at:at] = page[at:end] * generator.choice((1, 2, 20))
        elif kind == 6:
            other = generator.choice(pages)
            start = generator.randrange(len(other))
            page[at:end] = other[start : start + generator.randrange(2000)]
        else:
            moved = page[at:end]
            del page[at:end]
            place = generator.randrange(len(page) + 1)
            page[place:place] = moved
        del page[20 * LONGEST :]
    return bytes(page)


def soups(count: int, seed: int) -> list[bytes]:
    """Trees of random tags, attributes and pieces, as hypothesis makes them."""
    leaf = st.sampled_from(PIECES) | st.text(max_size=20).map(lambda text: text.encode("utf-8", "replace"))
    tree = st.recursive(
        leaf,
        lambda inner: st.builds(
            lambda tag, attribute, children, closed: (
                b"<" + tag + attribute + b">" + b"".join(children) + (b"</" + tag + b">" if closed else b"")
            ),
            st.sampled_from(TAGS),
            st.sampled_from(ATTRIBUTES),
            st.lists(inner, max_size=6),
            st.booleans(),
        ),
        max_leaves=30,
    )
    found: list[bytes] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(st.lists(tree, min_size=1, max_size=6).map(b"".join))
    def collect(soup: bytes) -> None:
        found.append(soup)

    collect()
    return found


def inputs(count: int, seed: int) -> Iterator[bytes]:
    """`count` inputs."""
    pages, generator = real_pages(), random.Random(seed)
    soup = soups(max(count // 10, 1), seed)
    for number in range(count):
        yield soup[number // 10 % len(soup)] if number % 10 == 0 else mutated(pages, generator)


def fuzz(count: int, seed: int, progress: bool = False) -> Result:
    """Run all inputs through a worker."""
    result = Result()
    start = time.monotonic()
    with PageWorker(SECONDS, MEGABYTES) as worker:
        for number, page in enumerate(inputs(count, seed), 1):
            answer = worker.extract(page)
            outcome = answer.get("reason") or _check(answer["document"]["text"], page)
            result.outcomes[outcome] += 1
            item = (answer.get("seconds", SECONDS), hashlib.sha256(page).hexdigest()[:12])
            (heapq.heappush if len(result.slowest) < 5 else heapq.heappushpop)(result.slowest, item)
            if outcome in FINDINGS:
                result.findings.append((outcome, page))
                print(f"input {number}: {outcome} {answer.get('detail', '')}", flush=True)
            if progress and number % 1000 == 0:
                print(f"{number} inputs, {time.monotonic() - start:.0f} s, {dict(result.outcomes)}", flush=True)
    return result


def _check(text: str, page: bytes) -> str:
    if any("\ue000" <= character <= "\uf8ff" for character in text):
        return "marks"
    text.encode("utf-8")
    return "too_long" if len(text) > 4 * len(page) + 1000 else "document"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    arguments = parser.parse_args()
    result = fuzz(arguments.inputs, arguments.seed, progress=True)
    folder = Path(tempfile.gettempdir()) / "extraction-fuzz"
    for outcome, page in result.findings:
        folder.mkdir(exist_ok=True)
        (folder / f"{outcome}-{hashlib.sha256(page).hexdigest()[:12]}.html").write_bytes(page)
    rows = [f"| {outcome} | {count} |" for outcome, count in result.outcomes.most_common()]
    slowest = ", ".join(f"{seconds:.2f}" for seconds, _ in sorted(result.slowest, reverse=True))
    text = (
        f"{datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores (shared), Python {platform.python_version()}, seed "
        f"{arguments.seed}: {arguments.inputs} inputs, {len(result.findings)} findings. CPU seconds of the slowest: "
        f"{slowest}; bound {SECONDS:g}.\n\n| outcome | inputs |\n|---|---:|\n" + "\n".join(rows)
    )
    print(text, f"\nkept in {folder}" if result.findings else "")
    if arguments.write:
        about = (__doc__ or "").partition("\n\n")[2].partition("\n\n")[2]
        RESULTS.write_text(
            f"# Extraction: broken pages\n\n`python benchmarks/extraction_fuzz.py --write`\n\n{about}\n{text}\n"
        )
    return 1 if result.findings else 0


if __name__ == "__main__":
    sys.exit(main())
