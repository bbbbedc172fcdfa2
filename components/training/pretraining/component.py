"""The KFP face of pretraining."""

from typing import Optional

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="mimo-train", install_kfp_package=False)
def pretraining(
    config: dict,
    store: str,
    tokens: Input[Dataset],
    held_out: Input[Dataset],
    model_out: Output[Model],
    metrics: Output[Metrics],
    report: Output[HTML],
    tokenizer: Optional[Input[Dataset]] = None,  # noqa: UP045 - KFP reads no `X | None` here
    model: Optional[Input[Model]] = None,  # noqa: UP045 - KFP reads no `X | None` here
) -> None:
    """Next-token and MTP loss on one mixture stage.

    Args:
        config: the stage's config; `mimo stage pretraining --help` lists its keys.
        store: the directory of results that every task mounts.
        tokens: tokens.
        held_out: tokens.
        tokenizer: optional tokenizer.
        model: optional checkpoint.
        model_out: checkpoint.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"tokens": tokens, "held_out": held_out, "tokenizer": tokenizer, "model": model}
    outputs = {"model": model_out}
    run_stage("pretraining", config, store, inputs, outputs, metrics, report)
