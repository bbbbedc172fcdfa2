"""Ties engine, scheduler, sampler and rewards together, in asyncio.

- `RolloutDriver.collect`  one RL step's batch by the seamless scheduler
- `sample_all`             every completion of a fixed set, for curation and evaluation (the report's Table 3)

Generation and rewards overlap: a completion is judged the moment it ends, while others are still being sampled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from components.problems import CodeProblem, MathProblem
from components.reward.rewards import Reward
from components.rollout.protocol import Completion, Engine, Request, SamplingParams
from components.rollout.sampler import Draw, ProblemSampler
from components.rollout.scheduler import SeamlessScheduler, ValidRate


class Rewards(Protocol):
    """`components.reward.rewards.Rewarder`, or anything that judges."""

    def submit(self, problem: MathProblem | CodeProblem, completion: str) -> Future[Reward]: ...


class Text(Protocol):
    """How problems become prompts and tokens become text."""

    def prompt_tokens(self, problem: MathProblem | CodeProblem) -> tuple[int, ...]: ...

    def text(self, tokens: Sequence[int]) -> str: ...


@dataclass(frozen=True)
class Sample:
    """A judged completion. `reward.value` is None if it could not be judged."""

    prompt_tokens: tuple[int, ...]
    completion: Completion
    text: str
    reward: Reward


@dataclass(frozen=True)
class Group:
    """A valid group: one problem, its completions that have a reward."""

    problem: MathProblem | CodeProblem
    draw: Draw
    samples: tuple[Sample, ...]

    @property
    def rewards(self) -> list[float]:
        return [sample.reward.value for sample in self.samples if sample.reward.value is not None]


@dataclass(frozen=True)
class Rollouts:
    """The batch of a step: the first B valid groups in launch order (fewer, if the policy yields no more)."""

    groups: tuple[Group, ...]
    statistics: dict[str, float]


@dataclass
class _Counters:
    """What happened in a step, beside its result."""

    completions: int = 0
    masked: int = 0
    aborted_completions: int = 0
    sampled_tokens: int = 0
    aborted_tokens: int = 0
    generating: int = 0            # completions in the engine now
    waited_s: float = 0.0          # with nothing in the engine
    idle_since: float | None = None

    def enter(self) -> None:
        self.stop_waiting()
        self.generating += 1

    def stop_waiting(self) -> None:
        if self.idle_since is not None:
            self.waited_s += time.perf_counter() - self.idle_since
            self.idle_since = None

    def leave(self, generation: asyncio.Future[Completion]) -> None:
        self.generating -= 1
        if not self.generating:
            self.idle_since = time.perf_counter()
        if generation.cancelled() or generation.exception():
            return
        completion = generation.result()
        aborted = completion.finish_reason == "aborted"
        self.aborted_completions += aborted
        self.aborted_tokens += len(completion.tokens) * aborted
        self.sampled_tokens += len(completion.tokens)
        self.completions += not aborted


class RolloutDriver:
    """Collects RL batches.

    The batch of a step is a function of the weights, the sampler's state and `seed`: which groups finish early, how
    long rewards take and how many slots the engine has change only the time it takes.

    Args:
        params: of every completion; its `seed` is replaced by each completion's own.
        max_groups: launches a step at most, as a multiple of the batch size.
    """

    def __init__(
        self, engine: Engine, problems: Sequence[MathProblem | CodeProblem], text: Text, rewards: Rewards,
        sampler: ProblemSampler, params: SamplingParams, *, group_size: int, seed: int, max_groups: int = 16,
    ) -> None:  # fmt: skip
        self.engine = engine
        self.problems = problems
        self.text = text
        self.rewards = rewards
        self.sampler = sampler
        self.params = params
        self.group_size = group_size
        self.seed = seed
        self.max_groups = max_groups
        self.rate = ValidRate()

    def state_dict(self) -> dict[str, Any]:
        """JSON values: what the next `collect` depends on, beside the weights."""
        return {"sampler": self.sampler.state_dict(), "rate": self.rate.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.sampler.load_state_dict(state["sampler"])
        self.rate.load_state_dict(state["rate"])

    async def collect(self, batch_size: int) -> Rollouts:
        """Sample until `batch_size` valid groups are there. Nothing runs in the engine when it returns."""
        step = _Step(self, SeamlessScheduler(batch_size, self.rate, self.max_groups * batch_size))
        rollouts = await step.run()
        self._record(step)
        return rollouts

    def _record(self, step: _Step) -> None:
        """Move the sampler to the end of the batch: later draws are taken back, pass rates of earlier ones counted."""
        prefix = step.scheduler.prefix
        if prefix < len(step.draws):
            self.sampler.rewind(step.draws[prefix])
        for group in range(prefix):
            judged = [sample for sample in step.samples[group] if sample.reward.value is not None]
            if len(judged) >= 2:
                self.sampler.record(step.draws[group].problem, all(sample.reward.passed for sample in judged))
        self.rate.next_step()


class _Step:
    """One `collect` on its way."""

    def __init__(self, driver: RolloutDriver, scheduler: SeamlessScheduler) -> None:
        self.driver = driver
        self.scheduler = scheduler
        self.draws: list[Draw] = []                      # by group
        self.samples: dict[int, list[Sample]] = {}       # of finished groups
        self.counters = _Counters()
        self._tasks: dict[int, asyncio.Task[list[Sample] | None]] = {}
        self._finished: asyncio.Queue[int] = asyncio.Queue()
        self._generations: set[asyncio.Future[Completion]] = set()

    async def run(self) -> Rollouts:
        started = time.perf_counter()
        try:
            while not (actions := self.scheduler.next_actions()).done:
                await self._abort(actions.abort)
                for group in actions.launch:
                    self._launch(group)
                group = await self._finished.get()
                samples = self._tasks.pop(group).result()   # raises what the group raised
                if samples is not None:
                    self.samples[group] = samples
                    self.scheduler.on_group_rewarded(group, [sample.reward.value for sample in samples])
            await self._abort(actions.abort)
        finally:
            await self._end()
        groups = [self._group(group) for group in self.scheduler.selected]
        return Rollouts(tuple(groups), self._statistics(groups, time.perf_counter() - started))

    async def _end(self) -> None:
        """Empty the engine; what is left then waits for rewards that no longer matter."""
        await self._abort(tuple(self._tasks))
        if self._generations:
            await asyncio.wait(self._generations)
        self.counters.stop_waiting()
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def _launch(self, group: int) -> None:
        draw = self.driver.sampler.draw()
        self.draws.append(draw)
        problem = self.driver.problems[draw.problem]
        requests = self._requests(draw, self.driver.text.prompt_tokens(problem))
        # submitted here, not in the task: requests must enter the engine in launch order
        generations = [self._submit(request) for request in requests]
        task = asyncio.create_task(self._judge_group(problem, requests, generations))
        task.add_done_callback(lambda _: self._finished.put_nowait(group))
        self._tasks[group] = task

    def _requests(self, draw: Draw, prompt_tokens: tuple[int, ...]) -> list[Request]:
        driver = self.driver
        words = np.random.SeedSequence([driver.seed, draw.number]).generate_state(driver.group_size, np.uint64)
        params = [replace(driver.params, seed=int(word) >> 1) for word in words]
        return [Request(f"{draw.number}.{member}", prompt_tokens, each) for member, each in enumerate(params)]

    def _submit(self, request: Request) -> asyncio.Future[Completion]:
        self.counters.enter()
        generation = asyncio.ensure_future(self.driver.engine.submit(request))
        self._generations.add(generation)
        generation.add_done_callback(self._generations.discard)
        generation.add_done_callback(self.counters.leave)
        return generation

    async def _judge_group(
        self, problem: MathProblem | CodeProblem, requests: Sequence[Request],
        generations: Sequence[asyncio.Future[Completion]],
    ) -> list[Sample] | None:  # fmt: skip
        """The judged completions, or None for an aborted group."""

        async def judge(request: Request, generation: asyncio.Future[Completion]) -> Sample | None:
            completion = await generation
            if completion.finish_reason == "aborted":
                return None
            return await _judge(problem, request, completion, self.driver.text, self.driver.rewards)

        samples = await asyncio.gather(*map(judge, requests, generations))
        judged = [sample for sample in samples if sample is not None]
        self.counters.masked += sum(sample.reward.value is None for sample in judged)
        return judged if len(judged) == len(samples) else None

    async def _abort(self, groups: Sequence[int]) -> None:
        size = self.driver.group_size
        ids = [f"{self.draws[group].number}.{member}" for group in groups for member in range(size)]
        if ids:
            await self.driver.engine.abort(*ids)

    def _group(self, group: int) -> Group:
        draw = self.draws[group]
        judged = tuple(sample for sample in self.samples[group] if sample.reward.value is not None)
        return Group(self.driver.problems[draw.problem], draw, judged)

    def _statistics(self, groups: Sequence[Group], wall_s: float) -> dict[str, float]:
        counters, prefix = self.counters, self.scheduler.prefix
        finished = [samples for group, samples in sorted(self.samples.items()) if group < prefix]
        lengths = [len(sample.completion.tokens) for samples in finished for sample in samples]
        trained = [len(sample.completion.tokens) for group in groups for sample in group.samples]
        passed = [sample.reward.passed for samples in finished for sample in samples if sample.reward.value is not None]
        rewards = [sample.reward.value for samples in finished for sample in samples if sample.reward.value is not None]
        stopped = [sample.completion.finish_reason == "stop" for samples in finished for sample in samples]
        return {
            "groups_launched": len(self.draws),
            "groups_finished": len(self.samples),
            "groups_in_prefix": prefix,
            "groups_valid": len(groups),
            "valid_rate": len(groups) / max(prefix, 1),
            "surplus": (sum(self.scheduler.finished_valid) - len(groups)) / max(len(groups), 1),
            "pass_rate": _mean(passed),
            "reward": _mean(rewards),
            "easy_draws": float(sum(draw.easy for draw in self.draws[:prefix])),
            "easy_pool": float(len(self.driver.sampler.easy)),
            "stopped": _mean(stopped),
            "length": _mean(lengths),
            "trained_length": _mean(trained),
            "trained_length_p90": float(np.quantile(trained, 0.9)) if trained else 0.0,
            "masked": float(counters.masked),
            "aborted_completions": float(counters.aborted_completions),
            "aborted_tokens": float(counters.aborted_tokens),
            "sampled_tokens": float(counters.sampled_tokens),
            "wall_s": wall_s,
            "tokens_per_s": counters.sampled_tokens / wall_s if wall_s else 0.0,
            "reward_wait": counters.waited_s / wall_s if wall_s else 0.0,
        }


async def sample_all(
    engine: Engine, items: Sequence[tuple[MathProblem | CodeProblem, Request]], text: Text, rewards: Rewards,
    on_sample: Callable[[int, Sample], None] | None = None,
) -> list[Sample]:  # fmt: skip
    """Sample and judge every item; the whole set is launched at once, rewards overlap with sampling.

    Args:
        on_sample: called with (index, sample) as each one is judged, in any order; for progress and checkpoints.
    """

    async def one(index: int, problem: MathProblem | CodeProblem, request: Request) -> Sample:
        sample = await _judge(problem, request, await engine.submit(request), text, rewards)
        if on_sample is not None:
            on_sample(index, sample)
        return sample

    tasks = [asyncio.create_task(one(index, *item)) for index, item in enumerate(items)]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:   # after a failure: cancelling a request aborts it
            task.cancel()


async def _judge(
    problem: MathProblem | CodeProblem, request: Request, completion: Completion, text: Text, rewards: Rewards
) -> Sample:
    tokens = completion.tokens
    if completion.finish_reason == "stop":   # the stop token is no text
        tokens = tokens[:-1]
    written = text.text(tokens)
    reward = await asyncio.wrap_future(rewards.submit(problem, written))
    return Sample(request.prompt_tokens, completion, written, reward)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
