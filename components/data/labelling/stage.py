"""The labelling stage: a teacher rates documents by a rubric; taggers learn from that; the report says how they agree.

Answers are kept as they come, so a killed stage asks only for what it had not received.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from components.artifacts import Artifact, ArtifactError, describe_shard, write_text
from components.data.documents import Record, read_documents
from components.data.endpoint import RecordedTeacher, open_endpoint, open_journal
from components.data.labelling.config import Config
from components.data.labelling.rubric import INSTRUCTIONS, Rating, messages, read_rating
from components.data.quality.agreement import kappa, weighted_kappa
from components.data.quality.calibration import levels
from components.data.quality.labels import DocumentLabel, document_labels
from components.data.quality.taxonomy import DOMAINS, LEVELS, QUALITIES
from components.data.teacher import Generation, Teacher
from components.model.chat_template import SPECIAL_TOKENS
from components.runner import Outputs

LABELS = "labels.jsonl"
EXCERPT = 1500
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Rated:
    """A document and what the teacher said of it; `ratings` is empty where no answer could be read."""

    record: Record
    ratings: list[Rating]
    generations: list[Generation]
    flaws: list[str]


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the output `labels`: `labels.jsonl`, one document a line with its class and levels / 5.

    Raises:
        ConfigError: no key for the endpoint, or a reference that cannot be used.
        TeacherError: the endpoint cannot be used; received answers are kept for the next start.
        ArtifactError: not a single document could be labelled.
    """
    reference = document_labels(Path(config.reference.path)) if config.reference.path else []
    records = draw(read_documents(inputs["documents"]), config.documents, config.seed)
    usable = [record for record in records if not any(token in record["text"] for token in SPECIAL_TOKENS)]
    known = [{"id": f"reference/{place}", "url": "", "text": label.text} for place, label in enumerate(reference)]
    rated = asyncio.run(_ask([*usable, *known], config, outputs))
    labelled = [one for one in rated[: len(usable)] if one.ratings]
    if not labelled:
        flaws = dict(Counter(flaw for one in rated for flaw in one.flaws))
        raise ArtifactError(f"labelling: no document could be labelled, of {len(records)}; answers: {flaws}")
    directory = outputs.directory("labels")
    lines = [json.dumps(label(one), ensure_ascii=False) + "\n" for one in labelled]
    write_text(directory / LABELS, "".join(lines))
    measured = {"repeated": repeated(labelled)} if config.answers > 1 else {}
    if reference:
        measured["reference"] = compared(rated[len(usable) :], reference)
    totals = _account(config, rated, len(records) - len(usable), outputs)
    outputs.metrics.update({f"{kind}_{name}": value for kind, row in measured.items() for name, value in row.items()
                            if math.isfinite(value)})  # fmt: skip
    _report(config, labelled, measured, totals, outputs)
    shards = [describe_shard(directory, directory / LABELS, len(lines))]
    outputs.finish("labels", "labels", shards, totals)


def draw(records: Iterable[Record], count: int, seed: int) -> list[Record]:
    """`count` records, each as likely as any other, whatever order they come in; held in memory: these only."""

    def rank(record: Record) -> bytes:
        return hashlib.sha256(f"{seed}/{record['id']}".encode()).digest()

    return heapq.nsmallest(count, (record for record in records if record["text"].strip()), key=rank)


async def _ask(records: Sequence[Record], config: Config, outputs: Outputs) -> list[Rated]:
    done = 0
    async with open_endpoint(config.endpoint) as client:
        with open_journal(outputs.work / "answers.journal.jsonl") as journal:
            teacher = RecordedTeacher(client, journal)

            async def one(record: Record) -> Rated:
                nonlocal done
                rated = await rate(record, teacher, config)
                done += 1
                outputs.progress.update(done, len(records), f"{done} of {len(records)} documents rated")
                return rated

            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(one(record)) for record in records]
            except ExceptionGroup as failures:  # the first failure ended the others
                raise failures.exceptions[0] from None
    outputs.metrics["endpoint_repeats"] = float(client.repeats)
    return [task.result() for task in tasks]


async def rate(record: Record, teacher: Teacher, config: Config) -> Rated:
    """Ask for ratings of one document."""
    question = messages(record["text"], config.characters)
    generations = await teacher.generate(record["id"], question, config.answers, config.seed)
    read = [read_rating(generation) for generation in generations]
    return Rated(
        record, [one for one in read if isinstance(one, Rating)], generations,
        [one for one in read if isinstance(one, str)],
    )  # fmt: skip


def label(rated: Rated) -> dict[str, str | float]:
    """A line of the label file: the commonest class (of equals the first named) and mean levels, from 0 to 1."""
    ratings = rated.ratings
    domain = Counter(rating.domain for rating in ratings).most_common(1)[0][0]
    mean = {
        name: round(sum(rating.levels[name] for rating in ratings) / len(ratings) / (LEVELS - 1), 4)
        for name in QUALITIES
    }
    return {"id": rated.record["id"], "domain": domain, **mean, "text": rated.record["text"]}


def repeated(rated: Sequence[Rated]) -> dict[str, float]:
    """How far the teacher agrees with itself: its first two ratings of each document."""
    pairs = [one.ratings[:2] for one in rated if len(one.ratings) > 1]
    found = {"texts": float(len(pairs)), "domain": kappa([a.domain for a, _ in pairs], [b.domain for _, b in pairs])}
    for name in QUALITIES:
        found[name] = weighted_kappa([a.levels[name] for a, _ in pairs], [b.levels[name] for _, b in pairs], LEVELS)
    return found


def compared(rated: Sequence[Rated], reference: Sequence[DocumentLabel]) -> dict[str, float]:
    """How far the teacher agrees with people, on what both rated."""
    pairs = [(label(one), right) for one, right in zip(rated, reference, strict=True) if one.ratings]
    classes = [(ours["domain"], right.domain) for ours, right in pairs if right.domain]
    found = {"texts": float(len(pairs)), "domain": kappa([a for a, _ in classes], [b for _, b in classes])}
    for name in QUALITIES:
        values = [(float(ours[name]), right.qualities[name]) for ours, right in pairs if name in right.qualities]
        found[name] = weighted_kappa(levels([a for a, _ in values]), levels([b for _, b in values]), LEVELS)
    return found


def _account(config: Config, rated: Sequence[Rated], forged: int, outputs: Outputs) -> dict[str, int | float | str]:
    generations = [generation for one in rated for generation in one.generations]
    prompt = sum(generation.prompt_tokens for generation in generations)
    completion = sum(generation.completion_tokens for generation in generations)
    totals: dict[str, int | float | str] = {
        "answers": len(generations),
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "rejected_control_token": forged,
        **{f"rejected_{name}": count for name, count in Counter(flaw for one in rated for flaw in one.flaws).items()},
    }
    outputs.metrics.update({name: float(value) for name, value in totals.items()})
    outputs.metrics["total_cost"] = config.endpoint.prices.cost(prompt, completion)
    return {**totals, "teacher": config.endpoint.model}


def _report(
    config: Config, labelled: Sequence[Rated], measured: Mapping[str, Mapping[str, float]],
    totals: Mapping[str, int | float | str], outputs: Outputs,
) -> None:  # fmt: skip
    report = outputs.report
    report.text("The teacher", f"{config.endpoint.model} at {config.endpoint.url}; asked:\n\n{INSTRUCTIONS}")
    report.table("Counts", ["", ""], [["documents labelled", len(labelled)], *map(list, totals.items())])
    names = {"repeated": "the teacher with itself", "reference": "the teacher with people"}
    columns = ("texts", "domain", *QUALITIES)
    report.table(
        "Agreement: Cohen's kappa of the class, quadratic weighted kappa of the levels",
        ["who with whom", *columns],
        [[names[kind], *(row[name] if math.isfinite(row[name]) else None for name in columns)]
         for kind, row in measured.items()],
    )  # fmt: skip
    rows = [label(one) for one in labelled]
    report.bars("Documents by class", {name: float(sum(row["domain"] == name for row in rows)) for name in DOMAINS},
                "documents")  # fmt: skip
    for name in QUALITIES:
        report.histogram(f"{name} as labelled", {name: [float(row[name]) for row in rows]}, name)
        ordered = sorted(rows, key=lambda row: (float(row[name]), str(row["id"])))
        report.samples(
            f"{name}: lowest and highest",
            [(f"{name} {float(row[name]):.2f}", str(row["text"])[:EXCERPT]) for row in (*ordered[:2], *ordered[-2:])],
        )
