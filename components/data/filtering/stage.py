"""The filtering stage: train taggers, tag every document, drop few, weigh the rest."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import islice
from pathlib import Path

from components.artifacts import Artifact
from components.data.documents import DOCUMENT_SCHEMA, Mapped, Record, map_shards, read_parquet
from components.data.filtering.config import Config
from components.data.filtering.decisions import decide, sampling_weight, score_measures
from components.data.filtering.masking import mask
from components.data.filtering.rules import measure
from components.data.filtering.taggers import load_taggers, train_all
from components.runner import Outputs

EXCERPT = 400           # characters of a dropped document kept for the report
REPORTED = 20_000       # documents the report looks at
EDGE_SAMPLES = 2        # samples on each side of each edge


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the output `documents`, with `language`, `domain` and `scores` filled in.

    Raises:
        ConfigError: a file of labels that cannot be used.
    """
    outputs.progress.update(0, 1, "training taggers")
    models = outputs.work / "taggers"
    with outputs.alone("taggers"):
        samples = train_all(config, models)
    counts = map_shards(
        inputs["documents"],
        outputs,
        "documents",
        partial(filter_shard, config=config, models=models),
        kind="documents",
        schema=DOCUMENT_SCHEMA,
        workers=config.workers,
    )
    outputs.metrics.update({name: float(count) for name, count in counts.items()})
    _report(config, samples, counts, outputs)


def filter_shard(records: list[Record], config: Config, models: Path) -> Mapped:
    """Tag the records of a shard; keep them with their scores, or set them aside with what was measured."""
    mapped = Mapped()
    all_tags = load_taggers(models).tag([record["text"] for record in records])
    for record, tags in zip(records, all_tags, strict=True):
        drop = decide(record["text"], tags, config)
        if drop:
            detail = {
                "value": round(drop.value, 4), "bound": drop.bound, "note": drop.note, "domain": tags.domain,
                "excerpt": record["text"][:EXCERPT],
            }  # fmt: skip
            mapped.reject(record, drop.reason, json.dumps(detail, ensure_ascii=False))
            continue
        weight = sampling_weight(tags.domain, tags.scores, config)
        scores = {**tags.scores, "sampling_weight": weight}
        mapped.kept.append(record | {"language": tags.language, "domain": tags.domain, "scores": scores})
        mapped.counts[f"domain_{tags.domain}"] += 1
    return mapped


def _report(config: Config, samples: dict[str, int], counts: Counter[str], outputs: Outputs) -> None:
    report = outputs.report
    kept = list(islice(_kept(outputs), REPORTED))
    rejected = list(islice(_rejected(outputs), REPORTED))
    reasons = sorted(name for name in counts if name.startswith("rejected_"))
    report.table("Funnel", ["", "documents"], [
        ["read", counts["documents"] + counts["rejected"]],
        *([name.removeprefix("rejected_"), counts[name]] for name in reasons),
        ["kept", counts["documents"]],
    ])  # fmt: skip
    report.text(
        "The taggers",
        "fastText classifiers, trained in this stage. The labels that come with it are a small seed set of made-up "
        "samples. Scores order pages; they are no calibrated probabilities. Bring your own labels for serious use.",
    )
    report.table("Labelled samples", ["tagger: label", "samples"], sorted(samples.items()))
    domains = {name.removeprefix("domain_"): float(counts[name]) for name in sorted(counts) if name[:7] == "domain_"}
    report.bars("Documents kept by class", domains, "documents")
    names = sorted({name for record in kept for name in record["scores"]})
    for name in names:
        report.histogram(f"{name} of kept documents", {name: [record["scores"][name] for record in kept]}, name)
    report.samples("At the edges", [*_edges(config, kept, rejected)])


def _kept(outputs: Outputs) -> Iterator[Record]:
    for path in sorted(outputs.directory("documents").glob("part-*.parquet")):
        yield from read_parquet(path)


def _rejected(outputs: Outputs) -> Iterator[Record]:
    for path in sorted((outputs.directory("documents") / "rejected").glob("part-*.parquet")):
        for record in read_parquet(path):
            yield record | {"detail": json.loads(record["detail"])}


def _edges(config: Config, kept: list[Record], rejected: list[Record]) -> Iterator[tuple[str, str]]:
    """For each rule the documents just inside and just outside its bound."""
    inside: dict[str, list[tuple[float, float, Record]]] = {}
    for record in kept:
        measures = measure(record["text"], mask(record["text"]), config.rules)
        for one in [*measures, *score_measures(record["scores"], config)]:
            inside.setdefault(one.rule, []).append((abs(one.value - one.bound), one.value, record))
    outside: dict[str, list[tuple[float, float, Record]]] = {}
    for record in rejected:
        value, bound = record["detail"]["value"], record["detail"]["bound"]
        outside.setdefault(record["reason"], []).append((abs(value - bound), value, record))
    for rule in sorted({*inside, *outside}):
        for side, found in (("dropped", outside.get(rule, [])), ("kept", inside.get(rule, []))):
            for _, value, record in sorted(found, key=lambda item: (item[0], item[2]["id"]))[:EDGE_SAMPLES]:
                text = record["text"][:EXCERPT] if "text" in record else record["detail"]["excerpt"]
                yield f"{rule}: {side} at {value:.3g} · {record['url'] or record['id']}", text
