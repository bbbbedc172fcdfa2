"""The self-contained HTML report: no scripts, nothing loaded from anywhere, every text escaped, under 5 MB.

Reports show what hostile pages and models wrote. Text can reach the page only through `_escaped`; the page also forbids
itself scripts and any loading (Content-Security-Policy), should it be opened outside of a sandboxed frame.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral, Real
from pathlib import Path
from typing import Any

from components.reporting import charts

CSS = (Path(__file__).parent / "style.css").read_text(encoding="utf-8")
LIMIT = 4_500_000            # bytes of all sections: the page stays below 5 MB
SAMPLE_CHARACTERS = 20_000   # of one sample; a longer one says how much is left out
TABLE_ROWS = 500             # likewise of a table, and of a bar plot
CELL_CHARACTERS = 2_000      # of one cell or caption
OPEN = 3                     # samples shown unfolded
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
# 1,234 · -0.5 · 3e-06 · 12 % · ≥ 4 GB · 0.12 [0.05, 0.20] · @1: 40.0 @8: 75.1 · 3 m 31 s · nan · – · nothing
_NUMERIC = re.compile(
    r"(?=.*\d)[-+−–±≤≥<>~@:\d.,%()\[\] ]*(\de[-+]?\d+)?( ?[kMGT]?B|[kMGT]| ?(s|ms|min|h))?"
    r"|(\d+ [dhms] ?)+|-?(nan|inf)|–|"
)


def page(title: str, body: str) -> str:
    """A whole HTML document around `body`, which is trusted HTML such as `Report.body()`."""
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name=viewport content="width=device-width, initial-scale=1">'
        f"<title>{_escaped(title)}</title><style>{CSS}</style></head>"
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
        """A table; numbers are right-aligned, integers with separators, floats to four digits.

        Raises:
            ValueError: a row is not as long as `columns`.
        """
        kept, note = _first(rows, TABLE_ROWS)
        cells = [[_cell(value) for value in row] for row in kept]
        classes = [_alignment(column) for column in zip(*cells, strict=True)]
        classes = classes or [""] * len(columns)
        head = "".join(f"<th{kind}>{_escaped(name)}</th>" for kind, name in zip(classes, columns, strict=True))
        body = "".join(
            f"<tr>{''.join(f'<td{kind}>{_escaped(text)}</td>' for kind, text in zip(classes, row, strict=True))}</tr>"
            for row in cells
        )
        note = note if cells else "<p class=note>None.</p>"
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
        mark = _zero(low, high) if low < 0 else ""
        rows = []
        for name, value in kept:
            left, right = sorted(_percent(edge, low, high) for edge in (0.0, value))
            bar = f'<rect class=c0 x="{left}%" y=2 width="{right - left:.2f}%" height=12 rx=2 />'
            rows.append(_track(name, mark + bar, _cell(value)))
        self._add(heading, _tracks(y_label, rows, note))

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
        mark = _zero(low, high) if zero else ""
        rows = []
        for name, (value, start, stop) in kept:
            at, left, right = (_percent(edge, low, high) for edge in (value, start, stop))
            line = f'<line class="range c0" x1="{left}%" x2="{right}%" y1=8 y2=8 />'
            drawing = f'{line}<circle class=c0 cx="{at}%" cy=8 r=5 />'
            texts = [f"{each:.3f}" if abs(each) < 1e4 else _cell(each) for each in (value, start, stop)]
            text = "{} [{}, {}]".format(*texts)
            rows.append(_track(name, mark + (drawing if charts.drawable(value, start, stop) else ""), text))
        self._add(heading, _tracks(label, rows, note))

    def histogram(self, heading: str, values: Mapping[str, Sequence[float]], x_label: str) -> None:
        """Histograms of one or several sets of values on shared bins."""
        clean = {_visible(name): each for name, each in values.items()}
        self._add(heading, charts.histogram(clean, _visible(x_label), _visible(heading)))

    def samples(self, heading: str, samples: Iterable[tuple[str, str]]) -> None:
        """Texts to read, each a (caption, text) pair, shown verbatim; the first ones unfolded."""
        parts = []
        for number, (caption, text) in enumerate(samples):
            more = len(text) - SAMPLE_CHARACTERS
            tail = f"<p class=note>… and {more:,} more characters</p>" if more > 0 else ""
            body = _escaped(text[:SAMPLE_CHARACTERS])
            # the line break keeps one that the text starts with: HTML drops the first in a <pre>
            title = _escaped(_shortened(caption))
            unfolded = " open" if number < OPEN else ""
            parts.append(f"<details{unfolded}><summary>{title}</summary><pre>\n{body}</pre>{tail}</details>")
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
    if isinstance(value, Integral):   # numpy's, too
        return f"{int(value):,}"
    if isinstance(value, Real):
        number = float(value)
        return f"{number:,.0f}" if 1e4 <= abs(number) < 1e15 else f"{number:,.4g}"
    return _shortened(str(value))


def _shortened(text: str) -> str:
    return text if len(text) <= CELL_CHARACTERS else text[:CELL_CHARACTERS] + " …"


def _alignment(column: Sequence[str]) -> str:
    """Numbers to the right; short words on one line; only long texts wrap."""
    if all(map(_is_number, column)):
        return " class=n"
    return " class=short" if max(map(len, column)) <= 24 else ""


def _is_number(text: str) -> bool:
    # texts are hostile, and matching takes time that grows with the square of the length
    return len(text) <= 60 and _NUMERIC.fullmatch(text) is not None


def _tracks(label: str, rows: Sequence[str], note: str) -> str:
    table = f"<table class=bars>{''.join(rows)}</table>" if rows else "<p class=note>No values.</p>"
    return f"<p class=note>{_escaped(label)}</p>{table}{note}"


def _zero(low: float, high: float) -> str:
    origin = _percent(0.0, low, high)
    return f'<line class=zero x1="{origin}%" x2="{origin}%" y1=-4 y2=20 />'


def _track(name: str, drawing: str, text: str) -> str:
    return (f"<tr><td class=name>{_escaped(name)}</td><td class=track><svg>{drawing}</svg></td>"
            f"<td class=n>{_escaped(text)}</td></tr>")


def _percent(value: float, low: float, high: float) -> float:
    """Where `value` lies between `low` and `high`; one that cannot be drawn lies at 0."""
    at = value if charts.drawable(value) else 0.0
    return round(100 * (at - low) / (high - low), 2) if high > low else 0.0


def _range(values: Iterable[float]) -> tuple[float, float]:
    """The smallest range that holds the values that can be drawn, and 0."""
    finite = [0.0, *(value for value in values if charts.drawable(value))]
    return min(finite), max(finite)


def _first(rows: Iterable[Any], most: int) -> tuple[list[Any], str]:
    """The first `most` rows, and a line that says how many are not shown."""
    kept = list(rows)
    more = len(kept) - most
    return kept[:most], f"<p class=note>… and {more:,} more rows</p>" if more > 0 else ""
