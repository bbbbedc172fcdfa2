"""The optimizers: AdamW as in the report (betas 0.9 and 0.95, decay on matrices only), or Muon for hidden matrices."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from components.training.optimizer_config import OptimizerConfig


class Optimizer:
    """One optimizer, or two side by side, over the parameters of `model` that require gradients."""

    def __init__(self, model: nn.Module, config: OptimizerConfig) -> None:
        self.config = config
        named = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
        self.parameters = [parameter for _, parameter in named]
        hidden = [p for name, p in named if config.name == "muon" and _is_hidden_matrix(name, p)]
        taken = {id(parameter) for parameter in hidden}
        rest = [parameter for parameter in self.parameters if id(parameter) not in taken]
        groups = [
            {"params": [p for p in rest if p.ndim >= 2], "weight_decay": config.weight_decay},
            {"params": [p for p in rest if p.ndim < 2], "weight_decay": 0.0},
        ]
        self.parts: list[torch.optim.Optimizer] = [
            torch.optim.AdamW(
                [group for group in groups if group["params"]], betas=(config.beta_1, config.beta_2),
                eps=config.epsilon, fused=True,
            )
        ]  # fmt: skip
        if hidden:
            self.parts.append(
                torch.optim.Muon(hidden, weight_decay=config.weight_decay, adjust_lr_fn="match_rms_adamw")
            )

    def step(self, learning_rate: float) -> torch.Tensor:
        """Clip, update, clear the gradients. Returns the gradient norm before clipping."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.config.gradient_clip)
        if isinstance(norm, DTensor):   # of weights that are split over processes
            norm = norm.full_tensor()
        if torch.isfinite(norm):   # a broken gradient never reaches the weights; the caller stops the run
            for part in self.parts:
                for group in part.param_groups:
                    group["lr"] = learning_rate
                part.step()
        self.clear()
        return norm

    def clear(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None


def _is_hidden_matrix(name: str, parameter: nn.Parameter) -> bool:
    return parameter.ndim == 2 and "embed_tokens" not in name and "lm_head" not in name


def trainable(parameters: Iterable[nn.Parameter]) -> int:
    """Number of weights that will change."""
    return sum(parameter.numel() for parameter in parameters if parameter.requires_grad)
