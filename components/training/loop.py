"""The training loop of pretraining, MTP tuning and SFT.

- `open_rows`  the rows of an artifact, checked against the model
- `prepare`    a model ready to train: on its device, compiled, split over the processes
- `Plan`       what to train on, in which order, how
- `train`      the loop

Each step: take the next rows, add up the gradients of the main and the MTP losses over micro-batches, clip, update,
write one line of metrics. The state is saved every so often; a run that was killed continues after its last state and
ends with the same weights on the same number of devices.

Shape suffixes: M micro-batches of a step, L losses.
"""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.artifacts import Artifact, ArtifactError, write_json
from components.config import ConfigError
from components.model.config import MiMoConfig
from components.model.modeling import MiMoForCausalLM
from components.runner import Outputs
from components.training.batches import MicroBatch, count_targets, micro_batches
from components.training.checkpoint import StateSaver, load_latest
from components.training.config import Compute, TrainingConfig
from components.training.device import peak_flops, pick_device
from components.training.metrics_log import open_log
from components.training.optimizer import Optimizer
from components.training.packing import TokenRows
from components.training.parallel import World, last_micro_batch, shard, this_world
from components.training.schedule import Piece, decay_begins, learning_rate

FLOAT8_PARAMETERS = 1_000_000_000   # below, scaling costs more than it saves (benchmarks/float8.md)
NAMED = 8   # rows that an error message names; a file names all


class NonFiniteError(RuntimeError):
    """The loss or gradient became infinite or NaN; names the step and the rows, so that they can be looked at."""


@dataclass(frozen=True)
class Plan:
    """What to train on, in which order, how.

    `order` lists row numbers; step i takes the next `step_rows[i]` of them. `targets` [rows, T] marks tokens that may
    be predicted (responses in SFT); all of them when None.
    """

    rows: TokenRows
    order: NDArray[np.int64]
    step_rows: Sequence[int]
    learning_rate: Sequence[Piece]
    training: TrainingConfig
    micro_rows: int
    mtp_heads: tuple[int, ...] = (0,)
    mtp_weight: float = 0.3
    mtp_weight_decayed: float = 0.1   # from where the learning rate begins to fall
    train_main: bool = True
    targets: NDArray[np.bool_] | None = None

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Rows taken before each step, and in all."""
        return np.concatenate([[0], np.cumsum(self.step_rows)])

    @property
    def shifts(self) -> list[int]:
        """How far ahead each loss looks: 1 is the main model's, 2 + k that of MTP head k."""
        return ([1] if self.train_main else []) + [head + 2 for head in self.mtp_heads]

    @property
    def loss_names(self) -> list[str]:
        return ["loss" if shift == 1 else f"mtp_{shift - 1}_loss" for shift in self.shifts]

    def numbers(self, step: int) -> NDArray[np.int64]:
        """The rows of a step, counted from 0."""
        return self.order[self.starts[step] : self.starts[step + 1]]

    def batches(self, step: int, world: World) -> list[MicroBatch]:
        """This process's micro-batches of a step; none behind the last step."""
        if step >= len(self.step_rows):
            return []
        return micro_batches(self.rows, self.numbers(step), self.micro_rows, self.shifts, self.targets, world)

    def rate_and_weight(self, step: int) -> tuple[float, float]:
        """Learning rate and MTP weight in the middle of a step's tokens."""
        share = (self.starts[step] + self.starts[step + 1]) / 2 / self.starts[-1]
        decayed = share >= decay_begins(self.learning_rate)
        return learning_rate(self.learning_rate, share), self.mtp_weight_decayed if decayed else self.mtp_weight


def open_rows(artifact: Artifact, config: MiMoConfig) -> TokenRows:
    """The rows of a `tokens` artifact for a model of this shape.

    Raises:
        ArtifactError: rows longer than the model's context, or made with more tokens than it has embeddings for.
    """
    rows = TokenRows(artifact.paths())
    tokens = int(artifact.manifest.totals.get("vocab_size", 0))
    if rows.sequence_length > config.max_position_embeddings:
        raise ArtifactError(
            f"{artifact.directory}: rows of {rows.sequence_length} tokens; the model's max_position_embeddings is "
            f"{config.max_position_embeddings}"
        )
    if tokens > config.vocab_size:
        raise ArtifactError(
            f"{artifact.directory}: made with a tokenizer of {tokens} tokens, the model embeds {config.vocab_size}"
        )
    return rows


def prepare(model: MiMoForCausalLM, compute: Compute) -> MiMoForCausalLM:
    """`model`, ready to be trained by all processes: on its device, compiled, split.

    Raises:
        ConfigError: float8 where it is not available or of no use, or a group that does not divide the processes.
    """
    device = pick_device()
    if compute.float8:
        _use_float8(model, device)
    model.checkpoint_activations(compute.recompute)
    if compute.compile and device.type == "cuda":
        model.compile_layers()
    shard(model, device, compute.shard_group)
    return model


def _use_float8(model: MiMoForCausalLM, device: torch.device) -> None:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    if device.type != "cuda" or torch.cuda.get_device_capability(device) < (8, 9):
        where = torch.cuda.get_device_name(device) if device.type == "cuda" else "a CPU"
        raise ConfigError(f"compute.float8: {where} has no float8 matrix products; an H100 or later has")
    if parameters < FLOAT8_PARAMETERS:
        raise ConfigError(
            f"compute.float8: of use from {FLOAT8_PARAMETERS:,} parameters; this model has {parameters:,}"
        )
    from components.model.float8 import use_float8

    use_float8(model)


def train(model: MiMoForCausalLM, plan: Plan, outputs: Outputs) -> list[dict[str, float]]:
    """Train `model`, which went through `prepare`, in place. Every process of the world must call it.

    Every step's metrics also go to `metrics.jsonl`, which stays beside the outputs, and to the trackers.

    Returns: the metrics of every step, those before a resume included.

    Raises:
        NonFiniteError: the weights and the last saved state are those of the step before.
        SaveError: the disk is full.
    """
    world = this_world()
    device = next(model.parameters()).device
    optimizer = Optimizer(model, plan.training.optimizer)
    flops, peak = _flops_per_token(model, plan), peak_flops(device)
    states = outputs.work / "states"
    if plan.training.resume == "never" and world.leader:
        shutil.rmtree(states, ignore_errors=True)
    world.wait()
    resumed = load_latest(states, model, optimizer)
    first = resumed[0] if resumed else 0
    steps = len(plan.step_rows)
    saved = time.monotonic()
    with ExitStack() as stack:
        saver = StateSaver(states)
        stack.callback(saver.close)
        log = stack.enter_context(open_log(outputs, first, plan.training.trackers, world))
        batches = plan.batches(first, world)
        for step in range(first, steps):
            began = time.monotonic()
            rate, weight = plan.rate_and_weight(step)
            losses_ML = _accumulate(model, plan, batches, weight, world)
            upcoming = plan.batches(step + 1, world)   # made while a GPU is still at work on this step
            norm = float(optimizer.step(rate))
            due = time.monotonic() - saved >= plan.training.save_every_s
            *sums, due_somewhere = world.sum(torch.cat([losses_ML.sum(0), losses_ML.new_tensor([due])])).tolist()
            _check_finite(plan, step, batches, losses_ML, sums, norm, outputs)
            losses = dict(zip(plan.loss_names, sums, strict=True))
            tokens = plan.rows.sequence_length * int(plan.starts[step + 1])
            speed = plan.rows.sequence_length * plan.step_rows[step] / (time.monotonic() - began)
            line = {
                "step": step + 1, "tokens": tokens, "rows": int(plan.starts[step + 1]), **losses,
                "learning_rate": rate, "mtp_weight": weight, "gradient_norm": norm, "tokens_per_s": speed,
                "tflops": flops * speed / 1e12, **({"mfu": flops * speed / peak / world.size} if peak else {}),
                "memory_gib": _memory_gib(device),
            }  # fmt: skip
            log.write(line)
            name, loss = next(iter(losses.items()))
            outputs.progress.update(step + 1, steps, f"{name} {loss:.3f}, {speed:,.0f} tokens/s")
            if due_somewhere or step + 1 == steps:
                log.sync()   # the log up to a state is on disk before the state is
                saver.save(step + 1, model, optimizer, {})
                saved = time.monotonic()
            batches = upcoming
        saver.wait()
    return log.history


def _accumulate(
    model: MiMoForCausalLM, plan: Plan, batches: Sequence[MicroBatch], weight: float, world: World
) -> Tensor:
    """Add the gradients of one step's rows to the model.

    Returns: [M, L], what each micro-batch of this process adds to each loss; their sums over M and all processes are
        means over the step's targets.
    """
    device = next(model.parameters()).device
    counts = count_targets(batches, world)
    weights = [1.0 if shift == 1 else weight / len(plan.mtp_heads) for shift in plan.shifts]
    factors = {shift: each / count for shift, each, count in zip(plan.shifts, weights, counts, strict=True)}
    counts_L = torch.tensor(counts, device=device)
    losses_ML = torch.zeros(len(batches), len(counts), device=device)
    for index, batch in enumerate(batches):
        last_micro_batch(model, index + 1 == len(batches))
        part = batch.to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            total, sums_L = model.losses(part.tokens_BT, part.segments_BT, part.labels, factors)
        total.backward()
        losses_ML[index] = sums_L / counts_L
    return losses_ML


def _check_finite(
    plan: Plan, step: int, batches: Sequence[MicroBatch], losses_ML: Tensor, sums: Sequence[float], norm: float,
    outputs: Outputs,
) -> None:  # fmt: skip
    """Stop at the first infinity or NaN, naming the rows of the micro-batches that have one (all, if only the norm).

    What was found, with every row's shard and documents, is also written to `non_finite.json`.
    """
    if np.isfinite([*sums, norm]).all():
        return
    broken = (~losses_ML.isfinite().all(1)).nonzero()[:, 0].tolist()
    mine = [row for part in broken for row in batches[part].numbers]
    rows = sorted(chain.from_iterable(this_world().gather(mine))) or plan.numbers(step).tolist()
    record = {
        "step": step + 1, "losses": [repr(value) for value in sums], "gradient_norm": repr(norm),
        "rows": [{"row": row, "shard": plan.rows.shard(row), "documents": plan.rows.documents(row)} for row in rows],
    }  # fmt: skip
    path = outputs.root / "non_finite.json"
    if this_world().leader:
        write_json(path, record)
    places = [
        f"row {row} of {plan.rows.shard(row)} ({', '.join(plan.rows.documents(row)) or 'documents unknown'})"
        for row in rows[:NAMED]
    ]
    more = f" and {len(rows) - NAMED} more" if len(rows) > NAMED else ""
    raise NonFiniteError(
        f"step {step + 1}: losses {list(sums)}, gradient norm {norm}; look at {'; '.join(places)}{more}, "
        f"all in {path}; "
        f"the weights are still those of step {step}"
    )


def _flops_per_token(model: MiMoForCausalLM, plan: Plan) -> float:
    """Useful FLOPs a token: `MiMoConfig.flops_per_token`; of a frozen trunk only the forward pass, a third."""
    length, heads = plan.rows.sequence_length, len(plan.mtp_heads)
    trunk = model.config.flops_per_token(length)
    mtp = model.config.flops_per_token(length, heads) - trunk
    return (trunk if plan.train_main else trunk / 3) + mtp


def _memory_gib(device: torch.device) -> float:
    """The most memory that training has taken so far: of this process's GPU, else of the process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
