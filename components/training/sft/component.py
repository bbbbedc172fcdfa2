"""The KFP face of sft."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="mimo-train", install_kfp_package=False)
def sft(
    config: dict,
    store: str,
    model: Input[Model],
    conversations: Input[Dataset],
    evaluation: Input[Dataset],
    model_out: Output[Model],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Supervised fine-tuning on conversations.

    Args:
        config: the stage's config; `mimo stage sft --help` lists its keys.
        store: the directory of results that every task mounts.
        model: checkpoint.
        conversations: conversations.
        evaluation: problems.
        model_out: checkpoint.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    inputs = {"model": model, "conversations": conversations, "evaluation": evaluation}
    outputs = {"model": model_out}
    run_stage("sft", config, store, inputs, outputs, metrics, report)
