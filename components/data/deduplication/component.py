"""The KFP face of deduplication."""

from typing import Optional

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def deduplication(
    config: dict,
    store: str,
    documents: Input[Dataset],
    documents_out: Output[Dataset],
    index_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
    index: Optional[Input[Dataset]] = None,  # noqa: UP045 - KFP reads no `X | None` here
) -> None:
    """Global URL and MinHash deduplication.

    Args:
        config: the stage's config; `mimo stage deduplication --help` lists its keys.
        store: the directory of results that every task mounts.
        documents: documents.
        index: optional deduplication_index, of earlier dumps.
        documents_out: documents.
        index_out: deduplication_index, with these documents.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"documents": documents, "index": index}
    outputs = {"documents": documents_out, "index": index_out}
    run_stage("deduplication", config, store, inputs, outputs, metrics, report)
