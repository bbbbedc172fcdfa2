"""The KFP face of tagger."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Output


@dsl.component(base_image="mimo-train", install_kfp_package=False)
def tagger(
    config: dict,
    store: str,
    labels: Input[Dataset],
    tagger_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """A small language model learns to judge documents.

    Args:
        config: the stage's config; `mimo stage tagger --help` lists its keys.
        store: the directory of results that every task mounts.
        labels: labels.
        tagger_out: tagger.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    run_stage("tagger", config, store, {"labels": labels}, {"tagger": tagger_out}, metrics, report)
