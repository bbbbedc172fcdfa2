"""The training loop of pretraining, MTP tuning and SFT.

- `open_rows`  the rows of an artifact, checked against the model
- `Plan`       what to train on, in which order, how
- `train`      the loop

Each step: take the next rows, add up the gradients of the main and the MTP losses over micro-batches, clip, update,
write one line of metrics. The state is saved every so often; a run that was killed continues after its last state and
ends with the same weights on the same number of devices.

Shape suffixes: B rows of a micro-batch, T tokens, D hidden; M micro-batches of a step, L losses.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.artifacts import Artifact, ArtifactError, write_text
from components.model.config import MiMoConfig
from components.model.losses import next_token_labels
from components.model.modeling import MiMoForCausalLM
from components.runner import Outputs
from components.training.checkpoint import load_latest, save_state
from components.training.device import peak_flops
from components.training.optimizer import Optimizer
from components.training.optimizer_config import OptimizerConfig
from components.training.packing import TokenRows
from components.training.schedule import Piece, decay_begins, learning_rate


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
    optimizer: OptimizerConfig
    micro_rows: int
    mtp_heads: tuple[int, ...] = (0,)
    mtp_weight: float = 0.3
    mtp_weight_decayed: float = 0.1   # from where the learning rate begins to fall
    train_main: bool = True
    targets: NDArray[np.bool_] | None = None
    save_every_s: float = 20.0   # a state costs far less than this to save


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


def train(model: MiMoForCausalLM, plan: Plan, outputs: Outputs) -> list[dict[str, float]]:
    """Train `model` in place. Every step's metrics also go to `metrics.jsonl`, which stays beside the outputs.

    Returns: the metrics of every step, those before a resume included.

    Raises:
        NonFiniteError: the weights and the last saved state are those of the step before.
        SaveError: the disk is full.
    """
    optimizer = Optimizer(model, plan.optimizer)
    device = model.lm_head.weight.device
    flops, peak = _flops_per_token(model, plan), peak_flops(device)
    states, log = outputs.work / "states", outputs.root / "metrics.jsonl"
    resumed = load_latest(states, model, optimizer)
    first = resumed[0] if resumed else 0
    history = _read_log(log, first)
    starts = np.concatenate([[0], np.cumsum(plan.step_rows)])
    decay = decay_begins(plan.learning_rate)
    saved = time.monotonic()
    with log.open("a") as file:
        for step in range(first, len(plan.step_rows)):
            began = time.monotonic()
            share = (starts[step] + starts[step + 1]) / 2 / starts[-1]   # the middle of the step's tokens
            rate = learning_rate(plan.learning_rate, share)
            weight = plan.mtp_weight if share < decay else plan.mtp_weight_decayed
            numbers = plan.order[starts[step] : starts[step + 1]]
            losses_ML = _accumulate(model, plan, numbers, weight, device)
            norm = float(optimizer.step(rate))
            _check_finite(step + 1, losses_ML, norm, numbers, plan.micro_rows)
            speed = len(numbers) * plan.rows.sequence_length / (time.monotonic() - began)
            losses = dict(zip(_loss_names(plan), losses_ML.sum(0).tolist(), strict=True))
            line = {
                "step": step + 1, "tokens": int(starts[step + 1]) * plan.rows.sequence_length, **losses,
                "learning_rate": rate, "mtp_weight": weight, "gradient_norm": norm, "tokens_per_s": speed,
                "tflops": flops * speed / 1e12, **({"mfu": flops * speed / peak} if peak else {}),
            }  # fmt: skip
            history.append(line)
            file.write(json.dumps(line) + "\n")
            name, loss = next(iter(losses.items()))
            outputs.progress.update(step + 1, len(plan.step_rows), f"{name} {loss:.3f}, {speed:,.0f} tokens/s")
            if time.monotonic() - saved >= plan.save_every_s or step + 1 == len(plan.step_rows):
                file.flush()
                save_state(states, step + 1, model, optimizer, {})
                saved = time.monotonic()
    return history


def _accumulate(
    model: MiMoForCausalLM, plan: Plan, numbers: NDArray[np.int64], weight: float, device: torch.device
) -> Tensor:
    """Add the gradients of one step's rows to the model.

    Returns: [M, L], what each micro-batch adds to each loss; their sums over M are means over the step's targets.
    """
    parts = list(_micro_batches(plan, numbers, device))
    shifts = ([1] if plan.train_main else []) + [head + 2 for head in plan.mtp_heads]
    weights = [1.0 if shift == 1 else weight / len(plan.mtp_heads) for shift in shifts]
    labels_ML = [[next_token_labels(tokens_BT, segments_BT, shift, mask_BT) for shift in shifts]
                 for tokens_BT, segments_BT, mask_BT in parts]  # fmt: skip
    counts_L = torch.tensor([[(labels_BT >= 0).sum() for labels_BT in row] for row in labels_ML]).sum(0).clamp(min=1)
    losses_ML = torch.zeros(len(parts), len(shifts), device=device)
    factors_L = [weight / int(count) for weight, count in zip(weights, counts_L, strict=True)]
    for index, (tokens_BT, segments_BT, _) in enumerate(parts):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            total, sums_L = model.losses(
                tokens_BT, segments_BT, dict(zip(shifts, labels_ML[index], strict=True)),
                dict(zip(shifts, factors_L, strict=True)),
            )  # fmt: skip
        total.backward()
        losses_ML[index] = sums_L / counts_L.to(device)
    return losses_ML


def _loss_names(plan: Plan) -> list[str]:
    """The L losses of a step, in order."""
    return (["loss"] if plan.train_main else []) + [f"mtp_{head + 1}_loss" for head in plan.mtp_heads]


def _check_finite(step: int, losses_ML: Tensor, norm: float, numbers: NDArray[np.int64], micro_rows: int) -> None:
    """Stop at the first infinity or NaN, naming the rows of the micro-batches that have one (all, if only the norm)."""
    broken = (~losses_ML.isfinite().all(1)).nonzero()[:, 0].tolist()
    if not broken and np.isfinite(norm):
        return
    rows = [row for part in broken for row in numbers[part * micro_rows : (part + 1) * micro_rows].tolist()]
    raise NonFiniteError(
        f"step {step}: losses {losses_ML.sum(0).tolist()}, gradient norm {norm}; look at rows "
        f"{', '.join(map(str, rows or numbers.tolist()))}; the weights are still those of step {step - 1}"
    )


def _flops_per_token(model: MiMoForCausalLM, plan: Plan) -> float:
    """Useful FLOPs a token: `MiMoConfig.flops_per_token`; of a frozen trunk only the forward pass, a third."""
    length, heads = plan.rows.sequence_length, len(plan.mtp_heads)
    trunk = model.config.flops_per_token(length)
    mtp = model.config.flops_per_token(length, heads) - trunk
    return (trunk if plan.train_main else trunk / 3) + mtp


def _micro_batches(
    plan: Plan, numbers: NDArray[np.int64], device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    for start in range(0, len(numbers), plan.micro_rows):
        part = numbers[start : start + plan.micro_rows]
        rows = torch.from_numpy(plan.rows.batch(part).astype(np.int64)).to(device)
        mask = None if plan.targets is None else torch.from_numpy(plan.targets[part]).to(device)
        yield rows[:, 0], rows[:, 1], mask


def _read_log(path: Path, steps: int) -> list[dict[str, float]]:
    """The log's lines up to `steps`; later ones belong to work that was lost and are cut off."""
    if not path.exists():
        return []
    lines = []
    for text in path.read_text().splitlines():
        try:
            lines.append(json.loads(text))
        except json.JSONDecodeError:   # torn by a kill
            break
    kept = [line for line in lines if line["step"] <= steps]
    write_text(path, "".join(json.dumps(line) + "\n" for line in kept))
    return kept
