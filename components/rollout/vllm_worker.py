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
        from vllm.model_executor.model_loader.weight_utils import safetensors_weights_iterator

        drafter = getattr(self.model_runner, "drafter", None) or getattr(self.model_runner, "speculator", None)
        if drafter is None:
            return False
        files = sorted(str(path) for path in Path(weights_path).glob("*.safetensors"))
        drafter.model.load_weights(safetensors_weights_iterator(files, use_tqdm_on_load=False))
        return True
