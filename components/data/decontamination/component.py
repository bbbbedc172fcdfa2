"""The KFP face of decontamination."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def decontamination(
    config: dict,
    store: str,
    documents: Input[Dataset],
    evaluation: Input[Dataset],
    documents_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """N-gram overlap with evaluation out.

    Args:
        config: the stage's config; `mimo stage decontamination --help` lists its keys.
        store: the directory of results that every task mounts.
        documents: documents.
        evaluation: problems.
        documents_out: documents.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"documents": documents, "evaluation": evaluation}
    outputs = {"documents": documents_out}
    run_stage("decontamination", config, store, inputs, outputs, metrics, report)
