"""The training loop of pretraining, MTP tuning and SFT.

Each step: take the next rows, add up the gradients of the main and the MTP losses over micro-batches, clip, update,
write one line of metrics. The state is saved every so often; a run that was killed continues after its last state and
ends with the same weights on the same number of devices.

Shape suffixes: B rows, T tokens, D hidden, N flattened positions.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from components.model.losses import chunked_cross_entropy, next_token_labels
from components.model.modeling import MiMoForCausalLM
from components.runner import Outputs
from components.training.checkpoint import load_latest, save_state
from components.training.optimizer import Optimizer
from components.training.optimizer_config import OptimizerConfig
from components.training.packing import TokenRows
from components.training.schedule import Piece, decay_begins, learning_rate

SAVE_EVERY_S = 20.0   # a state costs far less than this to save


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


@dataclass
class Losses:
    """Sums over a step; what is logged are means."""

    main: float = 0.0
    mtp: dict[int, float] = field(default_factory=dict)


def train(model: MiMoForCausalLM, plan: Plan, outputs: Outputs, label: str = "") -> list[dict[str, float]]:
    """Train `model` in place.

    Returns: the metrics of every step, those before a resume included.

    Raises:
        NonFiniteError: after saving nothing of the broken step.
    """
    optimizer = Optimizer(model, plan.optimizer)
    device = model.lm_head.weight.device
    states, log = outputs.work / "states", outputs.work / "metrics.jsonl"
    resumed = load_latest(states, model, optimizer)
    first = resumed[0] if resumed else 0
    history = _read_log(log, first)
    starts = np.concatenate([[0], np.cumsum(plan.step_rows)])
    decay = decay_begins(plan.learning_rate)
    saved = time.monotonic()
    with log.open("a") as file:
        for step in range(first, len(plan.step_rows)):
            began = time.monotonic()
            share = starts[step] / starts[-1]
            rate = learning_rate(plan.learning_rate, share)
            weight = plan.mtp_weight if share < decay else plan.mtp_weight_decayed
            numbers = plan.order[starts[step] : starts[step + 1]]
            losses = _accumulate(model, plan, numbers, weight, device)
            norm = float(optimizer.step(rate))
            if not np.isfinite([losses.main, norm, *losses.mtp.values()]).all():
                raise NonFiniteError(f"step {step}: loss {losses.main}, gradient norm {norm}; rows {numbers.tolist()}")
            tokens = len(numbers) * plan.rows.sequence_length
            line = {
                "step": step + 1, "tokens": int(starts[step + 1]) * plan.rows.sequence_length, "loss": losses.main,
                **{f"mtp_{head + 1}_loss": value for head, value in losses.mtp.items()},
                "learning_rate": rate, "mtp_weight": weight, "gradient_norm": norm,
                "tokens_per_s": tokens / (time.monotonic() - began),
            }  # fmt: skip
            history.append(line)
            file.write(json.dumps(line) + "\n")
            shown = losses.main if plan.train_main else next(iter(losses.mtp.values()))
            outputs.progress.update(step + 1, len(plan.step_rows), f"{label}loss {shown:.3f}")
            if time.monotonic() - saved > SAVE_EVERY_S or step + 1 == len(plan.step_rows):
                file.flush()
                save_state(states, step + 1, model, optimizer, {})
                saved = time.monotonic()
    return history


def _accumulate(
    model: MiMoForCausalLM, plan: Plan, numbers: NDArray[np.int64], weight: float, device: torch.device
) -> Losses:
    """Add the gradients of one step's rows to the model. Losses are means over the whole step's targets."""
    parts = list(_micro_batches(plan, numbers, device))
    labels = {
        shift: [next_token_labels(tokens, segments, shift, mask) for tokens, segments, mask in parts]
        for shift in ([1] if plan.train_main else []) + [head + 2 for head in plan.mtp_heads]
    }
    counts = {shift: max(1, int(sum((part >= 0).sum() for part in each))) for shift, each in labels.items()}
    losses = Losses()
    for index, (tokens_BT, segments_BT, _) in enumerate(parts):
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            with torch.set_grad_enabled(plan.train_main):
                hidden_BTD = model(tokens_BT, segments_BT)
            total = torch.zeros((), device=device)
            if plan.train_main:
                loss = _cross_entropy(model, model.normed(hidden_BTD), labels[1][index]) / counts[1]
                losses.main += loss.item()
                total = total + loss
            for head in plan.mtp_heads:
                drafted_BTD = model.mtp_hidden(hidden_BTD, tokens_BT, segments_BT, head)
                loss = _cross_entropy(model, drafted_BTD, labels[head + 2][index]) / counts[head + 2]
                losses.mtp[head] = losses.mtp.get(head, 0.0) + loss.item()
                total = total + loss * weight / len(plan.mtp_heads)
        total.backward()
    return losses


def _cross_entropy(model: MiMoForCausalLM, hidden_BTD: Tensor, labels_BT: Tensor) -> Tensor:
    return chunked_cross_entropy(hidden_BTD.flatten(0, 1), model.lm_head.weight, labels_BT.flatten())[0]


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
    path.write_text("".join(json.dumps(line) + "\n" for line in kept))
    return kept
