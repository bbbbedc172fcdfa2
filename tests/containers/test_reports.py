"""Every stage's report of a real run, as the UI shows it: in a sandboxed frame, narrow and wide, light and dark."""

import html
import os
from pathlib import Path

import pytest
from browser import Browser

from pipelines.dag import NODES
from pipelines.runs import Run

LIMIT = 5_000_000
SIGHTS = [(width, dark) for width in (1280, 800) for dark in (False, True)]
FRAME = (
    "<!doctype html><meta charset=utf-8><body style='margin:0'>"
    "<iframe sandbox srcdoc=\"{}\" style='border:0;width:100%;height:100vh'>"
)
# What is wrong with a document, as a list of sentences.
INSPECT = """(() => {
  const wrong = [], page = document.documentElement, width = page.clientWidth;
  const say = (element, what) => wrong.push(`${element.tagName} "${element.textContent.trim().slice(0, 40)}": ${what}`);
  const shown = element => element.checkVisibility();
  if (page.scrollWidth > width + 1) wrong.push(`the page is ${page.scrollWidth} pixels wide in a window of ${width}`);
  for (const svg of document.querySelectorAll("svg")) {
    if (!shown(svg)) continue;
    const area = svg.getBoundingClientRect(), plot = svg.classList.contains("plot");
    const least = plot ? [300, 100] : [40, 12];
    if (area.width < least[0] || area.height < least[1]) say(svg, `is ${area.width} by ${area.height}`);
    if (plot && !svg.querySelector("polyline, polygon, rect, circle")) say(svg, "draws nothing");
    for (const shape of svg.querySelectorAll("polyline, polygon, rect, circle, line, text")) {
      const box = shape.getBoundingClientRect();
      if (shape.tagName !== "text" && shape.tagName !== "line" && plot && box.width + box.height < 1)
        say(shape, "has no extent");
      if (box.left < -1 || box.right > width + 1) say(shape, `reaches from ${box.left} to ${box.right} of ${width}`);
    }
  }
  for (const table of document.querySelectorAll(".wide"))
    if (shown(table) && table.scrollWidth > table.clientWidth + 1) say(table, "hides columns behind a scroll bar");
  const scrolls = element => {
    for (let at = element; at; at = at.parentElement)
      if (["auto", "scroll"].includes(getComputedStyle(at).overflowX)) return true;
    return false;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const range = document.createRange();
  while (walker.nextNode()) {
    const node = walker.currentNode, element = node.parentElement;
    if (!node.data.trim() || !shown(element)) continue;
    range.selectNodeContents(node);
    const box = range.getBoundingClientRect();
    if (!box.width || !box.height) { say(element, "has text without area"); continue; }
    if (!scrolls(element) && (box.left < -1 || box.right > width + 1)) say(element, "has text outside of the page");
    for (let at = element; at && at !== document.body; at = at.parentElement) {
      const style = getComputedStyle(at), limits = at.getBoundingClientRect();
      if (["hidden", "clip"].includes(style.overflowX) && box.right > limits.right + 1) say(element, "is clipped");
      if (["hidden", "clip"].includes(style.overflowY) && box.bottom > limits.bottom + 1) say(element, "is clipped");
    }
    const ink = luminance(getComputedStyle(element).color), paper = luminance(ground(element));
    const contrast = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
    if (!element.closest("svg") && contrast < 4) say(element, `has a contrast of ${contrast.toFixed(1)}`);
  }
  function ground(element) {
    for (let at = element; at; at = at.parentElement) {
      const colour = getComputedStyle(at).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  }
  function luminance(colour) {
    const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map(part => {
      const value = part / 255;
      return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  }
  return { wrong, plots: document.querySelectorAll("svg").length, height: page.scrollHeight,
           paper: luminance(getComputedStyle(page).backgroundColor) };
})()"""


@pytest.fixture(scope="module")
def browser(chromium: None, tmp_path_factory: pytest.TempPathFactory):
    with Browser(tmp_path_factory.mktemp("chromium")) as started:
        yield started


def reports_of(run: Run) -> dict[str, Path]:
    """Node -> its report, and the whole run's."""
    found = {name: node.result / "report.html" for name, node in run.nodes.items() if node.result}
    return {**found, "run": run.report}


def framed(source: Path, folder: Path) -> Path:
    """A page that shows `source` as the UI does: in a frame that may run nothing and load nothing."""
    page = folder / "framed.html"
    page.write_text(FRAME.format(html.escape(source.read_text(encoding="utf-8"))), encoding="utf-8")
    return page


def test_every_report_is_readable_in_a_sandboxed_frame(browser, finished: Run, tmp_path: Path) -> None:
    reports = reports_of(finished)
    assert set(reports) == {*NODES, "run"}
    wrong, plots = [], 0
    for name, source in reports.items():
        assert source.stat().st_size < LIMIT, name
        browser.show(framed(source, tmp_path))
        frame = browser.frame()
        for width, dark in SIGHTS:
            browser.resize(width, 900, dark)
            found = browser.evaluate(INSPECT, frame)
            wrong += [f"{name}, {width}, {'dark' if dark else 'light'}: {text}" for text in found["wrong"]]
            assert (found["paper"] < 0.2) == dark, name
            plots += found["plots"]
            if folder := os.environ.get("SCREENSHOTS"):  # for people to look at
                browser.resize(width, min(found["height"], 6000), dark)
                browser.screenshot(Path(folder) / f"{name}-{width}-{'dark' if dark else 'light'}.png")
        assert [url for url in browser.requests if not url.startswith(("file:", "about:", "data:"))] == [], name
    assert wrong == []
    assert plots > 200


def test_the_inspection_finds_what_it_is_for(browser, tmp_path: Path) -> None:
    """A page with one of each fault; also shows that an isolated world sees into the frame."""
    page = tmp_path / "faulty.html"
    page.write_text(
        "<!doctype html><style>:root{background:#fff}</style><body>"
        "<div style='width:3000px;height:1em;background:#eee'>wide</div>"
        "<div style='width:40px;overflow:hidden;white-space:nowrap'>clipped text that goes on</div>"
        "<p style='color:#ccc'>pale</p><p style='margin-left:-90px'>outside</p>"
        "<svg class=plot width=400 height=200></svg><svg class=plot width=0 height=200><rect width=5 height=5 /></svg>"
        "<img src='http://127.0.0.1:9/x.png'>",
        encoding="utf-8",
    )
    browser.show(framed(page, tmp_path))
    browser.resize(800, 900, False)
    wrong = "\n".join(browser.evaluate(INSPECT, browser.frame())["wrong"])
    for fault in ("pixels wide", "is clipped", "contrast", "outside of the page", "draws nothing", "is 0 by 200"):
        assert fault in wrong, wrong
    assert any("127.0.0.1:9" in url for url in browser.requests)
