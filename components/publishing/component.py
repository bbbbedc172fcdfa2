"""The KFP face of publishing."""

from typing import Optional

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="mimo-train", install_kfp_package=False)
def publishing(
    config: dict,
    store: str,
    base: Input[Model],
    sft: Input[Model],
    rl_zero: Input[Model],
    rl: Input[Model],
    base_results: Input[Dataset],
    sft_results: Input[Dataset],
    rl_zero_results: Input[Dataset],
    rl_results: Input[Dataset],
    decision: Input[Dataset],
    release_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
    mtp: Optional[Input[Model]] = None,  # noqa: UP045 - KFP reads no `X | None` here
) -> None:
    """Four Hugging Face directories with model cards.

    Args:
        config: the stage's config; `mimo stage publishing --help` lists its keys.
        store: the directory of results that every task mounts.
        base: checkpoint.
        sft: checkpoint.
        rl_zero: checkpoint.
        rl: checkpoint.
        mtp: optional checkpoint.
        base_results: evaluation.
        sft_results: evaluation.
        rl_zero_results: evaluation.
        rl_results: evaluation.
        decision: decision.
        release_out: release.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {
        "base": base, "sft": sft, "rl_zero": rl_zero, "rl": rl, "mtp": mtp, "base_results": base_results,
        "sft_results": sft_results, "rl_zero_results": rl_zero_results, "rl_results": rl_results, "decision": decision,
    }
    outputs = {"release": release_out}
    run_stage("publishing", config, store, inputs, outputs, metrics, report)
