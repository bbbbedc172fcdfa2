"""Speed and survival of extractors on the same pages in the same run.

    python benchmarks/extraction.py                          the shipped sample
    python benchmarks/extraction.py /usr/share/doc/x/html    HTML below folders
    python benchmarks/extraction.py --write                  also rewrite benchmarks/extraction.md, or with folders
                                                             append to benchmarks/extraction_web.md

Every extractor gets a page's bytes decoded as the page says, one page at a time, in one process; seconds are CPU time,
the least of three for each page.
Survival is measured on the raw HTML by `components/data/extraction/survival.py`, which shares no rule with any of them.
Peers that are not installed are left out.
"""

from __future__ import annotations

import argparse
import gzip
import importlib.metadata
import logging
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from machine import processor

from components.data.extraction import ExtractionError, extract
from components.data.extraction.encoding import decode
from components.data.extraction.survival import measure
from components.data.ingestion.readers import shipped_pages

RESULTS = Path(__file__).with_suffix(".md")
WEB = Path(__file__).with_name("extraction_web.md")
ROUNDS = 3
Extractor = Callable[[str], str]


@dataclass
class Outcome:
    """Totals of one extractor over all pages."""

    seconds: float
    failures: int
    characters: int
    formulas: float  # share of all distinct formulas
    formulas_a_page: float  # mean of the share over pages that have any
    code_lines: float


def ours(html: str) -> str:
    try:
        return extract(html).text
    except ExtractionError:
        return ""


def peers() -> dict[str, tuple[str, Extractor]]:
    """Name -> (package, function) of what is installed."""
    found: dict[str, tuple[str, Extractor]] = {"this project": ("mimo-pipeline", ours)}
    try:
        import trafilatura

        logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
        found["trafilatura"] = ("trafilatura", lambda html: trafilatura.extract(html) or "")
        found["trafilatura fast"] = ("trafilatura", lambda html: trafilatura.extract(html, fast=True) or "")
    except ImportError:
        pass
    try:
        from resiliparse.extract.html2text import extract_plain_text

        found["resiliparse main"] = (
            "resiliparse",
            lambda html: extract_plain_text(html, preserve_formatting=True, main_content=True),
        )
        found["resiliparse whole page"] = (
            "resiliparse",
            lambda html: extract_plain_text(html, preserve_formatting=True),
        )
    except ImportError:
        pass
    try:
        import justext

        words = justext.get_stoplist("English")
        found["jusText"] = (
            "justext",
            lambda html: "\n".join(p.text for p in justext.justext(html.encode(), words) if not p.is_boilerplate),
        )
    except ImportError:
        pass
    try:
        import readability
        from lxml.html import fromstring

        found["readability"] = (
            "readability-lxml",
            lambda html: fromstring(readability.Document(html).summary()).text_content(),
        )
    except ImportError:
        pass
    try:
        import inscriptis

        found["inscriptis"] = ("inscriptis", inscriptis.get_text)
    except ImportError:
        pass
    return found


def read_pages(folders: list[Path], most: int) -> list[str]:
    if not folders:
        return [decode(page.html, page.content_type) for page in shipped_pages()[:most]]
    paths = sorted(path for folder in folders for path in folder.rglob("*.htm*"))
    chosen = paths[:: max(1, len(paths) // most)][:most]
    pages = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes() for path in chosen)
    return [decode(page) for page in pages]


def run(functions: dict[str, Extractor], pages: list[str]) -> dict[str, Outcome]:
    """Every extractor on a page before the next page, so that a busy minute slows all of them; three times."""
    for function in functions.values():
        function(pages[0])  # imports and caches
    least = {name: [math.inf] * len(pages) for name in functions}
    texts = {name: [""] * len(pages) for name in functions}
    failed: dict[str, set[int]] = {name: set() for name in functions}
    for _ in range(ROUNDS):
        for index, page in enumerate(pages):
            for name, function in functions.items():
                start = time.process_time()
                try:
                    texts[name][index] = function(page)
                except Exception:  # a peer that gives up on a page
                    failed[name].add(index)
                least[name][index] = min(least[name][index], time.process_time() - start)
    return {name: _outcome(pages, texts[name], sum(least[name]), len(failed[name])) for name in functions}


def _outcome(pages: list[str], texts: list[str], seconds: float, failures: int) -> Outcome:
    survivals = [measure(page, text) for page, text in zip(pages, texts, strict=True)]
    formulas, lines = sum(s.formulas for s in survivals), sum(s.code_lines for s in survivals)
    shares = [s.formulas_kept / s.formulas for s in survivals if s.formulas]
    return Outcome(
        seconds,
        failures,
        sum(map(len, texts)),
        sum(s.formulas_kept for s in survivals) / max(formulas, 1),
        sum(shares) / max(len(shares), 1),
        sum(s.code_lines_kept for s in survivals) / max(lines, 1),
    )


def table(outcomes: dict[str, Outcome], versions: dict[str, str], pages: int) -> str:
    base = outcomes["this project"].seconds
    lines = [
        "| extractor | formulas | page mean | code lines | pages/s/core | our speed is | MB of text | failed |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, o in outcomes.items():
        version = "" if name == "this project" else f" {versions[name]}"
        lines.append(
            f"| {name}{version} | {o.formulas:.3f} | {o.formulas_a_page:.3f} | {o.code_lines:.3f} | "
            f"{pages / o.seconds:.1f} | {o.seconds / base:.2f}× | {o.characters / 1e6:.2f} | {o.failures} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="*", type=Path, help="folders of HTML; none: the shipped sample")
    parser.add_argument("--pages", type=int, default=300, help="most pages")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}, append to {WEB.name}")
    arguments = parser.parse_args()
    pages = read_pages(arguments.folders, arguments.pages)
    functions = peers()
    versions = {name: importlib.metadata.version(package) for name, (package, _) in functions.items()}
    outcomes = run({name: function for name, (_, function) in functions.items()}, pages)
    what = "shipped sample" if not arguments.folders else ", ".join(folder.name for folder in arguments.folders)
    size = sum(map(len, pages)) / 1e6
    text = (
        f"{datetime.now(UTC):%Y-%m-%d}, {what}: {len(pages)} pages, {size:.1f} MB of HTML. {processor()}, "
        f"{os.cpu_count()} cores (shared), Python {platform.python_version()}.\n\n"
        + table(outcomes, versions, len(pages))
    )
    print(text)
    if arguments.write and arguments.folders:
        with WEB.open("a") as file:
            file.write(f"\n{text}\n")
    elif arguments.write:
        RESULTS.write_text(f"# Extraction: speed and survival\n\n{NOTES}\n\n{text}\n")


NOTES = """\
`python benchmarks/extraction.py --write` gives this table again. *formulas*: share of distinct formulas whose
TeX stands in the text, white space aside; *page mean*: the same with every page counting equally; *code lines*:
lines of `pre` that stand in the text with their indentation (a prompt in front is forgiven). The measure reads
raw HTML and shares no rule with the extractors (`components/data/extraction/survival.py`). Speed is CPU time in
one process, every extractor on a page before the next page, the least of three for each page; compare rows, not
absolutes. These are documentation pages: they say nothing about boilerplate removal on the open web."""


if __name__ == "__main__":
    main()
