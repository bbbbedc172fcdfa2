"""MTP tuning (report, section 2.2): copy the trained head, freeze trunk and first head, train the copies.

A model without a head, such as a Qwen2, gets new ones.

Head k predicts the token k + 1 places on; the acceptance of each on held-out text is the number that predicts how much
speculative decoding gains.
"""

from __future__ import annotations

import numpy as np
import torch

from components.artifacts import Artifact
from components.config import ConfigError
from components.model.checkpoint import load_config, load_model
from components.runner import Outputs
from components.training.export import export
from components.training.held_out import measure_held_out
from components.training.loop import Plan, open_rows, prepare, train
from components.training.mtp_tuning.config import Config
from components.training.report import report_held_out, report_training
from components.training.schedule import step_rows


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make a checkpoint with `config.heads` heads; trunk and first head are unchanged, bit for bit.

    Raises:
        ConfigError: the model has as many heads as are wanted, or more.
    """
    source = inputs["model"].directory
    trained = load_config(source).num_nextn_predict_layers
    if trained >= config.heads:
        raise ConfigError(f"{source}: has {trained} MTP heads already; tuning makes {config.heads} of fewer")
    torch.manual_seed(config.seed)   # of heads that have none to be copied from
    model = load_model(source, mtp_heads=config.heads)
    model.requires_grad_(False)
    for layer in list(model.model.mtp_layers)[trained:]:
        layer.requires_grad_(True)
    model = prepare(model, config.compute)
    rows, held_out = (open_rows(inputs[name], model.config) for name in ("tokens", "held_out"))
    before = measure_held_out(model, held_out)
    number = max(1, min(len(rows), config.tokens // rows.sequence_length))
    plan = Plan(
        rows=rows,
        order=np.arange(number),
        step_rows=step_rows(number, max(1, config.batch_tokens // rows.sequence_length)),
        learning_rate=config.learning_rate,
        training=config,
        micro_rows=max(1, config.micro_batch_tokens // rows.sequence_length),
        mtp_heads=tuple(range(trained, config.heads)),
        mtp_weight=1.0,
        mtp_weight_decayed=1.0,
        train_main=False,
    )
    history = train(model, plan, outputs)
    report_training(outputs, history)
    after = measure_held_out(model, held_out)
    report_held_out(outputs, after, before)
    for kind in ("greedy", "sampled"):
        outputs.report.bars(
            f"Acceptance by head, {kind}",
            {f"head {head + 1}": after[f"mtp_{head + 1}_{kind}"] for head in range(config.heads)}, "share of drafts",
        )  # fmt: skip
    export(model, source, outputs, {"heads": config.heads, "tokens": number * rows.sequence_length})
