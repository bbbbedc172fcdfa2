"""One self-contained HTML page about a whole run: its scores, its tables and every stage's own report, under 5 MB."""

from __future__ import annotations

import html
import os
from pathlib import Path

from components.artifacts import write_text
from components.reporting import Report, page
from pipelines.runs import Run
from pipelines.summary import scores, tables

LIMIT = 4_800_000   # bytes; browsers and mail programs stay pleasant below 5 MB


def write_report(run: Run) -> Path:
    """Write `<run>/report.html` and return its path. The largest stage reports give way when all do not fit."""
    report = _overview(run)
    pages = _stage_pages(run)
    room = LIMIT - len(page(report.title, report.body()).encode())
    inlined: set[str] = set()
    for name, source in sorted(pages.items(), key=lambda item: len(item[1])):
        room -= len(source.encode()) + 500
        if room < 0:
            break
        inlined.add(name)
    stages = [_section(run, name, source if name in inlined else None) for name, source in pages.items()]
    body = "\n".join([report.body(), "<section><h2>Stages</h2>", *stages, "</section>"])
    run.directory.mkdir(parents=True, exist_ok=True)
    write_text(run.report, page(report.title, body))
    return run.report


def _overview(run: Run) -> Report:
    """What ran and how it went, before the stages' own reports."""
    report = Report(f"Run {run.id}")
    origin = f", a rerun of {run.rerun_of}" if run.rerun_of else ""
    report.text("What ran", f"Profile {run.profile}, {run.status}, started {run.created}{origin}.")
    failed = [(name, node.error) for name, node in run.nodes.items() if node.status == "failed"]
    if failed:
        report.samples("Failed", failed)
    found = scores(run)
    for kind in dict.fromkeys(score.kind for score in found):
        values = {score.model: (score.average, score.low, score.high) for score in found if score.kind == kind}
        report.intervals(f"avg@k on {kind} problems", values, "share of completions that pass, with 95 % interval")
    for table in tables(run):
        report.table(table.title, table.columns, table.rows)
    return report


def _stage_pages(run: Run) -> dict[str, str]:
    """Node -> its report, escaped for `srcdoc`."""
    pages = {}
    for name, node in run.nodes.items():
        path = node.result / "report.html" if node.result else None
        if path is not None and path.is_file():
            pages[name] = html.escape(path.read_text(encoding="utf-8"))
    return pages


def _section(run: Run, name: str, source: str | None) -> str:
    """A stage's report in a frame of its own that may run no scripts; a link where it is too large."""
    title = html.escape(name)
    if source is not None:
        return f'<details><summary>{title}</summary><iframe sandbox loading=lazy srcdoc="{source}"></iframe></details>'
    node = run.nodes[name]
    path = os.path.relpath(node.result / "report.html", run.directory) if node.result else ""
    return f'<p class=note>{title}: too large to be shown here, see <a href="{html.escape(path)}">its report</a>.</p>'
