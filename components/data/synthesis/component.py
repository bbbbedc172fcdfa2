"""The KFP face of synthesis."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def synthesis(
    config: dict,
    store: str,
    documents: Input[Dataset],
    problems: Input[Dataset],
    documents_out: Output[Dataset],
    conversations_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Verified reasoning data by the three routes.

    Args:
        config: the stage's config; `mimo stage synthesis --help` lists its keys.
        store: the directory of results that every task mounts.
        documents: documents.
        problems: problems.
        documents_out: documents.
        conversations_out: conversations.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"documents": documents, "problems": problems}
    outputs = {"documents": documents_out, "conversations": conversations_out}
    run_stage("synthesis", config, store, inputs, outputs, metrics, report)
