"""The extraction stage: every page in a bounded worker process, survival measured, the rest kept with its reason."""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import Any

from components.artifacts import Artifact
from components.data.documents import DOCUMENT_SCHEMA, Mapped, Record, map_shards, read_parquet
from components.data.extraction.config import Config
from components.data.extraction.worker import PageWorker
from components.runner import Outputs

SAMPLES = 12


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the output `documents` from `pages`, shard by shard."""
    counts = map_shards(
        inputs["pages"],
        outputs,
        "documents",
        partial(extract_shard, config=config),
        kind="documents",
        schema=DOCUMENT_SCHEMA,
        workers=config.workers,
    )
    outputs.metrics.update({name: float(count) for name, count in counts.items() if "." not in name})
    for what in ("formulas", "code_lines"):
        if counts[f"{what}_in_html"]:
            outputs.metrics[f"{what}_survival"] = counts[f"{what}_in_text"] / counts[f"{what}_in_html"]
    _report(counts, outputs)


def extract_shard(pages: list[Record], config: Config) -> Mapped:
    """Documents of the pages of one shard, in order."""
    mapped = Mapped()
    with PageWorker(config.seconds, config.megabytes) as worker:
        for page in pages:
            answer = worker.extract(page["html"], page["url"], page["content_type"] or "")
            document = answer.get("document")
            mapped.counts["pages"] += 1
            if document is None:
                mapped.reject(page, answer["reason"], answer["detail"])
            elif len(document["text"]) < config.least_characters:
                mapped.reject(page, "too_short", document["text"])
            else:
                mapped.kept.append(_record(page, document))
                _count(document, mapped.counts)
    return mapped


def _record(page: Record, document: dict[str, Any]) -> Record:
    own = {name: document[name] for name in ("title", "text", "formulas", "code_blocks", "thread")}
    origin = {name: page[name] for name in ("id", "url", "source")}
    return {**origin, **own, "language": "", "domain": "", "scores": {}}


def _count(document: dict[str, Any], counts: Counter[str]) -> None:
    survival, losses = document["survival"], document["losses"]
    counts.update(
        characters=len(document["text"]),
        formulas=document["formulas"],
        code_blocks=document["code_blocks"],
        threads=int(document["thread"]),
        posts=document["posts"],
        documents_with_formulas=int(document["formulas"] > 0),
        documents_with_code=int(document["code_blocks"] > 0),
        formulas_in_html=survival["formulas"],
        formulas_in_text=survival["formulas_kept"],
        code_lines_in_html=survival["code_lines"],
        code_lines_in_text=survival["code_lines_kept"],
        formulas_outside_content=losses["formulas_found"] - losses["formulas_kept"],
        code_blocks_outside_content=losses["code_found"] - losses["code_kept"],
    )
    counts.update({f"formulas.{origin}": count for origin, count in document["origins"].items()})
    if document["software"]:
        counts[f"threads.{document['software']}"] += 1


def _report(counts: Counter[str], outputs: Outputs) -> None:
    report = outputs.report
    report.text(
        "What this shows",
        "Pages became Markdown. Survival compares every page's raw HTML with its text by a measure that shares no rule "
        "with the extractor: a formula counts as kept where its TeX stands in the text, a line of code where it stands "
        "there with its indentation.",
    )
    rows = []
    for name, what in (("formulas", "distinct formulas"), ("code_lines", "lines of code")):
        there, kept = counts[f"{name}_in_html"], counts[f"{name}_in_text"]
        rows.append([what, there, kept, f"{kept / there:.1%}" if there else "none there"])
    report.table("Survival", ["", "in the HTML", "in the text", "share"], rows)
    names = [
        "pages",
        "documents",
        "rejected",
        "characters",
        "documents_with_formulas",
        "formulas",
        "documents_with_code",
        "code_blocks",
        "threads",
        "posts",
        "formulas_outside_content",
        "code_blocks_outside_content",
    ]
    report.table("Counts", ["", "number"], [[name.replace("_", " "), counts[name]] for name in names])
    for title, prefix in (("Formulas by their markup", "formulas."), ("Threads by software", "threads.")):
        shares = {name.removeprefix(prefix): float(n) for name, n in sorted(counts.items()) if name.startswith(prefix)}
        if shares:
            report.bars(title, shares, "count")
    reasons = {name.removeprefix("rejected_"): n for name, n in sorted(counts.items()) if name.startswith("rejected_")}
    report.table("Set aside", ["reason", "pages"], list(reasons.items()))
    _samples(outputs)


def _samples(outputs: Outputs) -> None:
    directory = outputs.directory("documents")
    parts = sorted(directory.glob("part-*.parquet"))
    documents = [row for part in parts[:4] for row in read_parquet(part)]
    if documents:
        lengths = [float(len(row["text"])) for row in documents]
        outputs.report.histogram("Document length", {"documents": lengths}, "characters")
    chosen = documents[:: max(1, len(documents) // SAMPLES)][:SAMPLES]
    outputs.report.samples(
        "Extracted pages", [(f"{row['title']} · {row['url']}", row["text"][:2500]) for row in chosen]
    )
    rejected = [row for path in sorted(directory.glob("rejected/*.parquet"))[:4] for row in read_parquet(path)]
    examples = [(f"{row['reason']} · {row['url']}", row["detail"][:500]) for row in rejected[:20]]
    outputs.report.samples("Set aside, examples", examples)
