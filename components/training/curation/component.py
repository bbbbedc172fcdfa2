"""The KFP face of curation."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="mimo-train", install_kfp_package=False)
def curation(
    config: dict,
    store: str,
    model: Input[Model],
    problems: Input[Dataset],
    evaluation: Input[Dataset],
    problems_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Clean, verify and measure the RL problems.

    Args:
        config: the stage's config; `mimo stage curation --help` lists its keys.
        store: the directory of results that every task mounts.
        model: checkpoint.
        problems: problems.
        evaluation: problems.
        problems_out: problems.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"model": model, "problems": problems, "evaluation": evaluation}
    outputs = {"problems": problems_out}
    run_stage("curation", config, store, inputs, outputs, metrics, report)
