"""Float8 matrix products in decoder layers, by torchao: an option for models above a billion parameters.

Weights, inputs and gradients of the layers' matrix products are scaled by row and rounded to float8 as they are used;
master weights, norms, attention, embeddings and the output head stay as they are. What the backward pass keeps of a
layer shrinks; the faster products pay for the scaling only in wide layers (benchmarks/float8.md).
"""

from __future__ import annotations

from torch import nn

from components.model.modeling import MiMoForCausalLM

TILE = 16   # float8 products take sizes that are multiples of this


def use_float8(model: MiMoForCausalLM, emulate: bool = False) -> int:
    """Let the linear layers of all decoder and MTP layers compute in float8. Goes before compiling and sharding.

    Args:
        emulate: round to float8 and compute in the given precision: what it does to the losses, on any device.

    Returns: how many linear layers were changed.
    """
    from torchao.float8 import Float8LinearConfig, convert_to_float8_training  # slow to import, seldom used
    from torchao.float8.float8_linear import Float8Linear

    config = Float8LinearConfig.from_recipe_name("rowwise")
    if emulate:
        object.__setattr__(config, "emulate", True)
    for layers in (model.model.layers, model.model.mtp_layers):
        convert_to_float8_training(layers, config=config, module_filter_fn=_fits)
    return sum(isinstance(module, Float8Linear) for module in model.modules())


def _fits(module: nn.Module, name: str) -> bool:
    return isinstance(module, nn.Linear) and module.in_features % TILE == 0 and module.out_features % TILE == 0
