"""What vLLM's worker processes run for us: reloading the draft heads, which vLLM's own weight reload leaves old.

vLLM imports this module by name (`worker_extension_cls`); it must import nothing of torch or vLLM at its top.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


class DraftReload:
    """Mixed into vLLM's worker class."""

    model_runner: Any

    def reload_draft_weights(self, weights_path: str) -> bool:
        """Load the MTP heads from the safetensors files of a directory; False if the engine drafts nothing.

        Without this the drafts come from the old policy, and the share of them that is accepted falls to nothing.
        """
        from vllm.model_executor.model_loader.reload import finalize_layerwise_reload, initialize_layerwise_reload
        from vllm.model_executor.model_loader.weight_utils import safetensors_weights_iterator

        drafter = getattr(self.model_runner, "drafter", None) or getattr(self.model_runner, "speculator", None)
        if drafter is None:
            return False
        files = sorted(str(path) for path in Path(weights_path).glob("*.safetensors"))
        tensors = safetensors_weights_iterator(files, use_tqdm_on_load=False)
        # only the heads: embedding and output head are the trunk's own, reloaded with it. Layer by layer, because the
        # kernels may keep weights in another layout than the checkpoint (packed, on a CPU).
        heads = drafter.model.model.mtp_layers
        initialize_layerwise_reload(heads)
        drafter.model.load_weights((name, tensor) for name, tensor in tensors if ".mtp_layers." in name)
        finalize_layerwise_reload(heads, self.model_runner.vllm_config.speculative_config.draft_model_config)
        return True
