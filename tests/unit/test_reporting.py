"""The report: what hostile text can do to it, what it must hold, and the arithmetic of its plots."""

from __future__ import annotations

import json
import math
import random
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from components.reporting import CSS, PROGRESS_FILE, Progress, Report, charts, page
from components.reporting.report import LIMIT

HOSTILE = [
    "</pre></details><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'/onmouseover='alert(1)",
    "<svg/onload=alert(1)><style>@import 'https://evil.example/x.css'</style>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe><base href=//evil.example>",
    "\x00\x1b]0;title\x07 \ud800 \u202e gnp.exe \u2066 \x85",
]
ALLOWED = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "section", "p", "div", "table", "tr", "th", "td",
    "figure", "figcaption", "span", "svg", "line", "text", "polyline", "polygon", "circle", "rect", "details",
    "summary", "pre",
}  # fmt: skip


class Seen(HTMLParser):
    """Every element and attribute of a page, and its texts."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def full_report(text: str) -> Report:
    """Every kind of section, with `text` wherever a text can go."""
    report = Report(text)
    report.text(text, text)
    report.table(text, [text, "b"], [[text, 1.0], [None, float("nan")]])
    report.lines(text, {text: [(0, 1), (1, 2), (2, math.inf)], text + "2": []}, text, text)
    report.lines(text, {text + str(number): [(0, number)] for number in range(10)}, text, text)   # more than colours
    report.bars(text, {text: -0.3, text + "2": 2.0, text + "3": float("nan")}, text)
    report.intervals(text, {text: (0.1, -0.2, 0.3)}, text, zero=True)
    report.histogram(text, {text: [1, 2, 2.5], text + "2": [4]}, text)
    report.samples(text, [(text, text)])
    return report


HARMLESS = Seen(page("x", full_report("x").body()))


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("<>\"'&=/;- \n\t`") | st.characters(), min_size=1, max_size=30))
@example("x" * 3000 + "<b>")
def test_no_text_makes_an_element_or_an_attribute(text: str) -> None:
    check_hostile(text, page(text, full_report(text).body()))


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text(text: str, tmp_path: Path) -> None:
    full_report(text).write(tmp_path / "report.html")
    check_hostile(text, (tmp_path / "report.html").read_text(encoding="utf-8"))   # no lone surrogate got that far


def check_hostile(text: str, written: str) -> None:
    seen = Seen(written)
    # an empty line may start a paragraph: the only structure that a text has
    assert [tag for tag in seen.tags if tag != "p"] == [tag for tag in HARMLESS.tags if tag != "p"]
    assert set(seen.tags) <= ALLOWED
    free = {"class", "x", "x1", "x2", "y", "y1", "y2", "cx", "cy"}   # numbers: how a cell is aligned, where a label is
    assert [name for name, _ in seen.attributes if name not in free] == [
        name for name, _ in HARMLESS.attributes if name not in free
    ]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", written)


def test_page_refers_to_nothing_outside_and_forbids_scripts() -> None:
    written = page("title", full_report("text").body())
    seen = Seen(written)
    assert not {name for name, _ in seen.attributes} & {"src", "href", "srcset", "data", "action", "xlink:href"}
    assert not re.search(r"url\(|@import|//", written)
    assert any(value and value.startswith("default-src 'none'") for _, value in seen.attributes)
    assert "prefers-color-scheme: dark" in CSS and CSS in written


NUMBERS = st.floats() | st.sampled_from([0.0, -0.0, 1e299, -1e299, 1.7e308, 5e-324, 1e16, 1e16 + 2, 1.0, 1 + 1e-15])


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=20), st.lists(NUMBERS, max_size=20))
def test_any_numbers_make_a_page_with_finite_coordinates(points: list[tuple[float, float]], more: list[float]) -> None:
    report = Report("t")
    report.lines("lines", {"a": points, "b": points[::-1], "empty": []}, "x", "y")
    report.bars("bars", {str(number): y for number, (_, y) in enumerate(points)}, "y")
    report.intervals("intervals", {str(number): (x, y, x) for number, (x, y) in enumerate(points)}, "y", zero=True)
    report.histogram("histogram", {"a": more, "b": [x for x, _ in points]}, "x")
    report.table("table", ["x", "y"], points)
    seen = Seen(report.body())
    for name, value in seen.attributes:
        assert value is not None and not (name != "class" and re.search(r"nan|inf|e[+-]\d", value)), (name, value)
        if name in ("width", "height"):
            assert float(value.rstrip("%")) >= 0
        if name == "points":   # within the figure
            for x, y in re.findall(r"([-\d.]+),([-\d.]+)", value):
                assert 0 <= float(x) <= charts.WIDTH and -1 <= float(y) <= charts.HEIGHT
    labels = [text for text in seen.texts if text.strip()]
    assert max(map(len, labels)) < 60, max(labels, key=len)


def test_bars_of_both_signs_grow_from_one_origin() -> None:
    report = Report("t")
    report.bars("b", {"up": 3.0, "down": -1.0, "none": 0.0, "lost": math.nan}, "y")
    rows = re.findall(r'<rect class=c0 x="([\d.]+)%" y=2 width="([\d.]+)%"', report.body())
    assert rows == [("25.0", "75.00"), ("0.0", "25.00"), ("25.0", "0.00"), ("25.0", "0.00")]
    assert report.body().count('<line class=zero x1="25.0%"') == 4


def test_columns_of_numbers_are_aligned_as_one() -> None:
    report = Report("t")
    rows: list[list[Any]] = [["a 1", 1234567, 0.12345678, "12.3 [10.1, 14.2]", "3"],
                             ["b", None, math.nan, "–", "three"]]
    report.table("t", ["name", "count", "share", "interval", "mixed"], rows)
    header, *lines = re.findall(r"<tr>(.*?)</tr>", report.body())
    for line in (header, *lines):
        assert [" class=n" in cell for cell in re.findall("<t[hd][^>]*>", line)] == [False, True, True, True, False]
    assert "1,234,567" in lines[0] and ">0.1235<" in lines[0] and ">nan<" in lines[1]
    with pytest.raises(ValueError):
        report.table("t", ["a", "b"], [[1, 2], [3]])


def test_long_samples_lists_are_folded() -> None:
    report = Report("t")
    report.samples("s", [(str(number), "text") for number in range(9)])
    assert report.body().count("<details open>") == 3 and report.body().count("<details>") == 6


def test_importing_reports_is_light() -> None:
    code = "import sys, components.reporting; print(sorted({'numpy', 'torch', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_samples_are_verbatim_and_cut_openly() -> None:
    report = Report("t")
    report.samples("s", [("caption", "\n\n  a\tb < c &amp;\r\n"), ("long", "y" * 30_000)])
    texts = Seen(report.body()).texts
    assert "\n\n\n  a\tb < c &amp;\n" in texts   # one line break more: a reader of HTML drops the first in <pre>
    assert "… and 10,000 more characters" in texts


def test_a_full_page_names_what_it_leaves_out(tmp_path: Path) -> None:
    report = Report("t")
    for number in range(300):
        report.samples(f"section {number}", [("", "<" * 20_000)])   # four bytes each once escaped
    report.text("last", "still there")
    report.write(tmp_path / "r.html")
    written = (tmp_path / "r.html").read_text()
    assert LIMIT / 2 < len(written) < 5_000_000
    assert "section 299</h2><p class=note>Left out" in written
    assert "still there" in written


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12))
def test_ticks_are_round_few_and_inside(low: float, width: float) -> None:
    high = low + width
    if high - low < 1e-7 * abs(low):   # below what float arithmetic tells apart
        return
    found = charts.ticks(low, high)
    slack = 1e-6 * (high - low)
    assert 3 <= len(found) <= 7
    assert all(low - slack <= value <= high + slack for value in found)
    step = found[1] - found[0]
    assert round(step / 10 ** math.floor(math.log10(step) + 1e-6), 3) in (1, 2, 2.5, 5)


@given(st.integers(-10**9, 10**9), st.integers(1, 10**9))
def test_whole_ticks_are_integers(low: int, width: int) -> None:
    found = charts.ticks(low, low + width, whole=True)
    assert 2 <= len(found) <= 10 and all(value.is_integer() and low <= value <= low + width for value in found)


@pytest.mark.parametrize(("values", "texts"), [
    ([0, 2500, 5000], ["0", "2500", "5000"]),
    ([0, 20_000, 40_000], ["0", "20k", "40k"]),
    ([0, 2.5e6, 5e6], ["0", "2.5M", "5.0M"]),
    ([0.0, 1e-6, 2e-6], ["0", "1e-6", "2e-6"]),
    ([-0.05, 0.0, 0.05], ["-0.05", "0", "0.05"]),
    ([100.0, 100.5, 101.0], ["100.0", "100.5", "101.0"]),
    ([0, 5e299, 1e300], ["0", "5e299", "1e300"]),
])  # fmt: skip
def test_tick_labels(values: list[float], texts: list[str]) -> None:
    assert charts.tick_labels(values) == texts


@given(st.integers(601, 5000), st.integers(0, 2**32))
def test_thinning_keeps_order_ends_of_range_and_extremes(count: int, seed: int) -> None:
    chance = random.Random(seed)
    values = [chance.choice([chance.gauss(0, 1), 0.0, 1e6]) for _ in range(count)]
    points = list(enumerate(values))
    kept = charts.thin(points)
    assert len(kept) <= charts.POINTS
    assert kept == sorted(set(kept))
    assert {min(values), max(values)} <= {y for _, y in kept}
    assert kept[0][0] < len(values) / 200 and kept[-1][0] > len(values) * 0.99 - 2


def test_histogram_counts_every_value_once() -> None:
    values = [3.0] * 5 + [4.0] * 2 + [11.0]
    edges = charts._bins(values)
    assert edges == [2.5 + n for n in range(10)]
    assert charts._counts(values, edges, shares=False) == [5, 2, 0, 0, 0, 0, 0, 0, 1]
    sixteenths = [number / 16 for number in (0, 1, 1, 5, 16)]   # a bin a level
    assert charts._counts(sixteenths, charts._bins(sixteenths), shares=False) == [
        sixteenths.count(n / 16) for n in range(17)
    ]
    for values in ([0.1], [7.25] * 9, [1e-9 * n for n in range(1000)]):
        edges = charts._bins(values)
        assert sum(charts._counts(values, edges, shares=False)) == len(values)
        assert sum(charts._counts(values, edges, shares=True)) == pytest.approx(1)


def test_progress_counts_time_left_from_where_it_began(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "progress.json"
    monkeypatch.setenv(PROGRESS_FILE, str(path))
    clock = iter([100.0, 110.0, 110.1, 120.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    progress = Progress("sft")
    progress.update(80, 100)   # resumed at 80 %
    assert json.loads(path.read_text()) == {"stage": "sft", "share": 0.8, "left_s": None, "message": ""}
    progress.update(90, 100, "step 9")   # half of what was left, in 10 s
    assert json.loads(path.read_text())["left_s"] == pytest.approx(10)
    progress.update(91, 100)   # too soon after the last
    assert json.loads(path.read_text())["share"] == 0.9
    progress.finish()
    assert json.loads(path.read_text())["share"] == 1
