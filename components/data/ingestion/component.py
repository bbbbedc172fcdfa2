"""The KFP face of ingestion."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Metrics, Output


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def ingestion(
    config: dict,
    store: str,
    pages_out: Output[Dataset],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """WARC, folders, Parquet, JSONL, datasets -> pages.

    Args:
        config: the stage's config; `mimo stage ingestion --help` lists its keys.
        store: the directory of results that every task mounts.
        pages_out: pages.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    run_stage("ingestion", config, store, {}, {"pages": pages_out}, metrics, report)
