"""Supervised fine-tuning on conversations (report, section 3.1): loss on responses only, MTP head trained along."""

from __future__ import annotations

from collections import Counter
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from components.artifacts import Artifact, ArtifactError, describe_shard
from components.config import ConfigError
from components.data.documents import REJECTED_SCHEMA, read_documents, write_parquet
from components.model.checkpoint import describe_checkpoint, load_config, load_model, load_tokenizer, save_checkpoint
from components.problems import read_problems
from components.runner import Outputs
from components.training.device import pick_device
from components.training.loop import Plan, train
from components.training.packing import TokenRows, efficiency, write_rows
from components.training.report import report_training
from components.training.schedule import Piece, step_rows
from components.training.sft.config import Config
from components.training.sft.conversations import Encoded, Record, clean, encode, pack_conversations, set_aside


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
    tokenizer = load_tokenizer(source)
    prompts = [problem.prompt for problem in read_problems(inputs["evaluation"].paths())]
    kept, rejected = clean(read_documents(inputs["conversations"]), prompts, config)
    kept, encoded, too_long = _that_fit(kept, encode(kept, tokenizer), config.sequence_length)
    rejected += too_long
    if not kept:
        counts = ", ".join(f"{reason} {count}" for reason, count in _reasons(rejected))
        where = inputs["conversations"].directory
        raise ArtifactError(f"{where}: no conversation is left after cleaning: {counts or 'there were none'}")
    padding = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    rows, targets = pack_conversations(encoded, config.sequence_length, padding)
    packed = TokenRows([write_rows(outputs.work, 0, rows)])

    model = load_model(source).to(pick_device())
    order = _order(len(rows), config)
    warmup = max(config.warmup_share, 1e-9)
    plan = Plan(
        rows=packed,
        order=order,
        step_rows=step_rows(len(order), config.rows_per_step),
        learning_rate=(
            Piece(tokens=warmup, start=0.0, end=config.learning_rate, shape="linear"),
            Piece(tokens=1 - warmup, start=config.learning_rate, end=config.learning_rate),
        ),
        optimizer=config.optimizer,
        micro_rows=config.micro_rows,
        mtp_heads=tuple(range(len(model.model.mtp_layers))),
        mtp_weight=config.mtp_weight,
        mtp_weight_decayed=config.mtp_weight,
        targets=targets,
        save_every_s=config.save_every_s,
    )
    report_training(outputs, train(model, plan, outputs))
    _report_data(outputs, kept, rejected, efficiency(rows))
    directory = outputs.directory("model")
    save_checkpoint(model, directory, source)
    shards = describe_checkpoint(directory)
    if rejected:
        path = directory / "rejected" / "part-00000.parquet"
        write_parquet(path, rejected, REJECTED_SCHEMA)
        shards.append(describe_shard(directory, path, len(rejected), role="rejected"))
    totals = {
        "conversations": len(kept),
        "rejected": len(rejected),
        "tokens": len(order) * config.sequence_length,
        "response_tokens_per_epoch": int(targets.sum()),
    }
    outputs.finish("model", "checkpoint", shards, totals)


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


def _report_data(outputs: Outputs, kept: list[Record], rejected: list[dict[str, str]], packing: float) -> None:
    reasons = _reasons(rejected)
    outputs.report.table("Conversations", ["", "number"], [("trained on", len(kept)), *reasons])
    outputs.metrics["conversations"] = float(len(kept))
    outputs.metrics.update({f"rejected_{reason}": float(count) for reason, count in reasons})
    outputs.metrics["packing_efficiency"] = packing
    outputs.report.samples("Conversations trained on", [(record["id"], _text(record)) for record in kept[:3]])
    outputs.report.samples("Set aside", [(record["reason"], record["detail"]) for record in rejected[:5]])


def _reasons(rejected: list[dict[str, str]]) -> list[tuple[str, int]]:
    """How many conversations were set aside for each reason."""
    return sorted(Counter(record["reason"] for record in rejected).items())


def _text(record: Record) -> str:
    return "\n".join(f"{message['role']}: {message['content']}" for message in record["messages"])
