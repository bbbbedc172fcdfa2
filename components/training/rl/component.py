"""The KFP face of rl."""

from kfp import dsl
from kfp.dsl import HTML, Dataset, Input, Metrics, Model, Output


@dsl.component(base_image="mimo-train", install_kfp_package=False)
def rl(
    config: dict,
    store: str,
    model: Input[Model],
    problems: Input[Dataset],
    model_out: Output[Model],
    metrics: Output[Metrics],
    report: Output[HTML],
) -> None:
    """Modified GRPO on the seamless rollout engine.

    Args:
        config: the stage's config; `mimo stage rl --help` lists its keys.
        store: the directory of results that every task mounts.
        model: checkpoint.
        problems: problems.
        model_out: checkpoint.
        metrics: flat numbers.
        report: a page with plots and samples.
    """
    from components.kfp_entry import run_stage

    run_stage("rl", config, store, {"model": model, "problems": problems}, {"model": model_out}, metrics, report)
