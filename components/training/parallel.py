"""The processes that train one model together: one on a laptop, one a GPU on many machines. One code path for all.

- `joined`       start and end of a process's part in it; torchrun tells who it is
- `this_world`   who this process is, and what it can say to the others
- `shard`        FSDP2: weights, gradients and optimizer state split over the processes, or over groups of them (HSDP)
- `full_state`   the whole weights again, on the leader

A process that nobody started beside others is a world of its own; nothing is split and nothing is sent then.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard, register_fsdp_forward_method

from components.config import ConfigError
from components.model.modeling import MiMoForCausalLM

PATIENCE = timedelta(hours=6)   # what one process may prepare while the others wait


@dataclass(frozen=True)
class World:
    """A process among `size`. The leader, rank 0, is the one that writes."""

    rank: int = 0
    size: int = 1

    @property
    def leader(self) -> bool:
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """The sum over all processes, of equal shape in each; in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def agree(self, flag: bool) -> bool:
        """The leader's flag, in every process."""
        if self.size == 1:
            return flag
        told = torch.tensor([flag and self.leader], dtype=torch.int64)
        return bool(self.sum(told))

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def wait(self) -> None:
        """Until all processes are here."""
        self.agree(True)


def this_world() -> World:
    return World(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else World()


@contextmanager
def joined() -> Iterator[World]:
    """Join the processes that torchrun started with this one; alone where it was not started by torchrun."""
    if "WORLD_SIZE" not in os.environ:
        yield World()
        return
    backend = "gloo"   # for what lies in memory; tensors on GPUs go through NCCL
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=PATIENCE)
    try:
        yield this_world()
    finally:
        dist.destroy_process_group()


def shard(model: MiMoForCausalLM, device: torch.device, group: int = 0) -> None:
    """Move `model` to `device` and split it over the processes, layer by layer; every process must hold equal weights.

    Args:
        group: processes that hold one copy together; such groups hold copies (HSDP). 0: all hold one.

    Raises:
        ConfigError: the processes do not divide into such groups.
    """
    size = this_world().size
    group = group or size
    if size % group:
        raise ConfigError(f"compute.shard_group is {group}; it must divide the number of processes, {size}")
    if size == 1:
        model.to(device)
        return
    if group == size:
        mesh = init_device_mesh(device.type, (size,), mesh_dim_names=("shard",))
    else:
        mesh = init_device_mesh(device.type, (size // group, group), mesh_dim_names=("copy", "shard"))
    policy = MixedPrecisionPolicy(   # masters stay in float32; rotary angles must, so inputs are not cast
        param_dtype=torch.bfloat16 if device.type == "cuda" else None, reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )  # fmt: skip
    for module in [*model.model.layers, *model.model.mtp_layers, model]:
        fully_shard(module, mesh=mesh, mp_policy=policy)
    register_fsdp_forward_method(model, "losses")
    for module in model.modules():
        if isinstance(module, FSDPModule):   # losses are divided by the targets of all processes already
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)


def last_micro_batch(model: nn.Module, last: bool) -> None:
    """Say whether gradients go to the other copies of the model (HSDP) now, or are added up first."""
    if isinstance(model, FSDPModule):
        model.set_requires_all_reduce(last)


def split_again(model: nn.Module) -> None:
    """Undo what a forward pass without a backward one leaves whole."""
    if isinstance(model, FSDPModule):
        model.reshard()


def full_state(model: nn.Module) -> dict[str, Tensor]:
    """The whole weights in the leader's memory; empty in other processes. All must call it."""
    if this_world().size == 1:
        return model.state_dict()
    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    whole: dict[str, Any] = get_model_state_dict(model, options=options)
    return whole
