"""The MiMo architecture with multi-token prediction, its losses, and its Hugging Face checkpoints."""

from components.model.config import MiMoConfig

__all__ = ["MiMoConfig", "MiMoForCausalLM"]


def __getattr__(name: str) -> object:
    # torch is imported only by those who build a model; configs are read in pods without it
    if name == "MiMoForCausalLM":
        from components.model.modeling import MiMoForCausalLM

        return MiMoForCausalLM
    raise AttributeError(name)
