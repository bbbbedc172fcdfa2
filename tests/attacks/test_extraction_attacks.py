"""Pages made to break a parser: each ends with a document or a reason, and the next page is extracted all the same."""

from __future__ import annotations

import random

import pytest

from benchmarks import extraction_fuzz
from components.data.extraction import ExtractionError, extract
from components.data.extraction.encoding import decode
from components.data.extraction.worker import PageWorker
from components.data.ingestion.readers import shipped_pages

GOOD = b"<html><p>" + b"A page like any other page, with nothing that could harm anybody. " * 9 + b"</p></html>"
PAGES = {
    "nesting": b"<div>" * 100_000,
    "nested tables": b"<table><tr><td>" * 30_000,
    "nested formulas": b"<p>text</p><math>" + b"<msqrt>" * 550,
    "attributes": b"<div " + b" ".join(b"a%d=1" % n for n in range(100_000)) + b">x</div>",
    "long attribute": b"<p class='" + b"math " * 2_000_000 + b"'>x</p>",
    "entities": b"<!DOCTYPE html [<!ENTITY a 'aaaa'>" + b"".join(
        b"<!ENTITY %c '&%c;&%c;&%c;&%c;'>" % (n, n - 1, n - 1, n - 1, n - 1) for n in range(98, 120)) + b"]><p>&w;</p>",
    "external entity": b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><p>&e;</p>" + GOOD,
    "endless table": b"<table>" + b"<tr><td>1<td>2" * 200_000,
    "code in tables in tables": b"<table class='code'><tr><td class='code'>" * 140 + b"<i class='line'>x</i>" * 15_000,
    "posts in boxes": b"<i class='forum user'></i>" + b"".join(
        b"".join(b"<div class='box%c%c'>" % (97 + n // 26, 97 + n % 26) for n in range(200)) + posts + b"</div>" * 200
        for posts in (b"<div class='post'><b>text that is some</b></div>" * 8000, b"x", b"y")),
    "delimiters": b"<p>mathjax " + b"\\(" * 20_000,
    "unclosed tags": b"<script>" * 20_000 + b"<pre " * 20_000 + b"<!--" * 20_000,
    "quotes": b"<blockquote>" * 500 + b"x<br>" * 20_000,
    "null bytes": b"<p>\x00te\x00xt</p>" * 1000,
    "noise": random.Random(0).randbytes(500_000),
    "pdf": b"%PDF-1.7\n" + random.Random(1).randbytes(100_000),
    "codec": b"<meta charset=zlib_codec><p>text \xff</p>",
    "idna": b"<meta charset=idna><p>text \xff</p>",
    "references": b"<p>" + b"&#xD800;&#55357;&#x110000;&#9999999999999;&#0;" * 1000 + b"</p>",
}


@pytest.fixture(scope="module")
def worker():
    with PageWorker(seconds=3, megabytes=1500) as worker:
        yield worker


@pytest.mark.parametrize("name", PAGES)
def test_a_hostile_page_harms_nothing(name: str, worker: PageWorker) -> None:
    answer = worker.extract(PAGES[name])
    assert answer.get("reason") not in ("error", "crash"), answer
    assert len(answer.get("document", {"text": ""})["text"]) < 3 * len(PAGES[name]) + 1000
    assert "root:" not in str(answer)
    assert worker.extract(GOOD)["document"]["text"].startswith("A page like any other page")


def test_tables_in_tables_are_read_once(worker: PageWorker) -> None:
    """The fuzz run found them: each level read all below it, and a page of 90 kB took 17 seconds."""
    answer = worker.extract(PAGES["code in tables in tables"])
    assert answer["document"]["text"].count("x") == 15_000


def test_posts_in_boxes_ask_each_box_once(worker: PageWorker) -> None:
    """Every post asked all the boxes around it for their names: ten seconds."""
    answer = worker.extract(PAGES["posts in boxes"])
    assert answer["document"]["text"].count("text that is some") == 8000


def test_a_gigabyte_of_attributes_is_refused_unread(worker: PageWorker) -> None:
    assert worker.extract(b"<div " + b"a=1 " * (1 << 28))["reason"] == "too_large"
    assert worker.extract(b"<div " + b"a=1 " * 10_000_000)["reason"] in ("too_large", "time_limit", "memory_limit")
    assert "document" in worker.extract(GOOD)


def test_memory_is_bounded() -> None:
    with PageWorker(seconds=20, megabytes=700) as worker:
        answer = worker.extract(b"<p>" + b"<b>x</b>" * 2_000_000)
        assert answer.get("reason") in ("memory_limit", "crash", "too_many_elements", "error")
        assert "document" in worker.extract(GOOD)


def test_a_slice_of_the_fuzz_run_finds_nothing() -> None:
    result = extraction_fuzz.fuzz(60, seed=1)
    assert result.findings == [] and sum(result.outcomes.values()) == 60


def test_a_killed_worker_is_replaced() -> None:
    with PageWorker(seconds=3, megabytes=1500) as worker:
        assert "document" in worker.extract(GOOD)
        assert worker._process is not None
        worker._process.kill()
        assert worker.extract(GOOD)["reason"] in ("time_limit", "crash")
        assert "document" in worker.extract(GOOD)


PIECES = [b"<", b">", b"</div>", b"<pre>", b"$", b"\\(", b"<math>", b"\x00", b"\xff", b"<!--", b"<table>", b"<code>",
          b"&#", b"<script type='math/tex'>", b"<p", b"\xee\x80\x80", b"<sup>", b"'"]


def test_mutated_pages_never_raise_anything_else() -> None:
    rows = shipped_pages(40_000)
    generator = random.Random(0)
    for _ in range(300):
        page = bytearray(generator.choice(rows).html[:20_000])
        for _ in range(generator.randrange(1, 30)):
            at = generator.randrange(len(page))
            piece = generator.choice(PIECES)
            if generator.random() < 0.5:
                page[at:at] = piece
            else:
                del page[at : at + generator.randrange(1, 200)]
        try:
            text = extract(bytes(page)).text
        except ExtractionError:
            continue
        assert "\ue000" not in text and "\ue002" not in text
        text.encode("utf-8")


TEXT = "Größe, naïve café – déjà vu: x ≤ y"
ENCODINGS = {
    "utf-8": ("utf-8", TEXT), "utf-8-sig": ("utf-8", TEXT), "utf-16": ("", TEXT),
    "iso-8859-1": ("iso-8859-1", "Größe, naïve café"),
    "windows-1252": ("iso-8859-1", "Größe – “naïve” café"),
    "shift_jis": ("shift_jis", "数学の問題を解く"),
    "euc-jp": ("euc-jp", "数学の問題を解く"),
    "iso-2022-jp": ("iso-2022-jp", "数学の問題を解く"),
    "gb18030": ("gb2312", "数学问题的解答"),
    "big5": ("big5", "數學問題的解答"),
    "euc-kr": ("euc-kr", "수학 문제를 풀다"), "koi8-r": ("koi8-r", "решение задачи"),
    "windows-1251": ("windows-1251", "решение задачи"), "iso-8859-7": ("iso-8859-7", "λύση του προβλήματος"),
}


@pytest.mark.parametrize("codec", ENCODINGS)
@pytest.mark.parametrize("where", ["header", "meta"])
def test_declared_encodings(codec: str, where: str) -> None:
    label, text = ENCODINGS[codec]
    meta = f"<meta charset='{label}'>" if where == "meta" and label else ""
    page = f"<html><head>{meta}</head><body><p>{text}</p></body></html>".encode(codec)
    assert text in decode(page, f"text/html; charset={label}" if where == "header" and label else "text/html")


def test_mislabelled_encodings() -> None:
    assert TEXT in decode(f"<meta charset='iso-8859-1'><p>{TEXT}</p>".encode(), "text/html; charset=windows-1251")
    russian = "Решение задачи о наибольшем числе, которое записано в списке. " * 5
    page = f"<meta charset='utf-8'><p>{russian}</p>".encode("windows-1251")
    assert russian in decode(page, "text/html; charset=utf-8")
    assert "text" in decode(b"<p>te\x00xt \xff\xfe</p>".replace(b"\x00", b""), "text/html; charset=no-such-thing")
