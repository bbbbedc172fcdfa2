"""One self-contained HTML page about a whole run: its tables and every stage's own report, under 5 MB."""

from __future__ import annotations

import html
import os
from pathlib import Path

from components.artifacts import write_text
from pipelines.runs import Run
from pipelines.summary import Score, Table, scores, tables

LIMIT = 4_800_000   # bytes; browsers and mail programs stay pleasant below 5 MB
_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 20%, transparent); }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .75rem .25rem 0; text-align: right; }
th:first-child, td:first-child { text-align: left; }
details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .5rem .75rem; }
summary { cursor: pointer; font-weight: 600; }
svg { width: 100%; max-width: 44rem; font: 13px system-ui, sans-serif; fill: currentColor; }
.grid { stroke: var(--line); } .bar { fill: #4c78a8; } .interval { stroke: currentColor; stroke-width: 2; }
iframe { width: 100%; height: 75vh; border: 0; background: Canvas; }
.muted { opacity: .7; }
"""


def write_report(run: Run) -> Path:
    """Write `<run>/report.html` and return its path. The largest stage reports give way when all do not fit."""
    head = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(run.id)}</title>",
        "<meta name=viewport content='width=device-width'>",
        f"<style>{_STYLE}</style><h1>Run {html.escape(run.id)}</h1>",
        f"<p>Profile {html.escape(run.profile)}, {run.status}, started {html.escape(run.created)}"
        + (f", a rerun of {html.escape(run.rerun_of)}" if run.rerun_of else "")
        + ".</p>",
        _chart(scores(run)),
        *(_table(table) for table in tables(run)),
        "<h2>Stages</h2>",
    ]
    pages = _stage_pages(run)
    room = LIMIT - sum(len(part.encode()) for part in head)
    inlined: set[str] = set()
    for name, page in sorted(pages.items(), key=lambda item: len(item[1])):
        room -= len(page.encode()) + 500
        if room < 0:
            break
        inlined.add(name)
    body = [_section(run, name, page if name in inlined else None) for name, page in pages.items()]
    run.directory.mkdir(parents=True, exist_ok=True)
    write_text(run.report, "\n".join([*head, *body, "</html>\n"]))
    return run.report


def _chart(found: list[Score]) -> str:
    """avg@k of the checkpoints with 95 % intervals, as inline SVG that follows the page's colours."""
    parts = []
    for kind in dict.fromkeys(score.kind for score in found):
        rows = [score for score in found if score.kind == kind]
        height = 34 * len(rows) + 30
        shapes = [f"<line x1='{_x(share)}' x2='{_x(share)}' y1='0' y2='{height - 26}' class='grid'/>"
                  f"<text x='{_x(share)}' y='{height - 8}' text-anchor='middle'>{100 * share:.0f} %</text>"
                  for share in (0, 0.25, 0.5, 0.75, 1)]
        for index, score in enumerate(rows):
            y = 34 * index + 8
            shapes.append(
                f"<text x='80' y='{y + 15}' text-anchor='end'>{html.escape(score.model)}</text>"
                f"<rect x='{_x(0)}' y='{y}' width='{max(1, _x(score.average) - _x(0))}' height='20' class='bar'/>"
                f"<line x1='{_x(score.low)}' x2='{_x(score.high)}' y1='{y + 10}' y2='{y + 10}' class='interval'/>"
                f"<text x='{_x(score.high) + 8}' y='{y + 15}'>{100 * score.average:.1f}</text>"
            )
        label = html.escape(f"avg@k on {kind} problems, with 95 % intervals")
        parts.append(f"<h2>{label}</h2><svg viewBox='0 0 700 {height}' role='img' aria-label='{label}'>"
                     f"{''.join(shapes)}</svg>")
    return "".join(parts)


def _x(share: float) -> int:
    return round(92 + 540 * share)


def _table(table: Table) -> str:
    head = "".join(f"<th>{html.escape(column)}</th>" for column in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<h2>{html.escape(table.title)}</h2><div class=scroll><table><tr>{head}</tr>{rows}</table></div>"


def _stage_pages(run: Run) -> dict[str, str]:
    """Node -> its report, escaped for `srcdoc`."""
    pages = {}
    for name, node in run.nodes.items():
        path = node.result / "report.html" if node.result else None
        if path is not None and path.is_file():
            pages[name] = html.escape(path.read_text(encoding="utf-8"))
    return pages


def _section(run: Run, name: str, page: str | None) -> str:
    """A stage's report in a frame of its own that may run no scripts; a link where it is too large."""
    title = html.escape(name)
    if page is not None:
        return f'<details><summary>{title}</summary><iframe sandbox loading=lazy srcdoc="{page}"></iframe></details>'
    node = run.nodes[name]
    path = os.path.relpath(node.result / "report.html", run.directory) if node.result else ""
    return f'<p class=muted>{title}: too large to be shown here, see <a href="{html.escape(path)}">its report</a>.</p>'
