"""Extraction of labelled real pages: ours beside trafilatura and Resiliparse, by type of page.

    git clone https://github.com/Murrough-Foley/web-content-extraction-benchmark wcxb      2,008 pages, CC-BY-4.0
    git clone https://github.com/scrapinghub/article-extraction-benchmark articles         181 articles, MIT
    python benchmarks/extraction_labelled.py --wcxb wcxb --articles articles --write

WCXB (2026) has seven types of pages and two splits; `dev` was looked at while rules were made, `test` was not. F1 is of
words as a multiset, the mean of pages, as its authors measure. *unwanted* is the share of passages kept that annotators
marked as boilerplate. The articles are measured by shingles of four words: F1 of mean precision and mean recall.
"""

from __future__ import annotations

import argparse
import gzip
import json
import logging
import platform
import re
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import trafilatura
from resiliparse.extract.html2text import extract_plain_text

from components.data.extraction import ExtractionError, extract
from components.data.extraction.encoding import decode

RESULTS = Path(__file__).with_suffix(".md")


class Page(NamedTuple):
    kind: str
    html: bytes
    text: str
    unwanted: list[str]


class Score(NamedTuple):
    precision: float
    recall: float
    unwanted: float   # NaN where nothing is marked

    @property
    def f1(self) -> float:
        return f1(self.precision, self.recall)


def f1(precision: float, recall: float) -> float:
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def ours(html: bytes) -> str:
    try:
        return extract(html).text
    except ExtractionError:
        return ""


EXTRACTORS: dict[str, Callable[[bytes], str]] = {
    "this project": ours,
    f"trafilatura {version('trafilatura')}": lambda html: trafilatura.extract(decode(html)) or "",
    f"resiliparse {version('resiliparse')}": lambda html: extract_plain_text(decode(html), main_content=True),
}


def wcxb(folder: Path, split: str) -> list[Page]:
    pages = []
    for path in sorted((folder / split / "ground-truth").glob("*.json")):
        label: dict[str, Any] = json.loads(path.read_text())
        truth = label["ground_truth"]
        kind = label.get("_internal", {}).get("page_type", {}).get("primary", "article")
        html = gzip.decompress((folder / split / "html" / f"{path.stem}.html.gz").read_bytes())
        pages.append(Page(kind, html, truth.get("main_content") or "", truth.get("without") or []))
    return pages


def articles(folder: Path) -> list[Page]:
    truth: dict[str, Any] = json.loads((folder / "ground-truth.json").read_text())
    return [
        Page("article", gzip.decompress((folder / "html" / f"{key}.html.gz").read_bytes()), label["articleBody"], [])
        for key, label in truth.items()
    ]


def score(page: Page, text: str, length: int) -> Score:
    """Precision and recall of the page's runs of `length` words."""
    found, wanted = (shingles(each, length) for each in (text, page.text))
    common = (found & wanted).total()
    kept = [passage.lower() in text.lower() for passage in page.unwanted]
    unwanted = statistics.mean(kept) if kept else float("nan")
    if not wanted:
        return Score(float(not found), float(not found), unwanted)
    return Score(common / max(1, found.total()), common / wanted.total(), unwanted)


def shingles(text: str, length: int) -> Counter[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return Counter(zip(*(words[start:] for start in range(min(length, len(words)))), strict=False))


def table(pages: Sequence[Page], length: int) -> list[str]:
    scores: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for name, function in EXTRACTORS.items():
        for page in pages:
            scores[name, page.kind].append(score(page, function(page.html), length))
    lines = ["| pages | extractor | precision | recall | F1 | unwanted |", "|---|---|---:|---:|---:|---:|"]
    for kind, number in sorted(Counter(page.kind for page in pages).items(), key=lambda item: -item[1]):
        for name in EXTRACTORS:
            found = scores[name, kind]
            precision, recall = (statistics.mean(getattr(each, field) for each in found) for field in Score._fields[:2])
            mean = statistics.mean(each.f1 for each in found) if length == 1 else f1(precision, recall)
            kept = [each.unwanted for each in found if each.unwanted == each.unwanted]
            unwanted = f"{statistics.mean(kept):.3f}" if kept else "–"
            lines.append(f"| {kind} {number} | {name} | {precision:.3f} | {recall:.3f} | {mean:.3f} | {unwanted} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--wcxb", type=Path, help="a clone of WCXB")
    parser.add_argument("--articles", type=Path, help="a clone of article-extraction-benchmark")
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name}")
    options = parser.parse_args()
    if not options.wcxb and not options.articles:
        parser.error("name --wcxb or --articles")
    logging.getLogger("trafilatura").setLevel(logging.CRITICAL)
    about = (__doc__ or "").partition("--write\n\n")[2]
    lines = ["# Extraction of labelled pages", "", "`python benchmarks/extraction_labelled.py --write`", "", about]
    lines.append(f"{datetime.now(UTC):%Y-%m-%d}, Python {platform.python_version()}.")
    sets = [(f"WCXB, {split}", wcxb(options.wcxb, split), 1) for split in ("dev", "test") if options.wcxb]
    sets += [("Articles", articles(options.articles), 4)] if options.articles else []
    for name, pages, length in sets:
        print(f"{name}: {len(pages)} pages", flush=True)
        lines += ["", f"## {name}", "", *table(pages, length)]
    text = "\n".join(lines) + "\n"
    print(text)
    if options.write:
        RESULTS.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
