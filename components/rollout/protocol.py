"""What an inference engine is to the rest of the project: one small asyncio protocol and plain records.

Two engines implement it: `embedded.EmbeddedEngine` (our model in this process) and `vllm_engine.VLLMEngine`. RL,
curation and evaluation know only what is written here.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from torch import nn

FinishReason = Literal["stop", "length", "aborted"]


class EngineError(RuntimeError):
    """A request the engine cannot serve, or an engine that failed; the message says which and why."""


@dataclass(frozen=True)
class SamplingParams:
    """How a completion is sampled.

    The tokens are a function of prompt, weights and these values alone: `seed` fixes a completion's randomness
    wherever and beside whatever it runs.
    """

    max_tokens: int
    temperature: float = 1.0            # 0: the most likely token
    top_p: float = 1.0
    stop_tokens: tuple[int, ...] = ()   # the first of them ends the completion, and belongs to it
    seed: int = 0                       # 0 <= seed < 2**63

    def __post_init__(self) -> None:
        if self.max_tokens < 1 or self.temperature < 0 or not 0 < self.top_p <= 1 or not 0 <= self.seed < 2**63:
            raise EngineError(f"{self}: needs max_tokens >= 1, temperature >= 0, 0 < top_p <= 1, 0 <= seed < 2**63")


@dataclass(frozen=True)
class Request:
    """One completion wanted. `id` is unique among the engine's unfinished requests."""

    id: str
    prompt_tokens: tuple[int, ...]
    params: SamplingParams


@dataclass(frozen=True)
class VersionSpan:
    """Tokens [start, stop) of a completion were sampled from policy `version`."""

    version: int
    start: int
    stop: int


@dataclass(frozen=True)
class Completion:
    """What was sampled. `log_probabilities` are the sampler's own: of each token under the full distribution at the
    sampling temperature (at temperature 0: under the unscaled distribution), before top-p cuts it."""

    request_id: str
    tokens: list[int]
    log_probabilities: list[float]
    finish_reason: FinishReason
    versions: tuple[VersionSpan, ...]


class Engine(Protocol):
    """Serves completions. All methods are called from one event loop."""

    @property
    def version(self) -> int:
        """The policy version of the weights now in use."""
        ...

    def submit(self, request: Request) -> Awaitable[Completion]:
        """Queue a request. The result comes when it stops, reaches its length, or is aborted (then with the tokens
        sampled so far). Requests start in the order of submission.

        Raises:
            EngineError: the request does not fit, or its id is in use.
        """
        ...

    async def abort(self, *request_ids: str) -> None:
        """End requests now; unknown and finished ids are ignored."""
        ...

    async def pause(self) -> None:
        """Stop sampling; requests keep their state."""
        ...

    async def resume(self) -> None: ...

    async def update_weights(self, weights: nn.Module | Path, version: int) -> None:
        """Replace the policy (and draft heads) in place. Running requests go on with the new weights, and their
        completions say from which token on; their key/value cache stays that of the old weights."""
        ...

    async def close(self) -> None:
        """Abort everything and free what the engine holds."""
        ...
