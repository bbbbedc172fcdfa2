"""The KFP face of evaluation."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="mimo-train", install_kfp_package=False)
def evaluation(
    config: dict,
    store: str,
    model: Input[Model],
    problems: Input[Dataset],
    results_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Avg@k and pass@k with bootstrap intervals.

    Args:
        config: the stage's config; `mimo stage evaluation --help` lists its keys.
        store: the directory of results that every task mounts.
        model: checkpoint.
        problems: problems.
        results_out: evaluation.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"model": model, "problems": problems}
    outputs = {"results": results_out}
    run_stage("evaluation", config, store, inputs, outputs, metrics, report)
