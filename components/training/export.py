"""The end of a training stage: the weights, gathered from all processes, as a Hugging Face directory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from components.artifacts import describe_shard
from components.data.documents import REJECTED_SCHEMA, Record, write_parquet
from components.model.checkpoint import describe_checkpoint, save_checkpoint
from components.model.modeling import MiMoForCausalLM
from components.runner import Outputs
from components.training.parallel import full_state


def export(
    model: MiMoForCausalLM, tokenizer: Path, outputs: Outputs, totals: Mapping[str, int | float | str],
    rejected: Sequence[Record] = (),
) -> None:  # fmt: skip
    """Finish output `model`. All processes must call it; the leader writes.

    Args:
        tokenizer: directory with the tokenizer's files.
        rejected: rows of `REJECTED_SCHEMA` to keep beside the weights.
    """
    weights = full_state(model)
    if not outputs.leader:
        return
    directory = outputs.directory("model")
    save_checkpoint(model, directory, tokenizer, weights=weights)
    shards = describe_checkpoint(directory)
    if rejected:
        path = directory / "rejected" / "part-00000.parquet"
        write_parquet(path, rejected, REJECTED_SCHEMA)
        shards.append(describe_shard(directory, path, len(rejected), role="rejected"))
    outputs.finish("model", "checkpoint", shards, totals)
