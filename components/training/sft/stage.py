"""Supervised fine-tuning on conversations (report, section 3.1): loss on responses only, MTP head trained along."""

from __future__ import annotations

from collections import Counter
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from components.artifacts import Artifact, ArtifactError
from components.config import ConfigError
from components.data.documents import read_documents
from components.model.checkpoint import load_config, load_model, load_tokenizer
from components.problems import read_problems
from components.runner import Outputs
from components.training.export import export
from components.training.loop import Plan, prepare, train
from components.training.packing import TokenRows, efficiency, write_rows
from components.training.parallel import this_world
from components.training.report import report_training
from components.training.schedule import Piece, step_rows
from components.training.sft.config import Config
from components.training.sft.conversations import Encoded, Record, clean, encode, pack_conversations, set_aside

ROWS, TARGETS = "rows-00000.npy", "targets.npy"


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Train the model of input `model` on the cleaned conversations.

    Raises:
        ArtifactError: no conversation is left after cleaning.
        ConfigError: rows longer than the model's context.
    """
    source = inputs["model"].directory
    context = load_config(source).max_position_embeddings
    if config.sequence_length > context:
        raise ConfigError(f"sequence_length is {config.sequence_length}, the context of {source} is {context}")
    kept, rejected = _write_rows(config, inputs, outputs) if outputs.leader else ([], [])
    this_world().wait()   # for the leader's rows
    rows = TokenRows([outputs.work / ROWS])
    targets = np.load(outputs.work / TARGETS, mmap_mode="r")

    model = prepare(load_model(source), config.compute)
    order = _order(len(rows), config)
    warmup = max(config.warmup_share, 1e-9)
    plan = Plan(
        rows=rows,
        order=order,
        step_rows=step_rows(len(order), config.rows_per_step),
        learning_rate=(
            Piece(tokens=warmup, start=0.0, end=config.learning_rate, shape="linear"),
            Piece(tokens=1 - warmup, start=config.learning_rate, end=config.learning_rate),
        ),
        training=config,
        micro_rows=config.micro_rows,
        mtp_heads=tuple(range(len(model.model.mtp_layers))),
        mtp_weight=config.mtp_weight,
        mtp_weight_decayed=config.mtp_weight,
        targets=targets,
    )
    report_training(outputs, train(model, plan, outputs))
    _report_data(outputs, kept, rejected)
    totals = {
        "conversations": len(kept),
        "rejected": len(rejected),
        "tokens": len(order) * config.sequence_length,
        "response_tokens_per_epoch": int(targets.sum()),
    }
    export(model, source, outputs, totals, rejected)


def _write_rows(
    config: Config, inputs: dict[str, Artifact], outputs: Outputs
) -> tuple[list[Record], list[dict[str, str]]]:
    """Write the packed rows and their targets; the conversations in them, and those set aside."""
    tokenizer = load_tokenizer(inputs["model"].directory)
    prompts = [problem.prompt for problem in read_problems(inputs["evaluation"].paths())]
    kept, rejected = clean(read_documents(inputs["conversations"]), prompts, config)
    kept, encoded, too_long = _that_fit(kept, encode(kept, tokenizer), config.sequence_length)
    rejected += too_long
    if not kept:
        counts = ", ".join(f"{reason} {count}" for reason, count in _reasons(rejected))
        where = inputs["conversations"].directory
        raise ArtifactError(f"{where}: no conversation is left after cleaning: {counts or 'there were none'}")
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    rows, targets, members = pack_conversations(encoded, config.sequence_length, padding)
    write_rows(outputs.work, 0, rows, [[kept[index]["id"] for index in row] for row in members])
    np.save(outputs.work / TARGETS, targets)
    outputs.metrics["packing_efficiency"] = efficiency(rows)
    return kept, rejected


def _that_fit(
    records: list[Record], encoded: list[Encoded], sequence_length: int
) -> tuple[list[Record], list[Encoded], list[dict[str, str]]]:
    """Conversations that fit a row, their tokens, and the others set aside."""
    fits = [len(item.tokens) <= sequence_length for item in encoded]
    too_long = [
        set_aside(record, "too_long", f"{len(item.tokens)} tokens, a row has {sequence_length}")
        for record, item, fit in zip(records, encoded, fits, strict=True) if not fit
    ]  # fmt: skip
    return list(compress(records, fits)), list(compress(encoded, fits)), too_long


def _order(rows: int, config: Config) -> NDArray[np.int64]:
    """Row numbers in training order: every epoch in its own random order, the last one cut short if not whole."""
    wanted = max(1, round(rows * config.epochs))
    epochs = [np.random.default_rng([config.seed, epoch]).permutation(rows) for epoch in range(-(-wanted // rows))]
    return np.concatenate(epochs)[:wanted]


def _report_data(outputs: Outputs, kept: list[Record], rejected: list[dict[str, str]]) -> None:
    reasons = _reasons(rejected)
    outputs.report.table("Conversations", ["", "number"], [("trained on", len(kept)), *reasons])
    outputs.metrics["conversations"] = float(len(kept))
    outputs.metrics.update({f"rejected_{reason}": float(count) for reason, count in reasons})
    outputs.report.samples("Conversations trained on", [(record["id"], _text(record)) for record in kept[:3]])
    outputs.report.samples("Set aside", [(record["reason"], record["detail"]) for record in rejected[:5]])


def _reasons(rejected: list[dict[str, str]]) -> list[tuple[str, int]]:
    """How many conversations were set aside for each reason."""
    return sorted(Counter(record["reason"] for record in rejected).items())


def _text(record: Record) -> str:
    return "\n".join(f"{message['role']}: {message['content']}" for message in record["messages"])
