"""The KFP face of problems."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def problems(
    config: dict,
    store: str,
    train_out: Output[Dataset],
    evaluation_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Math and code problems, train and evaluation disjoint.

    Args:
        config: the stage's config; `mimo stage problems --help` lists its keys.
        store: the directory of results that every task mounts.
        train_out: problems.
        evaluation_out: problems.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    run_stage("problems", config, store, {}, {"train": train_out, "evaluation": evaluation_out}, metrics, report)
