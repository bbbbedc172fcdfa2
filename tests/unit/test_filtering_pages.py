"""Pages of math and code that the rules of web corpora drop, and the stage keeps.

`tests/pages/kept/` holds hand-made pages. Each must fail a published rule set, else it proves nothing, and pass the
whole way here: extraction, rules, taggers, decision.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from components.data.extraction import extract
from components.data.filtering.config import Config
from components.data.filtering.stage import filter_shard
from components.data.filtering.taggers import train_all

PAGES = sorted((Path(__file__).parent.parent / "pages" / "kept").glob("*.html"))
JUNK = {
    "menu": "<ul>" + "".join(f"<li><a href='/{n}'>Category number {n}</a></li>" for n in range(80)) + "</ul>",
    "spam": "<p>Buy cheap watches with free shipping now</p>" * 60,
    "keywords": "<p>" + "cheap flights hotel deal 99 24 7 100 50 2026 " * 40 + "</p>",
    "code for show": "<p>" + "<p>Click here to subscribe today</p>" * 50 + "<code>x</code></p>",
}


def fineweb_drops(text: str) -> list[str]:
    """The rules of Gopher (Rae et al. 2021), C4 (Raffel et al. 2020) and FineWeb (Penedo et al. 2024) that fail.

    As FineWeb applies them: C4's without the rule on lines that do not end a sentence, Gopher's on the whole page.
    """
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    words = text.split()
    letters = sum(any(map(str.isalpha, word)) for word in words) / max(1, len(words))
    length = sum(map(len, words)) / max(1, len(words))
    common = {"the", "be", "to", "of", "and", "that", "have", "with"} & {word.lower() for word in words}
    ends = sum(line.endswith((".", "!", "?", '"', "'")) for line in lines) / max(1, len(lines))
    short = sum(len(line) <= 30 for line in lines) / max(1, len(lines))
    repeated = sum(len(line) for place, line in enumerate(lines) if line in lines[:place])
    rules = {
        "gopher words": not 50 <= len(words) <= 100_000,
        "gopher length": not 3 <= length <= 10,
        "gopher letters": letters < 0.8,
        "gopher stop words": len(common) < 2,
        "gopher bullets": sum(line.startswith(("-", "*", "•")) for line in lines) > 0.9 * len(lines),
        "c4 brackets": "{" in text,
        "c4 sentences": len(re.findall(r"[.!?](?:\s|$)", text)) < 3,
        "fineweb ends": ends <= 0.12,
        "fineweb short": short >= 0.67,
        "fineweb repeated": repeated >= 0.1 * sum(map(len, lines)),
    }
    return [name for name, fails in rules.items() if fails]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("taggers")
    train_all(Config(), directory)
    return directory


def filtered(html: str, models: Path) -> tuple[str, Mapping[str, object] | None, str]:
    """(Extracted text, the record if it is kept, the reason if it is not)."""
    text = extract(html, "https://example.org/").text
    mapped = filter_shard([{"id": "1", "url": "u", "text": text}], Config(), models)
    return (text, mapped.kept[0], "") if mapped.kept else (text, None, mapped.rejected[0]["reason"])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_of_math_or_code_is_kept(path: Path, models: Path) -> None:
    text, record, reason = filtered(path.read_text(encoding="utf-8"), models)
    assert len(fineweb_drops(text)) >= 2, "this page is no test: plain rules would keep it"
    assert record is not None, f"dropped as {reason}"
    scores = record["scores"]
    assert isinstance(scores, dict) and scores["math_share" if path.stem.startswith("math") else "code_share"] > 0.1
    assert scores["sampling_weight"] >= 0.5


@pytest.mark.parametrize("name", JUNK)
def test_junk_is_still_dropped(name: str, models: Path) -> None:
    _, record, _ = filtered(f"<html><body><main>{JUNK[name]}</main></body></html>", models)
    assert record is None
