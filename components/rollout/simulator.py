"""A simulated cluster of decoders and judges, in which the seamless scheduler is tried unchanged.

Discrete events, no real clock: a decoder advances all its sequences together, the faster the fewer they are
(`World.step_s`); lengths are lognormal and longer on harder problems; rewards take time in a pool of judges. The stream
of problems, their lengths, outcomes and latencies are the same for every strategy. Strategies, in the order of the
report's Table 2, then what it is honest to compare with:

    one_round      no dynamic sampling: one batch, trained on whole
    naive          dynamic sampling in rounds of a batch, rewards after each round
    continuous     SeamlessScheduler's launches; a decoder waits for its own rewards; all launched groups are awaited
    asynchronous   the same with rewards beside generation
    seamless       the same with early termination: SeamlessScheduler as it is
    strong         synchronous, but launches what the valid rate calls for at once, with rewards beside generation
    greedy         trains on whichever groups finish first: fast, and biased to short responses

A sequence's share of its decoder's time is tracked through the integral of 1 / (sequences running).
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from components.rollout.scheduler import SeamlessScheduler, ValidRate, is_valid

Strategy = Literal["one_round", "naive", "continuous", "asynchronous", "seamless", "strong", "greedy"]


@dataclass(frozen=True)
class World:
    """What is simulated. The default resembles the report's: 32 sequences a GPU and round, 41 % of groups valid."""

    decoders: int = 64
    slots: int = 128                       # sequences a decoder runs at once
    group_size: int = 16
    base_step_s: float = 0.006             # one decode step: weights
    sequence_step_s: float = 0.0003        # and each sequence's keys and values
    max_tokens: int = 32_000
    log_length: float = 7.9                # of the median length on the easiest problems
    log_length_hard: float = 1.2           # more on the hardest
    log_length_spread: float = 0.6
    solved: float = 0.32                   # share of problems with pass rate 1
    hopeless: float = 0.17                 # and 0; the others' is Beta(0.6, 0.6)
    judges: int = 64
    reward_s: float = 2.0                  # median latency; lognormal
    reward_spread: float = 1.0
    train_tokens_per_s: float = 250_000.0

    def step_s(self, sequences: int) -> float:
        """Time of one token of each of `sequences`."""
        return self.base_step_s + self.sequence_step_s * sequences


@dataclass
class Group:
    """A problem's completions, as fate has them."""

    lengths: list[int]
    rewards: list[float]
    latencies: list[float]
    judged: int = 0
    aborted: bool = False


@dataclass(frozen=True)
class Summary:
    """Figures of a run; times in simulated seconds."""

    wall_s: float                 # rollout and training
    rollout_s: float              # generation and rewards
    idle_s: float                 # decoder-seconds without a sequence, or spent on aborted ones
    idle_ratio: float             # of the decoder-seconds of the rollout
    waste: float                  # surplus valid groups / batch
    valid_rate: float
    trained_length: float         # mean over the groups trained on
    offered_length: float         # mean over the valid groups of the problem stream: what an unbiased step trains on
    steps: int

    @property
    def length_bias(self) -> float:
        return self.trained_length / self.offered_length - 1


def simulate(
    world: World, strategy: Strategy, *, batch_size: int = 128, steps: int = 5, seed: int = 0
) -> Summary:
    """Run `steps` RL steps of `batch_size` valid groups and measure them."""
    rate, position = ValidRate(), 0
    rollout_s = train_s = idle_s = waste = 0.0
    trained: list[Group] = []
    finished = valid = 0
    for _ in range(steps):
        step = _Step(world, strategy, batch_size, rate, lambda index: _make_group(world, seed, index), position)
        batch = step.run()
        # early termination takes unused launches back; the others have consumed what they launched
        position += step.scheduler.prefix if strategy == "seamless" else len(step.groups)
        rollout_s += step.now
        idle_s += step.now * world.decoders - step.useful_s()
        train_s += sum(sum(group.lengths) for group in batch) / world.train_tokens_per_s
        whole = [group for group in step.groups if group.judged == world.group_size]
        finished += len(whole)
        valid += sum(is_valid(group.rewards) for group in whole)
        if strategy != "one_round":
            waste += (sum(is_valid(group.rewards) for group in whole) - len(batch)) / batch_size
        trained += batch
        rate.next_step()
    offered = [_make_group(world, seed, index) for index in range(position)]
    lengths = [np.mean(group.lengths) for group in offered if strategy == "one_round" or is_valid(group.rewards)]
    return Summary(
        wall_s=rollout_s + train_s, rollout_s=rollout_s, idle_s=idle_s,
        idle_ratio=idle_s / (rollout_s * world.decoders), waste=waste / steps, valid_rate=valid / finished,
        trained_length=float(np.mean([np.mean(group.lengths) for group in trained])),
        offered_length=float(np.mean(lengths)), steps=steps,
    )  # fmt: skip


def _make_group(world: World, seed: int, index: int) -> Group:
    rng = np.random.default_rng([seed, index])
    chance, size = rng.random(), world.group_size
    pass_rate = 1.0 if chance < world.solved else 0.0 if chance > 1 - world.hopeless else rng.beta(0.6, 0.6)
    median = world.log_length + world.log_length_hard * (1 - pass_rate)
    lengths = np.exp(rng.normal(median, world.log_length_spread, size)).clip(16, world.max_tokens)
    latencies = world.reward_s * np.exp(rng.normal(0, world.reward_spread, size))
    rewards = (rng.random(size) < pass_rate).astype(float)
    return Group(lengths.astype(int).tolist(), rewards.tolist(), latencies.tolist())


@dataclass
class _Sequence:
    group: int
    member: int
    share_at_start: float = 0.0


@dataclass
class _Decoder:
    """Processor sharing: `tokens` and `share` are what a sequence running since time 0 would have got."""

    world: World
    tokens: float = 0.0
    share: float = 0.0
    time: float = 0.0
    blocked_until: float = 0.0                                  # waits for a reward
    useful: float = 0.0                                         # seconds spent on sequences that were not aborted
    version: int = 0                                            # of its next event: older ones are void
    running: dict[tuple[int, int], _Sequence] = field(default_factory=dict)
    ends: list[tuple[float, int, int]] = field(default_factory=list)   # heap of (tokens, group, member)
    queue: deque[tuple[_Sequence, int]] = field(default_factory=deque)

    @property
    def load(self) -> int:
        return len(self.running) + len(self.queue)

    def advance(self, now: float) -> None:
        """Let time pass, of which a wait for a reward decodes nothing."""
        worked = now - max(self.time, min(self.blocked_until, now))
        if self.running and worked > 0:
            self.tokens += worked / self.world.step_s(len(self.running))
            self.share += worked / len(self.running)
        self.time = now

    def fill(self) -> None:
        """Start queued sequences in free slots."""
        while self.queue and len(self.running) < self.world.slots:
            sequence, length = self.queue.popleft()
            sequence.share_at_start = self.share
            self.running[sequence.group, sequence.member] = sequence
            heapq.heappush(self.ends, (self.tokens + length, sequence.group, sequence.member))

    def next_end(self) -> float | None:
        """When the shortest running sequence ends, if nothing changes."""
        while self.ends and self.ends[0][1:] not in self.running:
            heapq.heappop(self.ends)
        if not self.ends:
            return None
        left = max(self.ends[0][0] - self.tokens, 0.0)
        return max(self.time, self.blocked_until) + left * self.world.step_s(len(self.running))

    def end(self, key: tuple[int, int], useful: bool) -> None:
        """A sequence ends; its share of the decoder's time was useful unless it was aborted."""
        sequence = self.running.pop(key)
        if useful:
            self.useful += self.share - sequence.share_at_start


class _Step:
    """One step of one strategy: the event loop."""

    def __init__(
        self, world: World, strategy: Strategy, batch_size: int, rate: ValidRate, make: Callable[[int], Group],
        position: int,
    ) -> None:  # fmt: skip
        self.world, self.strategy, self.batch_size, self.rate = world, strategy, batch_size, rate
        self.scheduler = SeamlessScheduler(batch_size, rate, max_groups=64 * batch_size)
        self.make, self.position = make, position
        self.groups: list[Group] = []
        self.order: list[int] = []                 # groups in the order in which their last reward came
        self.now = 0.0
        self.decoders = [_Decoder(world) for _ in range(world.decoders)]
        self._judges = [0.0] * world.judges        # heap: when each is free
        self._events: list[tuple[float, int, str, int, int]] = []
        self._serial = 0

    def run(self) -> list[Group]:
        """The groups trained on."""
        if self.strategy in ("one_round", "naive"):
            return self._run_rounds()
        if self.strategy == "strong":
            return self._run_strong()
        while not (actions := self.scheduler.next_actions()).done:
            self._obey(actions.launch, actions.abort)
            if self.strategy == "greedy" and len(valid := self._valid(self.order)) >= self.batch_size:
                return valid[: self.batch_size]
            self.scheduler.on_group_rewarded(*self._next_rewarded())
        self._obey(range(0), actions.abort)
        if self.strategy != "seamless":   # without early termination, everything launched is awaited
            self._drain()
        return [self.groups[group] for group in self.scheduler.selected]

    def useful_s(self) -> float:
        return sum(decoder.useful for decoder in self.decoders)

    def _run_rounds(self) -> list[Group]:
        while True:
            self._launch(self.batch_size)
            self._drain()
            if self.strategy == "one_round":
                return self.groups
            if len(valid := self._valid()) >= self.batch_size:
                return valid[: self.batch_size]

    def _run_strong(self) -> list[Group]:
        while (missing := self.batch_size - len(self._valid())) > 0:
            self._launch(math.ceil(missing / self.rate.estimate))
            self._drain()
        return self._valid()[: self.batch_size]

    def _valid(self, order: Sequence[int] | None = None) -> list[Group]:
        """Valid groups in launch order, or in the order given; all have finished."""
        order = range(len(self.groups)) if order is None else order
        return [self.groups[group] for group in order if is_valid(self.groups[group].rewards)]

    def _obey(self, launch: Iterable[int], abort: Iterable[int]) -> None:
        self._launch(len(list(launch)))
        if self.strategy in ("seamless", "greedy"):
            for group in abort:
                self._abort(group)

    def _launch(self, count: int) -> None:
        for _ in range(count):
            index = len(self.groups)
            group = self.make(self.position + index)
            self.groups.append(group)
            number = min(range(len(self.decoders)), key=lambda each: self.decoders[each].load)
            decoder = self.decoders[number]
            decoder.advance(self.now)
            decoder.queue.extend((_Sequence(index, member), length) for member, length in enumerate(group.lengths))
            self._reschedule(number)

    def _abort(self, index: int) -> None:
        self.groups[index].aborted = True
        for number, decoder in enumerate(self.decoders):
            keys = [key for key in decoder.running if key[0] == index]
            waiting = any(sequence.group == index for sequence, _ in decoder.queue)
            if keys or waiting:
                decoder.advance(self.now)
                decoder.queue = deque(item for item in decoder.queue if item[0].group != index)
                for key in keys:
                    decoder.end(key, useful=False)
                self._reschedule(number)

    def _reschedule(self, number: int) -> None:
        decoder = self.decoders[number]
        decoder.fill()
        decoder.version += 1
        end = decoder.next_end()
        if end is not None:
            self._push(end, "token", number, decoder.version)

    def _push(self, time: float, kind: str, a: int, b: int) -> None:
        self._serial += 1
        heapq.heappush(self._events, (time, self._serial, kind, a, b))

    def _next_rewarded(self) -> tuple[int, list[float]]:
        """Let time pass until a group has all its rewards."""
        while True:
            group = self._next_event()
            if group is not None:
                return group, self.groups[group].rewards

    def _drain(self) -> None:
        """Let time pass until nothing is left to happen."""
        held: list[tuple[int, int]] = []
        while self._events:
            self._next_event(held)
        for group, member in held:   # synchronous: rewards only after the last sequence
            self._judge(group, member)
        while self._events:
            self._next_event()

    def _next_event(self, held: list[tuple[int, int]] | None = None) -> int | None:
        """One event; returns the group whose last reward it was. Finished sequences are `held` back in rounds."""
        time, _, kind, a, b = heapq.heappop(self._events)
        if kind == "reward":
            group = self.groups[a]
            if group.aborted:
                return None
            self.now = time
            group.judged += 1
            if group.judged < self.world.group_size:
                return None
            self.order.append(a)
            if self.strategy == "strong":   # no scheduler counts for it
                self.rate.count(is_valid(group.rewards))
            return a
        decoder = self.decoders[a]
        if b != decoder.version:
            return None
        self.now = time
        decoder.advance(time)
        _, index, member = heapq.heappop(decoder.ends)
        decoder.end((index, member), useful=True)
        if held is not None and self.strategy in ("one_round", "naive"):
            held.append((index, member))
        else:
            done = self._judge(index, member)
            if self.strategy == "continuous":
                decoder.blocked_until = max(decoder.blocked_until, time + (done - time) / self.world.group_size)
        self._reschedule(a)
        return None

    def _judge(self, index: int, member: int) -> float:
        """Queue a completion for the judges; returns when its reward will be there."""
        free = heapq.heappop(self._judges)
        done = max(free, self.now) + self.groups[index].latencies[member]
        heapq.heappush(self._judges, done)
        self._push(done, "reward", index, member)
        return done
