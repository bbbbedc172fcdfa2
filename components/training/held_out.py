"""Losses on held-out text, and how many drafts of the MTP heads the main model would accept there.

Acceptance of head k at a position: greedy, whether its most likely token is the main model's; sampled, the chance that
speculative sampling keeps its draft, sum_v min(p_main(v), p_head(v)) (Leviathan et al. 2023). Both are measured on
true prefixes, each head by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from components.model.losses import IGNORE, chunked_cross_entropy, next_token_labels
from components.model.modeling import MiMoForCausalLM
from components.training.packing import TokenRows

BATCH_ROWS = 8


@torch.no_grad()
def measure_held_out(model: MiMoForCausalLM, rows: TokenRows, limit_tokens: int = 200_000) -> dict[str, float]:
    """Mean losses in nats and acceptance rates: `loss`, `mtp_1_loss`, `mtp_1_greedy`, `mtp_1_sampled`, …"""
    heads = len(model.model.mtp_layers)
    sums: dict[str, float] = {}
    counts: dict[str, float] = {}

    def add(name: str, value: Tensor | float, count: Tensor | int) -> None:
        sums[name] = sums.get(name, 0.0) + float(value)
        counts[name] = counts.get(name, 0.0) + float(count)

    number = min(len(rows), max(1, limit_tokens // rows.sequence_length))
    device = model.lm_head.weight.device
    for start in range(0, number, BATCH_ROWS):
        batch = torch.from_numpy(rows.batch(range(start, min(start + BATCH_ROWS, number))).astype("int64")).to(device)
        tokens_BT, segments_BT = batch[:, 0], batch[:, 1]
        hidden_BTD = model(tokens_BT, segments_BT)
        normed_BTD = model.normed(hidden_BTD)
        add("loss", *_loss(model, normed_BTD, next_token_labels(tokens_BT, segments_BT, 1)))
        main_BTV = (normed_BTD @ model.lm_head.weight.T).float().softmax(-1)
        for head in range(heads):
            drafted_BTD = model.mtp_hidden(hidden_BTD, tokens_BT, segments_BT, head)
            labels_BT = next_token_labels(tokens_BT, segments_BT, head + 2)
            add(f"mtp_{head + 1}_loss", *_loss(model, drafted_BTD, labels_BT))
            # head row t and main row t + 1 + head predict the same token
            valid_BT = (labels_BT != IGNORE)[:, : -(head + 1)]
            drafted = (drafted_BTD[:, : -(head + 1)][valid_BT] @ model.lm_head.weight.T).float().softmax(-1)
            target = main_BTV[:, head + 1 :][valid_BT]
            add(f"mtp_{head + 1}_greedy", (drafted.argmax(-1) == target.argmax(-1)).sum(), len(drafted))
            add(f"mtp_{head + 1}_sampled", torch.minimum(drafted, target).sum(), len(drafted))
    return {name: value / max(counts[name], 1) for name, value in sums.items()}


def _loss(model: MiMoForCausalLM, hidden_BTD: Tensor, labels_BT: Tensor) -> tuple[Tensor, Tensor]:
    return chunked_cross_entropy(hidden_BTD.flatten(0, 1), model.lm_head.weight, labels_BT.flatten())
