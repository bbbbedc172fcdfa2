"""The KFP face of deduplication."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def deduplication(
    config: dict,
    store: str,
    documents: Input[Dataset],
    documents_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Global URL and MinHash deduplication.

    Args:
        config: the stage's config; `mimo stage deduplication --help` lists its keys.
        store: the directory of results that every task mounts.
        documents: documents.
        documents_out: documents.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    run_stage("deduplication", config, store, {"documents": documents}, {"documents": documents_out}, metrics, report)
