"""The KFP face of gate."""

from typing import Optional

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def gate(
    config: dict,
    store: str,
    base: Input[Dataset],
    sft: Input[Dataset],
    rl_zero: Input[Dataset],
    rl: Input[Dataset],
    decision_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
    baseline: Optional[Input[Dataset]] = None,  # noqa: UP045 - KFP reads no `X | None` here
) -> None:
    """Paired comparison with a baseline: promote or not.

    Args:
        config: the stage's config; `mimo stage gate --help` lists its keys.
        store: the directory of results that every task mounts.
        base: evaluation.
        sft: evaluation.
        rl_zero: evaluation.
        rl: evaluation.
        baseline: optional evaluation.
        decision_out: decision.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"base": base, "sft": sft, "rl_zero": rl_zero, "rl": rl, "baseline": baseline}
    outputs = {"decision": decision_out}
    run_stage("gate", config, store, inputs, outputs, metrics, report)
