"""The KFP face of mtp_tuning."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="mimo-train", install_kfp_package=False)
def mtp_tuning(
    config: dict,
    store: str,
    model: Input[Model],
    tokens: Input[Dataset],
    held_out: Input[Dataset],
    model_out: Output[Model],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Two more MTP heads for speculative decoding.

    Args:
        config: the stage's config; `mimo stage mtp_tuning --help` lists its keys.
        store: the directory of results that every task mounts.
        model: checkpoint.
        tokens: tokens.
        held_out: tokens.
        model_out: checkpoint.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"model": model, "tokens": tokens, "held_out": held_out}
    outputs = {"model": model_out}
    run_stage("mtp_tuning", config, store, inputs, outputs, metrics, report)
