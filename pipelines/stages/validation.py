"""The first task of every pipeline: refuses a wrong config before any pod with a GPU starts."""

from typing import Optional

from kfp import dsl


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def validate(
    stages: dict,
    ingestion: Optional[dict] = None,  # noqa: UP045 - KFP reads no `X | None` here
    extraction: Optional[dict] = None,  # noqa: UP045
    deduplication: Optional[dict] = None,  # noqa: UP045
    filtering: Optional[dict] = None,  # noqa: UP045
    problems: Optional[dict] = None,  # noqa: UP045
    decontamination: Optional[dict] = None,  # noqa: UP045
    synthesis: Optional[dict] = None,  # noqa: UP045
    mixing: Optional[dict] = None,  # noqa: UP045
    pretraining_1: Optional[dict] = None,  # noqa: UP045
    pretraining_2: Optional[dict] = None,  # noqa: UP045
    pretraining_3: Optional[dict] = None,  # noqa: UP045
    mtp_tuning: Optional[dict] = None,  # noqa: UP045
    sft: Optional[dict] = None,  # noqa: UP045
    curation: Optional[dict] = None,  # noqa: UP045
    rl_zero: Optional[dict] = None,  # noqa: UP045
    rl: Optional[dict] = None,  # noqa: UP045
    evaluation_base: Optional[dict] = None,  # noqa: UP045
    evaluation_sft: Optional[dict] = None,  # noqa: UP045
    evaluation_rl_zero: Optional[dict] = None,  # noqa: UP045
    evaluation_rl: Optional[dict] = None,  # noqa: UP045
    gate: Optional[dict] = None,  # noqa: UP045
    publishing: Optional[dict] = None,  # noqa: UP045
) -> None:
    """Check the configs of all nodes that this run has.

    Args:
        stages: node -> the stage it runs.
    """
    configs = {name: value for name, value in locals().items() if name != "stages"}
    from components.kfp_entry import validate_configs

    validate_configs(stages, configs)
