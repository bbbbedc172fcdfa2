"""Losses on held-out text, and how many drafts of the MTP heads the main model would accept there.

Acceptance of head k at a position: greedy, whether its most likely token is the main model's; sampled, the chance that
speculative sampling keeps its draft, sum_v min(p_main(v), p_head(v)) (Leviathan et al. 2023). Both are measured on
true prefixes, each head by itself. `accuracy` is the share of positions whose true token is the most likely one.

Shape suffixes: B rows, T tokens, D hidden, N positions with a target, V vocabulary.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import torch
from torch import Tensor

from components.model.losses import IGNORE, chunks, next_token_labels
from components.model.modeling import MiMoForCausalLM
from components.training.packing import TokenRows
from components.training.parallel import World, split_again, this_world

BATCH_TOKENS = 32_768   # in one forward pass


@torch.no_grad()
def measure_held_out(model: MiMoForCausalLM, rows: TokenRows, limit_tokens: int = 200_000) -> dict[str, float]:
    """Means over the first `limit_tokens` of `rows`, which the processes share out. All of them must call it.

    Returns: `loss` (nats) and `accuracy` of the main model, then `mtp_1_loss`, `mtp_1_accuracy`, `mtp_1_greedy`,
        `mtp_1_sampled`, and so on for every head.
    """
    means = _Means()
    world = this_world()
    number = min(len(rows), max(1, limit_tokens // rows.sequence_length))
    batch_rows = max(1, BATCH_TOKENS // rows.sequence_length)
    device = next(model.parameters()).device
    for first in range(0, number, batch_rows * world.size):
        start = first + batch_rows * world.rank
        part = range(start, min(start + batch_rows, number))
        array = rows.batch(part) if part else np.zeros((1, 2, rows.sequence_length))   # without a target
        batch = torch.from_numpy(array.astype(np.int64)).to(device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            _add_batch(means, model, batch[:, 0], batch[:, 1])
    split_again(model)
    return means.values(world)


class _Means:
    """Sums and counts by name."""

    def __init__(self) -> None:
        self._sums: defaultdict[str, float] = defaultdict(float)
        self._counts: defaultdict[str, int] = defaultdict(int)

    def add(self, name: str, total: Tensor, count: int) -> None:
        self._sums[name] += float(total)
        self._counts[name] += count

    def values(self, world: World) -> dict[str, float]:
        """Over all processes."""
        both = torch.tensor([[*self._sums.values()], [*self._counts.values()]], dtype=torch.float64)
        sums, counts = world.sum(both).tolist()
        return {name: total / count for name, total, count in zip(self._sums, sums, counts, strict=True) if count}


def _add_batch(means: _Means, model: MiMoForCausalLM, tokens_BT: Tensor, segments_BT: Tensor) -> None:
    hidden_BTD = model(tokens_BT, segments_BT)
    normed_BTD = model.normed(hidden_BTD)
    labels_BT = next_token_labels(tokens_BT, segments_BT)
    kept_BT = labels_BT != IGNORE
    _add(means, "", model, normed_BTD[kept_BT], labels_BT[kept_BT], None)
    for head in range(len(model.model.mtp_layers)):
        drafted_BTD = model.mtp_hidden(hidden_BTD, tokens_BT, segments_BT, head)
        labels_BT = next_token_labels(tokens_BT, segments_BT, head + 2)
        kept_BT = labels_BT != IGNORE
        # the head's position t and the main model's t + 1 + head predict the same token
        main_BTD = normed_BTD.roll(-(1 + head), 1)
        _add(means, f"mtp_{head + 1}_", model, drafted_BTD[kept_BT], labels_BT[kept_BT], main_BTD[kept_BT])


def _add(
    means: _Means, prefix: str, model: MiMoForCausalLM, hidden_ND: Tensor, labels_N: Tensor, main_ND: Tensor | None
) -> None:
    """Add up one head's measures, a chunk of positions at a time: the logits of a batch would not fit."""
    weight_VD = model.lm_head.weight
    for part in chunks(len(labels_N), weight_VD) if len(labels_N) else [slice(0)]:   # all names, also without positions
        log_p_NV = (hidden_ND[part] @ weight_VD.T).float().log_softmax(-1)
        best_N = log_p_NV.argmax(-1)
        measures = {
            "loss": -log_p_NV.gather(-1, labels_N[part, None]).sum(),
            "accuracy": (best_N == labels_N[part]).sum(),
        }
        if main_ND is not None:
            main_NV = (main_ND[part] @ weight_VD.T).float().softmax(-1)
            measures["greedy"] = (best_N == main_NV.argmax(-1)).sum()
            measures["sampled"] = torch.minimum(log_p_NV.exp(), main_NV).sum()
        for name, value in measures.items():
            means.add(prefix + name, value, len(best_N))
