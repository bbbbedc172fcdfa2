"""The KFP face of extraction."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def extraction(
    config: dict,
    store: str,
    pages: Input[Dataset],
    documents_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """HTML -> Markdown with formulas, code and threads.

    Args:
        config: the stage's config; `mimo stage extraction --help` lists its keys.
        store: the directory of results that every task mounts.
        pages: pages.
        documents_out: documents.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    run_stage("extraction", config, store, {"pages": pages}, {"documents": documents_out}, metrics, report)
