"""The filtering stage: train taggers, tag every document, drop few, weigh the rest."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import get_args

from components.artifacts import Artifact, open_artifact
from components.data.documents import DOCUMENT_SCHEMA, Mapped, Record, map_shards, read_parquet
from components.data.filtering.config import Config, Score
from components.data.filtering.decisions import decide, sampling_weight, score_measures
from components.data.filtering.masking import mask
from components.data.filtering.rules import measure
from components.data.filtering.taggers import load_taggers, train_all
from components.reporting import Report
from components.runner import Outputs

EXCERPT = 400           # characters of a dropped document kept for the report
REPORTED = 20_000       # documents the report looks at
EDGE_SAMPLES = 2        # samples on each side of each edge
SCORES = get_args(Score)


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the output `documents`, with `language`, `domain` and `scores` filled in.

    Raises:
        ConfigError: a file of labels that cannot be used.
    """
    outputs.progress.update(0, 1, "training taggers")
    measured: Mapping[str, Mapping[str, float]]
    models = outputs.work / "taggers"
    with outputs.alone("taggers"):
        measured = train_all(config, models)
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
    if config.tagger.kind == "language_model":
        from components.data.quality.classifier import Card

        measured = Card.load(open_artifact(config.tagger.path, "tagger").directory).measured
    outputs.metrics.update(
        {f"tagger_{name}_{key}": value for name, row in measured.items() for key, value in row.items()
         if math.isfinite(value)}
    )
    _report(config, measured, counts, outputs)


def filter_shard(records: list[Record], config: Config, models: Path) -> Mapped:
    """Tag the records of a shard; keep them with their scores, or set them aside with what was measured."""
    mapped = Mapped()
    all_tags = load_taggers(models, config.tagger).tag([record["text"] for record in records])
    for record, tags in zip(records, all_tags, strict=True):
        drop = decide(record["text"], tags, config)
        if drop:
            detail = {
                "value": round(drop.value, 4), "bound": drop.bound, "note": drop.note, "domain": tags.domain,
                "scores": {name: round(score, 4) for name, score in tags.scores.items()},
                "excerpt": record["text"][:EXCERPT],
            }  # fmt: skip
            mapped.reject(record, drop.reason, json.dumps(detail, ensure_ascii=False))
            continue
        weight = sampling_weight(tags.domain, tags.scores, config)
        scores = {**tags.scores, "sampling_weight": weight}
        mapped.kept.append(record | {"language": tags.language, "domain": tags.domain, "scores": scores})
        mapped.counts[f"domain_{tags.domain}"] += 1
    return mapped


def _report(
    config: Config, measured: Mapping[str, Mapping[str, float]], counts: Counter[str], outputs: Outputs
) -> None:
    report = outputs.report
    kept = list(islice(_kept(outputs), REPORTED))
    rejected = list(islice(_rejected(outputs), REPORTED))
    reasons = sorted(name for name in counts if name.startswith("rejected_"))
    report.table("Funnel", ["", "documents"], [
        ["read", counts["documents"] + counts["rejected"]],
        *([name.removeprefix("rejected_"), counts[name]] for name in reasons),
        ["kept", counts["documents"]],
    ])  # fmt: skip
    seeds = config.tagger.kind == "fasttext" and not config.labels.documents.path
    report.text(
        "The taggers",
        f"{'fastText, trained in this stage' if config.tagger.kind == 'fasttext' else config.tagger.path}. "
        + ("They learned from a small seed set of made-up samples, enough to start and no more: label documents "
           "of your own for serious use. " if seeds else "")
        + "The table is of labelled texts that they had not learned from. kappa: agreement with the labels beyond "
        "chance, quadratically weighted. Errors: how far scores are from the mean label, before and after calibration.",
    )  # fmt: skip
    columns = ("texts", "accuracy", "kappa", "error", "calibrated_error")
    rows = [[name, *(row.get(key) if math.isfinite(row.get(key, 0.0)) else None for key in columns)]
            for name, row in measured.items()]  # fmt: skip
    report.table("Held-out labels", ["tagger", *(name.replace("_", " ") for name in columns)], rows)
    _report_sampling(config, kept, report)
    for name in SCORES:
        sides = {"kept": [record["scores"][name] for record in kept],
                 "dropped": [record["detail"]["scores"][name] for record in rejected]}  # fmt: skip
        shown = {side: values for side, values in sides.items() if values}
        report.histogram(f"{name} of kept and dropped documents", shown, name)
    report.samples("At the edges: kept and dropped", [*_edges(config, kept, rejected)])
    report.samples("At the edges: sampled more and less", [*_weight_edges(config, kept)])


def _report_sampling(config: Config, kept: Sequence[Record], report: Report) -> None:
    """What sampling makes of the classes."""
    number, weight = Counter[str](), Counter[str]()
    for record in kept:
        number[record["domain"]] += 1
        weight[record["domain"]] += record["scores"]["sampling_weight"]
    documents, total = max(number.total(), 1), sum(weight.values()) or 1.0
    rows = [[name, count, config.domain_weights.get(name, 1.0), weight[name] / count, count / documents,
             weight[name] / total] for name, count in number.most_common()]  # fmt: skip
    headings = ["class", "documents", "its weight", "mean weight", "share of documents", "share of samples"]
    report.table("What sampling makes of the classes", headings, rows)
    report.bars("Share of samples by class", {name: weight[name] / total for name, _ in number.most_common()}, "share")


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


def _weight_edges(config: Config, kept: Sequence[Record]) -> Iterator[tuple[str, str]]:
    """For each bound of `score_weights` the documents just below and just above it."""
    for name, bound in sorted({(rule.score, bound) for rule in config.score_weights
                               for bound in (rule.below, rule.above) if bound is not None}):  # fmt: skip
        near = sorted(kept, key=lambda record: (abs(record["scores"][name] - bound), record["id"]))
        for side in (True, False):
            for record in [one for one in near if (one["scores"][name] < bound) == side][:EDGE_SAMPLES]:
                value, weight = record["scores"][name], record["scores"]["sampling_weight"]
                where = f"{'below' if side else 'above'} {name} {bound:g}"
                title = f"{where}: {value:.3f}, weight {weight:.2g} · {record['url'] or record['id']}"
                yield title, record["text"][:EXCERPT]
