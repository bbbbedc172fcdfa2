"""The KFP face of labelling."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def labelling(
    config: dict,
    store: str,
    documents: Input[Dataset],
    labels_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """A teacher rates documents by a rubric.

    Args:
        config: the stage's config; `mimo stage labelling --help` lists its keys.
        store: the directory of results that every task mounts.
        documents: documents.
        labels_out: labels.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    run_stage("labelling", config, store, {"documents": documents}, {"labels": labels_out}, metrics, report)
