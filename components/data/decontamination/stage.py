"""The decontamination stage: documents that hold an evaluation prompt, or a long part of one, are kept aside."""

from __future__ import annotations

import json
from collections import Counter
from functools import lru_cache, partial
from pathlib import Path

from components.artifacts import Artifact
from components.data.decontamination.config import Config
from components.data.documents import DOCUMENT_SCHEMA, Mapped, Record, map_shards, read_parquet
from components.data.ngrams import NgramIndex
from components.problems import read_problems
from components.runner import Outputs

LISTED = 3           # problems named for one document
DOUBTFUL = 0.5       # a hit that covers less of its prompt may be a common phrase
TABLE_ROWS = 50


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the output `documents`; rejected shards name the problem and the matching n-gram."""
    problems = read_problems(inputs["evaluation"].paths())
    prompts = tuple((problem.id, problem.prompt) for problem in problems)
    index = _index(prompts, config.ngram)
    counts = map_shards(
        inputs["documents"],
        outputs,
        "documents",
        partial(drop_contaminated, prompts=prompts, ngram=config.ngram),
        kind="documents",
        schema=DOCUMENT_SCHEMA,
        workers=config.workers,
        totals={"prompts": len(prompts), "prompts_too_short": len(index.too_short)},
    )
    outputs.metrics.update({name: float(count) for name, count in counts.items()})
    outputs.metrics["prompts_too_short"] = float(len(index.too_short))
    _report(prompts, index, counts, outputs)


@lru_cache(maxsize=1)
def _index(prompts: tuple[tuple[str, str], ...], ngram: int) -> NgramIndex:
    return NgramIndex([prompt for _, prompt in prompts], ngram)


def drop_contaminated(records: list[Record], prompts: tuple[tuple[str, str], ...], ngram: int) -> Mapped:
    """Set aside documents that hold a prompt; the detail lists the best-covered ones with their n-gram, as JSON."""
    index = _index(prompts, ngram)
    mapped = Mapped()
    # both at once: a title may be the problem, and the text may go on from it
    texts = (f"{record['title']}\n\n{record['text']}" for record in records)
    for record, matches in zip(records, index.search(texts), strict=True):
        if not matches:
            mapped.kept.append(record)
            continue
        hits = [
            {"problem": prompts[match.prompt][0], "ngram": match.ngram, "coverage": round(match.coverage, 4)}
            for match in matches[:LISTED]
        ]
        mapped.reject(record, "contaminated", json.dumps({"problems": len(matches), "hits": hits}, ensure_ascii=False))
        mapped.counts["hits"] += len(matches)
    return mapped


def _report(
    prompts: tuple[tuple[str, str], ...], index: NgramIndex, counts: Counter[str], outputs: Outputs
) -> None:
    report = outputs.report
    report.table("Funnel", ["", "count"], [
        ["documents read", counts["documents"] + counts["rejected"]],
        ["contaminated", counts["rejected"]],
        ["kept", counts["documents"]],
        ["evaluation prompts", len(prompts)],
        ["prompts too short to look for", len(index.too_short)],
    ])  # fmt: skip
    rows = [
        [record["url"] or record["id"], hit["problem"], f"{hit['coverage']:.0%}", hit["ngram"][:120]]
        for path in sorted((outputs.directory("documents") / "rejected").glob("part-*.parquet"))
        for record, hit in _best_hits(path)
    ]
    columns = ["document", "problem", "share of the prompt's n-grams", "n-gram (normalised)"]
    doubtful = [row for row in rows if float(row[2].rstrip("%")) < 100 * DOUBTFUL]
    report.table("Hits", columns, rows[:TABLE_ROWS])
    report.table(
        f"Candidates for false hits: less than {DOUBTFUL:.0%} of the prompt is there", columns, doubtful[:TABLE_ROWS]
    )
    if index.too_short:
        names = ", ".join(prompts[number][0] for number in index.too_short[:TABLE_ROWS])
        report.text("Too short to look for", names)


def _best_hits(path: Path) -> list[tuple[Record, Record]]:
    return [(record, json.loads(record["detail"])["hits"][0]) for record in read_parquet(path)]
