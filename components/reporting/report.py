"""The self-contained HTML report: no scripts, nothing loaded from anywhere, every text escaped, under 5 MB.

Reports show what hostile pages and models wrote. Text can reach the page only through `_escaped`; the page also forbids
itself scripts and any loading (Content-Security-Policy), should it be opened outside of a sandboxed frame.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from components.reporting import charts

STYLE = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
LIMIT = 4_500_000            # bytes of all sections: the page stays below 5 MB
SAMPLE_CHARACTERS = 20_000   # of one sample; a longer one says how much is left out
TABLE_ROWS = 500             # likewise of a table, and of a bar plot
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_NUMERIC = re.compile(r"\s*[-+−±≤≥<>~]?\s*[\d.,]+(e[-+]?\d+)?\s*(%|[kMGT]?B?|s|ms|min|h)?\s*|–|")


def page(title: str, body: str) -> str:
    """A whole HTML document around `body`, which is trusted HTML such as `Report.body()`."""
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{_escaped(title)}</title><style>{STYLE}</style></head>"
        f"<body><h1>{_escaped(title)}</h1>\n{body}</body></html>\n"
    )


class Report:
    """A page of sections, shown in the order of the calls. Sections beyond the page's limit are left out by name."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._sections: list[str] = []
        self._bytes = 0

    def text(self, heading: str, body: str) -> None:
        """Plain text under a heading; an empty line starts a paragraph."""
        paragraphs = [part for part in re.split(r"\n\s*\n", body) if part.strip()]
        self._add(heading, "".join(f"<p>{_escaped(part)}</p>" for part in paragraphs))

    def table(self, heading: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """A table; numbers are right-aligned, integers with separators, floats to four digits."""
        kept, note = _first(rows, TABLE_ROWS)
        cells = [[_cell(value) for value in row] for row in kept]
        numeric = [all(_NUMERIC.fullmatch(row[column]) for row in cells if column < len(row)) and bool(cells)
                   for column in range(len(columns))]
        head = "".join(
            f"<th{' class=n' if right else ''}>{_escaped(str(name))}</th>"
            for name, right in zip(columns, numeric, strict=True)
        )
        body = "".join(f"<tr>{''.join(map(_table_cell, row))}</tr>" for row in cells)
        self._add(heading, f"<div class=wide><table><tr>{head}</tr>{body}</table></div>{note}")

    def lines(
        self, heading: str, series: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str
    ) -> None:
        """A line plot: name -> [(x, y), …]. Long series are thinned, keeping their peaks."""
        clean = {_visible(name): points for name, points in series.items()}
        self._add(heading, charts.line_plot(clean, _visible(x_label), _visible(y_label), _visible(heading)))

    def bars(self, heading: str, values: Mapping[str, float], y_label: str) -> None:
        """A bar plot: label -> length; one bar a row, so that labels may be long."""
        kept, note = _first(values.items(), TABLE_ROWS)
        low, high = _range(value for _, value in kept)
        rows = []
        for name, value in kept:
            left, right = (_percent(edge, low, high) for edge in sorted((0.0, value)))
            bar = f'<rect class=c0 x="{left}%" y=2 width="{right - left:.2f}%" height=12 rx=2 />'
            rows.append(_track(name, bar, _cell(value)))
        self._add(heading, f"<p class=note>{_escaped(y_label)}</p><table class=bars>{''.join(rows)}</table>{note}")

    def intervals(
        self, heading: str, values: Mapping[str, tuple[float, float, float]], label: str, zero: bool = False
    ) -> None:
        """Values with their intervals: name -> (value, low, high), one a row.

        Args:
            label: what is shown.
            zero: mark 0, where the interval of a difference is read against it.
        """
        kept, note = _first(values.items(), TABLE_ROWS)
        low, high = _range(edge for _, value in kept for edge in value)
        rows = []
        for name, (value, start, stop) in kept:
            at, left, right = (_percent(edge, low, high) for edge in (value, start, stop))
            origin = _percent(0.0, low, high)
            mark = f'<line class=zero x1="{origin}%" x2="{origin}%" y1=-4 y2=20 />' if zero else ""
            line = f'<line class="range c0" x1="{left}%" x2="{right}%" y1=8 y2=8 />'
            text = f"{value:.3f} [{start:.3f}, {stop:.3f}]"
            rows.append(_track(name, f'{mark}{line}<circle class=c0 cx="{at}%" cy=8 r=5 />', text))
        self._add(heading, f"<p class=note>{_escaped(label)}</p><table class=bars>{''.join(rows)}</table>{note}")

    def histogram(self, heading: str, values: Mapping[str, Sequence[float]], x_label: str) -> None:
        """Histograms of one or several sets of values on shared bins."""
        clean = {_visible(name): each for name, each in values.items()}
        self._add(heading, charts.histogram(clean, _visible(x_label), _visible(heading)))

    def samples(self, heading: str, samples: Iterable[tuple[str, str]]) -> None:
        """Texts to read, each a (caption, text) pair, shown verbatim."""
        parts = []
        for caption, text in samples:
            more = len(text) - SAMPLE_CHARACTERS
            tail = f"<p class=note>… and {more:,} more characters</p>" if more > 0 else ""
            body = _escaped(text[:SAMPLE_CHARACTERS])
            # the line break keeps one that the text starts with: HTML drops the first in a <pre>
            parts.append(f"<details open><summary>{_escaped(caption)}</summary><pre>\n{body}</pre>{tail}</details>")
        self._add(heading, "".join(parts) or "<p class=note>None.</p>")

    def body(self) -> str:
        """The sections as HTML, to stand in a `page` of this report or of several."""
        return "\n".join(self._sections)

    def write(self, path: Path) -> None:
        """Write the page, whole or not at all."""
        partial = path.with_name(path.name + ".partial")
        partial.write_text(page(self.title, self.body()), encoding="utf-8")
        partial.replace(path)

    def _add(self, heading: str, content: str) -> None:
        section = f"<section><h2>{_escaped(heading)}</h2>{content}</section>"
        size = len(section.encode())
        if self._bytes + size > LIMIT:
            section = f"<section><h2>{_escaped(heading)}</h2><p class=note>Left out: the page is full.</p></section>"
        else:
            self._bytes += size
        self._sections.append(section)


def _visible(text: str) -> str:
    """`text` with controls, surrogates and what reorders its neighbours (bidi overrides) made visible."""
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text.replace("\r\n", "\n"))


def _escaped(text: str) -> str:
    return html.escape(_visible(text))


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    return str(value)


def _table_cell(text: str) -> str:
    return f"<td{' class=n' if text and _NUMERIC.fullmatch(text) else ''}>{_escaped(text)}</td>"


def _track(name: str, drawing: str, text: str) -> str:
    return (f"<tr><td class=name>{_escaped(name)}</td><td class=track><svg>{drawing}</svg></td>"
            f"<td class=n>{_escaped(text)}</td></tr>")


def _percent(value: float, low: float, high: float) -> float:
    """Where `value` lies between `low` and `high`; one that is not finite lies at 0."""
    at = value if math.isfinite(value) else 0.0
    return round(100 * (at - low) / (high - low), 2) if high > low else 0.0


def _range(values: Iterable[float]) -> tuple[float, float]:
    """The smallest range that holds the finite values and 0."""
    finite = [0.0, *(value for value in values if math.isfinite(value))]
    return min(finite), max(finite)


def _first(rows: Iterable[Any], most: int) -> tuple[list[Any], str]:
    """The first `most` rows, and a line that says how many are not shown."""
    kept = list(rows)
    more = len(kept) - most
    return kept[:most], f"<p class=note>… and {more:,} more rows</p>" if more > 0 else ""
