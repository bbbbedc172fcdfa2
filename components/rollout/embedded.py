"""The engine inside this process: our model, continuous batching, a static key/value cache. For a CPU or one GPU.

- A slot is a row of the cache; running sequences always fill rows 0 … n-1, so a decode step reads the cache in place.
  Where a sequence ends, the last one moves into the gap.
- New prompts are prefilled together; equal prompts (the completions of a group) once, then copied.
- One decode step advances every sequence by one token. No Python loop runs over sequences, except over those that end.
- A completion depends on its prompt, its seed and the weights, not on its slot or company: each request has its own
  counter-based noise, and batches are padded to fixed steps so that the kernels add in the same order.

Shape suffixes: N running rows, U prompts in a prefill, T tokens, V vocabulary.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from components.model.checkpoint import load_model
from components.model.modeling import MiMoForCausalLM
from components.rollout.protocol import Completion, EngineError, FinishReason, Request, VersionSpan
from components.rollout.sampling import sample, uniforms

ROW_STEP = 16              # decode batches are padded to a multiple of this, prompts too
PREFILL_TOKENS = 16_384    # in one forward pass
STOP_TOKENS = 8            # at most, a request


@dataclass
class _Sequence:
    """A request on its way. `spans` holds (version, first token sampled from it)."""

    request: Request
    result: asyncio.Future[Completion]
    spans: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class _Lanes:
    """The state of the running rows, on the device; one row a slot."""

    token: Tensor          # to be fed next
    position: Tensor       # of `token`
    count: Tensor          # tokens sampled
    limit: Tensor
    stops: Tensor          # [slots, STOP_TOKENS], -1 where unused
    temperature: Tensor
    top_p: Tensor
    noise: Tensor          # [slots, max_length]
    tokens: Tensor         # [slots, max_length], sampled
    log_probs: Tensor      # [slots, max_length]

    @classmethod
    def empty(cls, slots: int, max_length: int, device: torch.device) -> _Lanes:
        def integers(*shape: int) -> Tensor:
            return torch.zeros(shape, dtype=torch.int64, device=device)

        def floats(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        return cls(
            token=integers(slots), position=integers(slots), count=integers(slots), limit=integers(slots),
            stops=integers(slots, STOP_TOKENS), temperature=floats(slots), top_p=floats(slots),
            noise=floats(slots, max_length, dtype=torch.float64),
            tokens=integers(slots, max_length), log_probs=floats(slots, max_length),
        )  # fmt: skip

    def move(self, sources: Tensor, targets: Tensor) -> None:
        for lane in fields(self):
            tensor = getattr(self, lane.name)
            tensor[targets] = tensor[sources]


class EmbeddedEngine:
    """`protocol.Engine` over a `MiMoForCausalLM` in this process. The engine samples from `model` itself: a trainer
    that updates it in place only has to say so with `update_weights(model, version)`.

    Args:
        slots: sequences decoded at once.
        max_length: of prompt and completion together; bounds the cache. Default: the model's.
    """

    def __init__(self, model: MiMoForCausalLM, slots: int, max_length: int | None = None, version: int = 0) -> None:
        self.model = model
        self.slots = slots
        self.max_length = max_length or model.config.max_position_embeddings
        self.decode_steps = 0
        self._version = version
        self._device = model.lm_head.weight.device
        rows = _round_up(slots, ROW_STEP)
        self._cache = model.new_cache(rows, self.max_length)
        self._lanes = _Lanes.empty(rows, self.max_length, self._device)
        self._all_rows = torch.arange(rows, device=self._device)
        self._running: list[_Sequence] = []             # row i of the cache belongs to entry i
        self._waiting: dict[str, _Sequence] = {}        # in order of submission
        self._ids: set[str] = set()                     # of both
        self._any_greedy = self._any_nucleus = False    # among the running
        self._paused = False
        self._loop: asyncio.Task[None] | None = None

    @property
    def version(self) -> int:
        return self._version

    def submit(self, request: Request) -> asyncio.Future[Completion]:
        """See `protocol.Engine`. Cancelling the future aborts the request."""
        length = len(request.prompt_tokens) + request.params.max_tokens
        if not request.prompt_tokens or length > self.max_length:
            raise EngineError(
                f"request {request.id}: {len(request.prompt_tokens)} prompt + {request.params.max_tokens} new tokens; "
                f"the engine holds 1 to {self.max_length} in all"
            )
        if len(request.params.stop_tokens) > STOP_TOKENS:
            raise EngineError(f"request {request.id}: more than {STOP_TOKENS} stop tokens")
        if request.id in self._ids:
            raise EngineError(f"request {request.id}: this id is in use")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Completion] = loop.create_future()
        future.add_done_callback(lambda done: loop.create_task(self.abort(request.id)) if done.cancelled() else None)
        self._waiting[request.id] = _Sequence(request, future)
        self._ids.add(request.id)
        self._wake()
        return future

    async def abort(self, *request_ids: str) -> None:
        ids = set(request_ids)
        for request_id in ids & self._waiting.keys():
            self._answer(self._waiting.pop(request_id), Completion(request_id, [], [], "aborted", ()))
        rows = [row for row, sequence in enumerate(self._running) if sequence.request.id in ids]
        self._release(rows, ["aborted"] * len(rows))

    async def pause(self) -> None:
        self._paused = True

    async def resume(self) -> None:
        self._paused = False
        self._wake()

    async def update_weights(self, weights: nn.Module | Path, version: int) -> None:
        if isinstance(weights, Path):
            heads = self.model.config.num_nextn_predict_layers
            weights = load_model(weights, mtp_heads=heads, dtype=self.model.lm_head.weight.dtype)
        if weights is not self.model:
            self.model.load_state_dict(weights.state_dict())
        self._version = version
        for sequence, count in zip(self._running, self._lanes.count.tolist(), strict=False):
            if sequence.spans[-1][1] == count:   # nothing was sampled from the version before
                sequence.spans.pop()
            sequence.spans.append((version, count))

    async def close(self) -> None:
        await self.abort(*self._ids)
        if self._loop is not None:
            await asyncio.wait([self._loop])

    # The loop

    def _wake(self) -> None:
        if self._loop is None and not self._paused:
            self._loop = asyncio.get_running_loop().create_task(self._run())
            self._loop.add_done_callback(self._on_loop_end)

    async def _run(self) -> None:
        while (self._running or self._waiting) and not self._paused:
            self._step()
            await asyncio.sleep(0)   # rewards arrive and requests are submitted between steps

    def _on_loop_end(self, loop: asyncio.Task[None]) -> None:
        self._loop = None
        failure = None if loop.cancelled() else loop.exception()
        if failure is None and not loop.cancelled():
            if self._running or self._waiting:   # submitted in the moment the loop ended, or resumed in it
                self._wake()
            return
        for sequence in (*self._running, *self._waiting.values()):   # nobody would ever answer them
            if not sequence.result.done():
                if failure is None:
                    sequence.result.cancel()
                else:
                    sequence.result.set_exception(failure)
        self._running.clear()
        self._waiting.clear()
        self._ids.clear()

    @torch.inference_mode()
    def _step(self) -> None:
        self._admit()
        if self._running:
            self._decode()

    def _decode(self) -> None:
        n, lanes = len(self._running), self._lanes
        padded = min(_round_up(n, ROW_STEP), len(self._all_rows))
        hidden = self.model.step(
            lanes.token[:padded, None], lanes.position[:padded, None], self._cache, self._all_rows[:padded]
        )
        logits_NV = self.model.logits(hidden[:, 0])[:n]
        rows_N, count_N = self._all_rows[:n], lanes.count[:n]
        tokens_N, log_probs_N = sample(
            logits_NV, lanes.temperature[:n],
            lanes.top_p[:n] if self._any_nucleus else None, lanes.noise[rows_N, count_N], self._any_greedy,
        )  # fmt: skip
        lanes.tokens[rows_N, count_N] = tokens_N
        lanes.log_probs[rows_N, count_N] = log_probs_N
        lanes.token[:n] = tokens_N
        lanes.position[:n] += 1
        lanes.count[:n] += 1
        self.decode_steps += 1
        stopped_N = (tokens_N[:, None] == lanes.stops[:n]).any(1)
        ended = (stopped_N | (lanes.count[:n] >= lanes.limit[:n])).nonzero()[:, 0]
        if len(ended):
            reasons: list[FinishReason] = ["stop" if stop else "length" for stop in stopped_N[ended].tolist()]
            self._release(ended.tolist(), reasons)

    # Ends

    @torch.inference_mode()
    def _release(self, rows: Sequence[int], reasons: Sequence[FinishReason]) -> None:
        """Answer the sequences in `rows` and close the gaps they leave."""
        if not rows:
            return
        lanes = self._lanes
        index = torch.tensor(rows, device=self._device)
        counts = lanes.count[index].tolist()
        tokens = lanes.tokens[index, : max(counts)].tolist()
        log_probs = lanes.log_probs[index, : max(counts)].tolist()
        for i, (row, reason) in enumerate(zip(rows, reasons, strict=True)):
            sequence, n = self._running[row], counts[i]
            spans = _spans(sequence.spans, n)
            self._answer(sequence, Completion(sequence.request.id, tokens[i][:n], log_probs[i][:n], reason, spans))
        self._close_gaps(set(rows))

    def _close_gaps(self, gaps: set[int]) -> None:
        left = len(self._running) - len(gaps)
        targets = sorted(row for row in gaps if row < left)
        sources = [row for row in range(left, len(self._running)) if row not in gaps]
        if sources:
            source_M, target_M = (torch.tensor(rows, device=self._device) for rows in (sources, targets))
            self._cache.copy(source_M, target_M, int(self._lanes.position[source_M].max()))
            self._lanes.move(source_M, target_M)
            for source, target in zip(sources, targets, strict=True):
                self._running[target] = self._running[source]
        self._lanes.position[left : len(self._running)] = 0   # padding rows: keep the attended length short
        del self._running[left:]

    def _answer(self, sequence: _Sequence, completion: Completion) -> None:
        self._ids.discard(completion.request_id)
        if not sequence.result.done():   # cancelled
            sequence.result.set_result(completion)

    # Beginnings

    def _admit(self) -> None:
        """Start waiting sequences, once enough slots are free to prefill several together."""
        free = self.slots - len(self._running)
        if not self._waiting or free < min(len(self._waiting), max(1, self.slots // 8)):
            return
        chosen = list(self._waiting)[:free]
        first = len(self._running)
        new = [self._waiting.pop(request_id) for request_id in chosen]
        prompts: dict[tuple[int, ...], int] = {}   # -> the row that holds it
        for row, sequence in enumerate(self._running):
            if sequence.spans == [(self._version, 0)]:   # its prompt's keys and values are of these weights
                prompts.setdefault(sequence.request.prompt_tokens, row)
        # First the prompts that are new, in consecutive rows; then the copies.
        leaders: list[_Sequence] = []
        followers: list[_Sequence] = []
        for sequence in new:
            known = sequence.request.prompt_tokens in prompts
            (followers if known else leaders).append(sequence)
            if not known:
                prompts[sequence.request.prompt_tokens] = first + len(leaders) - 1
        for sequence in (*leaders, *followers):
            sequence.spans.append((self._version, 0))
            self._running.append(sequence)
        self._fill_lanes(first, [*leaders, *followers])
        running = [sequence.request.params for sequence in self._running]
        self._any_greedy = any(params.temperature == 0 for params in running)
        self._any_nucleus = any(params.top_p < 1 for params in running)
        self._prefill(first, [sequence.request.prompt_tokens for sequence in leaders])
        if followers:
            sources = [prompts[sequence.request.prompt_tokens] for sequence in followers]
            targets = torch.arange(first + len(leaders), len(self._running), device=self._device)
            longest = max(len(sequence.request.prompt_tokens) for sequence in followers)
            self._cache.copy(torch.tensor(sources, device=self._device), targets, longest - 1)

    def _fill_lanes(self, first: int, new: Sequence[_Sequence]) -> None:
        lanes, rows = self._lanes, slice(first, first + len(new))
        requests = [sequence.request for sequence in new]
        params = [request.params for request in requests]
        longest = max(each.max_tokens for each in params)
        noise = np.zeros((len(new), longest))
        for row, each in enumerate(params):
            noise[row, : each.max_tokens] = uniforms(each.seed, each.max_tokens)
        lanes.noise[rows, :longest] = torch.from_numpy(noise).to(self._device)
        # The last prompt token is fed by the first decode step; the prefill only caches those before it.
        lanes.token[rows] = self._integers([request.prompt_tokens[-1] for request in requests])
        lanes.position[rows] = self._integers([len(request.prompt_tokens) - 1 for request in requests])
        lanes.count[rows] = 0
        lanes.limit[rows] = self._integers([each.max_tokens for each in params])
        lanes.stops[rows] = self._integers(
            [[*each.stop_tokens, *[-1] * (STOP_TOKENS - len(each.stop_tokens))] for each in params]
        )
        lanes.temperature[rows] = torch.tensor([each.temperature for each in params], device=self._device)
        lanes.top_p[rows] = torch.tensor([each.top_p for each in params], device=self._device)

    def _prefill(self, first: int, prompts: Sequence[tuple[int, ...]]) -> None:
        """Cache all but the last token of `prompts` in rows `first` and following."""
        longest = max((len(prompt) for prompt in prompts), default=1) - 1
        if longest == 0:
            return
        padded = min(_round_up(longest, ROW_STEP), self.max_length)
        at_once = max(1, PREFILL_TOKENS // padded)
        for start in range(0, len(prompts), at_once):
            part = prompts[start : start + at_once]
            tokens_UT = self._integers([[*prompt[:-1], *[0] * (padded - len(prompt) + 1)] for prompt in part])
            positions_UT = torch.arange(padded, device=self._device).expand(len(part), padded)
            self.model.step(tokens_UT, positions_UT, self._cache, self._all_rows[first + start :][: len(part)])

    def _integers(self, values: Sequence[int] | Sequence[Sequence[int]]) -> Tensor:
        return torch.tensor(values, dtype=torch.int64, device=self._device)


def _spans(starts: Sequence[tuple[int, int]], count: int) -> tuple[VersionSpan, ...]:
    stops = [start for _, start in starts[1:]] + [count]
    return tuple(
        VersionSpan(version, start, stop) for (version, start), stop in zip(starts, stops, strict=True) if stop > start
    )


def _round_up(value: int, step: int) -> int:
    return -(-value // step) * step
