"""One of the tasks that share a stage's jobs. The stage's own task, which comes after them, finishes its outputs."""

from typing import Optional

from kfp import dsl
from kfp.dsl import Dataset, Input


@dsl.component(base_image="mimo-data", install_kfp_package=False)
def share(
    stage: str,
    config: dict,
    store: str,
    rank: int,
    world_size: int,
    names: list,
    first: Optional[Input[Dataset]] = None,  # noqa: UP045 - KFP reads no `X | None` here
    second: Optional[Input[Dataset]] = None,  # noqa: UP045
) -> None:
    """Do every world_size-th job of a stage, beginning with number `rank`.

    Args:
        stage: the stage.
        config: the stage's config.
        store: the directory of results that every task mounts.
        rank: which of the tasks this is, from 0.
        world_size: how many there are.
        names: names of the stage's inputs: of `first`, then of `second`.
        first: an input of the stage.
        second: an input of the stage.
    """
    from components.kfp_entry import run_share

    run_share(stage, config, store, dict(zip(names, (first, second), strict=False)), rank, world_size)
