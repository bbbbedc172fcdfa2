"""The KFP face of mixing."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def mixing(
    config: dict,
    store: str,
    documents: Input[Dataset],
    synthetic: Input[Dataset],
    tokenizer_out: Output[Dataset],
    stage_1_out: Output[Dataset],
    stage_2_out: Output[Dataset],
    stage_3_out: Output[Dataset],
    held_out_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Tokenizer and packed token rows for the three stages.

    Args:
        config: the stage's config; `mimo stage mixing --help` lists its keys.
        store: the directory of results that every task mounts.
        documents: documents.
        synthetic: documents.
        tokenizer_out: tokenizer.
        stage_1_out: tokens.
        stage_2_out: tokens.
        stage_3_out: tokens.
        held_out_out: tokens.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"documents": documents, "synthetic": synthetic}
    outputs = {
        "tokenizer": tokenizer_out, "stage_1": stage_1_out, "stage_2": stage_2_out, "stage_3": stage_3_out,
        "held_out": held_out_out,
    }
    run_stage("mixing", config, store, inputs, outputs, metrics, report)
