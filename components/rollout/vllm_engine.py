"""The engine protocol over vLLM's AsyncLLM (an optional extra: `pip install .[vllm]`), versions 0.26 to 0.33.

- Log-probabilities are those of the sampled tokens at the sampling temperature (`processed_logprobs`). vLLM takes them
  after top-p: with top_p < 1 they are of the cut distribution, so policies are trained at top_p = 1 (as in the report).
- MTP drafting where the checkpoint has heads and `draft_tokens` > 0. Drafting changes the time, not the distribution.
- Weights are replaced in place from safetensors files, trunk and draft heads both; cached prompts are kept apart by
  policy version.
- All calls come from the event loop in which the first request was submitted.
"""

from __future__ import annotations

import asyncio
import inspect
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import nn

from components.model.checkpoint import load_config
from components.rollout.protocol import Completion, EngineError, FinishReason, Request, VersionSpan


class VLLMEngine:
    """`protocol.Engine` over one vLLM instance.

    Args:
        checkpoint: Hugging Face directory of a MiMo or Qwen2 model.
        slots: sequences decoded at once.
        max_length: of prompt and completion together.
        memory: share of the GPU's memory that vLLM may take; a trainer on the same GPU needs the rest.
        draft_tokens: tokens drafted by MTP in each step; 0 for none.
        options: further arguments of vLLM's `AsyncEngineArgs`.

    Raises:
        EngineError: vLLM is not installed, or drafting is wanted from a checkpoint without MTP heads.
    """

    def __init__(
        self, checkpoint: Path, *, max_length: int, slots: int, memory: float = 0.45, draft_tokens: int = 0,
        version: int = 0, options: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        try:
            from vllm.engine.arg_utils import AsyncEngineArgs
            from vllm.platforms import current_platform
            from vllm.v1.engine.async_llm import AsyncLLM
        except ImportError as error:
            raise EngineError(f"engine vllm: vLLM is not installed ({error}); pip install '.[vllm]'") from None
        if draft_tokens and not load_config(checkpoint).num_nextn_predict_layers:
            raise EngineError(f"{checkpoint}: has no MTP heads to draft with; set draft_tokens to 0")
        arguments = {
            "model": str(checkpoint),
            "skip_tokenizer_init": True,
            "trust_remote_code": True,   # transformers knows no model type `mimo`; the files are those we ship
            "generation_config": "vllm",
            "max_model_len": max_length,
            "max_num_seqs": slots,
            "gpu_memory_utilization": memory,
            "logprobs_mode": "processed_logprobs",
            "enable_prefix_caching": True,
            "worker_extension_cls": "components.rollout.vllm_worker.DraftReload",
            **(options or {}),
        }
        if draft_tokens:
            arguments["speculative_config"] = {"method": "mtp", "num_speculative_tokens": draft_tokens}
        self.max_length = max_length
        self._drafts_on_cpu = bool(draft_tokens) and current_platform.is_cpu()
        self._engine = AsyncLLM.from_engine_args(AsyncEngineArgs(**arguments))
        self._version = version
        self._running: dict[str, asyncio.Task[Completion]] = {}
        self._aborted: set[str] = set()

    @property
    def version(self) -> int:
        return self._version

    def submit(self, request: Request) -> asyncio.Task[Completion]:
        """See `protocol.Engine`. Cancelling the task aborts the request."""
        length = len(request.prompt_tokens) + request.params.max_tokens
        if not request.prompt_tokens or length > self.max_length:
            raise EngineError(
                f"request {request.id}: {len(request.prompt_tokens)} prompt + {request.params.max_tokens} new tokens; "
                f"the engine holds 1 to {self.max_length} in all"
            )
        if request.id in self._running:
            raise EngineError(f"request {request.id}: this id is in use")
        if self._drafts_on_cpu and request.params.temperature > 0:   # vLLM reads uninitialised temperatures there
            raise EngineError(f"request {request.id}: on a CPU vLLM samples wrong tokens with MTP; use draft_tokens 0")
        task = asyncio.get_running_loop().create_task(self._generate(request))
        self._running[request.id] = task
        task.add_done_callback(lambda _: self._forget(request.id))
        return task

    def _forget(self, request_id: str) -> None:
        self._running.pop(request_id, None)
        self._aborted.discard(request_id)

    async def abort(self, *request_ids: str) -> None:
        known = [request_id for request_id in request_ids if request_id in self._running]
        self._aborted.update(known)   # vLLM ignores ids that have not reached it yet: `_generate` aborts those
        if known:
            await self._engine.abort(known)

    async def pause(self) -> None:
        if "mode" in inspect.signature(self._engine.pause_generation).parameters:
            await self._engine.pause_generation(mode="keep", clear_cache=False)
        else:   # older: can only wait until the running requests are finished
            await self._engine.pause_generation(wait_for_inflight_requests=True, clear_cache=False)

    async def resume(self) -> None:
        await self._engine.resume_generation()

    async def update_weights(self, weights: nn.Module | Path, version: int) -> None:
        if isinstance(weights, Path):
            await self._reload(weights)
        else:
            from safetensors.torch import save_file

            # through shared memory: a reload by path is the one way that works on every version and every device
            with tempfile.TemporaryDirectory(dir=_fast_directory()) as directory:
                tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.state_dict().items()}
                save_file(tensors, Path(directory) / "model.safetensors", metadata={"format": "pt"})
                await self._reload(Path(directory))
        self._version = version

    async def close(self) -> None:
        running = list(self._running.values())
        await self.abort(*self._running)
        if running:
            await asyncio.wait(running)
        self._engine.shutdown()

    async def _reload(self, directory: Path) -> None:
        await self._engine.collective_rpc("reload_weights", kwargs={"weights_path": str(directory)})
        await self._engine.collective_rpc("reload_draft_weights", kwargs={"weights_path": str(directory)})
        # frees the cached prompts of the old weights, which nobody can hit any more; those still in use stay
        await self._engine.reset_prefix_cache()

    async def _generate(self, request: Request) -> Completion:
        from vllm import SamplingParams
        from vllm.inputs import TokensPrompt
        from vllm.sampling_params import RequestOutputKind

        params = SamplingParams(
            temperature=request.params.temperature, top_p=request.params.top_p, max_tokens=request.params.max_tokens,
            seed=request.params.seed, stop_token_ids=list(request.params.stop_tokens), ignore_eos=True, logprobs=0,
            detokenize=False, output_kind=RequestOutputKind.DELTA,
        )  # fmt: skip
        # the salt keeps prompts from the cached keys and values of older weights
        prompt = TokensPrompt(prompt_token_ids=list(request.prompt_tokens), cache_salt=f"policy {self._version}")
        tokens: list[int] = []
        log_probs: list[float] = []
        versions: list[int] = []   # of each token
        reason: FinishReason = "aborted"
        async for output in self._engine.generate(prompt, params, request.id):
            new = output.outputs[0]
            if new.token_ids:
                tokens += new.token_ids
                log_probs += [each[token].logprob for token, each in zip(new.token_ids, new.logprobs, strict=True)]
                versions += [self._version] * len(new.token_ids)
            if new.finish_reason in ("stop", "length"):
                reason = new.finish_reason
            elif request.id in self._aborted and not output.finished:
                await self._engine.abort(request.id)
        return Completion(request.id, tokens, log_probs, reason, _spans(versions))


def _spans(versions: Sequence[int]) -> tuple[VersionSpan, ...]:
    starts = [i for i, version in enumerate(versions) if i == 0 or version != versions[i - 1]]
    stops = [*starts[1:], len(versions)] if starts else []
    return tuple(VersionSpan(versions[start], start, stop) for start, stop in zip(starts, stops, strict=True))


def _fast_directory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
