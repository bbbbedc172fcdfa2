"""The seamless rollout engine's policy (report section 3.4.1): what to launch, what to abort, when to stop.

A task is a group: one problem and its completions. Groups are numbered by launch order, 0, 1, 2, … in each step.

- Continuous rollout: launch more only if the running groups are not expected to suffice.
- Dynamic sampling: a group is valid if its rewards differ; only valid groups are trained on.
- Early termination, first in first out: the batch is the first B valid groups in launch order, and it is complete when
  every group launched before the last of them has finished. Taking whichever groups finish first would favour short
  responses; this rule makes the batch independent of how long anything takes.

Pure policy: no clock, no IO, no engine. The driver and the simulator run it unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field


def is_valid(rewards: Sequence[float | None]) -> bool:
    """Whether a group teaches: at least two rewards, not all equal. None is a masked completion (nobody's fault)."""
    known = [reward for reward in rewards if reward is not None]
    return len(known) >= 2 and min(known) < max(known)


@dataclass
class ValidRate:
    """Estimate of P(group is valid): this step's count, and earlier steps' estimate as `weight` further groups.

    Groups are counted in launch order, each when all before it have finished: those that finish first are mostly
    solved or hopeless problems with short answers, and counting them as they come would launch twice too much.
    """

    prior: float = 0.5
    weight: float = 32.0
    valid: int = 0
    finished: int = 0

    def count(self, valid: bool) -> None:
        self.valid += valid
        self.finished += 1

    @property
    def estimate(self) -> float:
        return (self.prior * self.weight + self.valid) / (self.weight + self.finished)

    def next_step(self) -> None:
        """Carry the estimate over as the prior of the next step."""
        self.prior, self.valid, self.finished = self.estimate, 0, 0

    def state_dict(self) -> dict[str, float]:
        return {"prior": self.prior, "weight": self.weight, "valid": self.valid, "finished": self.finished}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.prior, self.weight = float(state["prior"]), float(state["weight"])
        self.valid, self.finished = int(state["valid"]), int(state["finished"])


@dataclass(frozen=True)
class Actions:
    """What to do now: launch these new groups, abort these running ones; `done` when the batch is complete."""

    launch: range
    abort: tuple[int, ...]
    done: bool


@dataclass
class SeamlessScheduler:
    """One step's policy. Ask `next_actions` at the start and after each `on_group_rewarded`; obey.

    Args:
        batch_size: B, the valid groups wanted.
        rate: the running estimate of the share of valid groups, shared by all steps.
        max_groups: launch no more than this in a step. A policy that solves all problems or none has no valid groups;
            the step then ends with fewer than B.
    """

    batch_size: int
    rate: ValidRate
    max_groups: int
    _valid: dict[int, bool] = field(default_factory=dict)    # of each finished group
    _aborted: set[int] = field(default_factory=set)
    _launched: int = 0
    _counted: int = 0                                        # length of the fully finished prefix

    def on_group_rewarded(self, group: int, rewards: Sequence[float | None]) -> None:
        """All rewards of a group are there."""
        if group in self._aborted:   # its rewards were on their way
            return
        if group in self._valid or not 0 <= group < self._launched:
            raise ValueError(f"group {group} was not running")
        self._valid[group] = is_valid(rewards)
        while self._counted in self._valid:
            self.rate.count(self._valid[self._counted])
            self._counted += 1

    def next_actions(self) -> Actions:
        launch, end = range(0), self._end()
        if end is None:
            launch = self._launch()
            end = self._launched if self._launched == self.max_groups else None
        running = [group for group in range(self._launched) if group not in self._valid and group not in self._aborted]
        # Groups behind B finished valid ones cannot be selected any more, however those before turn out.
        abort = tuple(group for group in running if end is not None and group >= end)
        self._aborted.update(abort)
        return Actions(launch, abort, done=end is not None and len(abort) == len(running))

    @property
    def selected(self) -> list[int]:
        """The batch: the first B valid groups in launch order (when `done`)."""
        return [group for group in sorted(self._valid) if self._valid[group]][: self.batch_size]

    @property
    def finished_valid(self) -> list[bool]:
        """Of each finished group in launch order, whether it is valid: those beyond the batch are surplus."""
        return [self._valid[group] for group in sorted(self._valid)]

    @property
    def prefix(self) -> int:
        """Launches up to the last group of the batch (when `done`): what the step consumed of the problem stream."""
        end = self._end()
        return self._launched if end is None else end

    def _end(self) -> int | None:
        """One past the B-th finished valid group in launch order, if there are that many."""
        selected = self.selected
        return selected[-1] + 1 if len(selected) == self.batch_size else None

    def _launch(self) -> range:
        valid = sum(self._valid.values())
        active = self._launched - len(self._valid)
        expected = self.rate.estimate
        if valid + expected * active >= self.batch_size:
            return range(0)
        wanted = math.ceil((self.batch_size - valid) / max(expected, 1e-6)) - active
        first, self._launched = self._launched, min(self._launched + max(wanted, 1), self.max_groups)
        return range(first, self._launched)
