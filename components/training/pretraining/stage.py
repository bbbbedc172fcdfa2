"""One pretraining stage: next-token and MTP loss over one mixture's packed rows (report, sections 2.2 and 2.3)."""

from __future__ import annotations

import numpy as np
import torch

from components.artifacts import Artifact
from components.config import ConfigError
from components.model.checkpoint import load_model
from components.model.config import MiMoConfig
from components.model.modeling import MiMoForCausalLM
from components.runner import Outputs
from components.training.export import export
from components.training.held_out import measure_held_out
from components.training.loop import Plan, open_rows, prepare, train
from components.training.packing import TokenRows
from components.training.pretraining.config import Config
from components.training.report import report_held_out, report_training
from components.training.schedule import step_rows


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Train on every row of `tokens` once, in order: the mixture already is in random order.

    Raises:
        ConfigError: neither a model nor a tokenizer to start from.
        ArtifactError: rows longer than the context, or of another vocabulary.
    """
    model, source, tokens_before = _start(config, inputs)
    rows, held_out = (open_rows(inputs[name], model.config) for name in ("tokens", "held_out"))
    model = prepare(model, config.compute)
    plan = Plan(
        rows=rows,
        order=np.arange(len(rows)),
        step_rows=_step_rows(config, rows),
        learning_rate=config.learning_rate,
        training=config,
        micro_rows=max(1, config.micro_batch_tokens // rows.sequence_length),
        mtp_heads=tuple(range(len(model.model.mtp_layers))),
        mtp_weight=config.mtp_weight,
        mtp_weight_decayed=config.mtp_weight_decayed,
    )
    history = train(model, plan, outputs)
    report_training(outputs, history)
    report_held_out(outputs, measure_held_out(model, held_out))
    seen = len(rows) * rows.sequence_length
    parameters = sum(parameter.numel() for parameter in model.parameters())
    totals = {"parameters": parameters, "tokens": seen, "tokens_in_all": seen + tokens_before}
    export(model, source.directory, outputs, totals)


def _start(config: Config, inputs: dict[str, Artifact]) -> tuple[MiMoForCausalLM, Artifact, int]:
    """The model to train, the artifact with its tokenizer, and the tokens it has seen."""
    if "model" in inputs:
        given = inputs["model"]
        model = load_model(
            given.directory, rope_theta=config.rope_theta, max_position_embeddings=config.max_position_embeddings
        )
        return model, given, int(given.manifest.totals.get("tokens_in_all", 0))
    if "tokenizer" not in inputs:
        raise ConfigError("pretraining: give `tokenizer` to start a model, or `model` to continue one")
    torch.manual_seed(config.seed)
    tokenizer = inputs["tokenizer"]
    shape = MiMoConfig(
        vocab_size=int(tokenizer.manifest.totals["padded_vocab_size"]),
        rope_theta=config.rope_theta,
        max_position_embeddings=config.max_position_embeddings,
        **config.shape.model_dump(),
    )
    return MiMoForCausalLM(shape), tokenizer, 0


def _step_rows(config: Config, rows: TokenRows) -> list[int]:
    per_step = max(1, config.batch_tokens // rows.sequence_length)
    first = max(1, config.first_batch_tokens // rows.sequence_length) if config.first_batch_tokens else None
    return step_rows(len(rows), per_step, first=first, ramp_rows=round(config.ramp_share * len(rows)))
