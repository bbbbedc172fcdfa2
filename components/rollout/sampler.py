"""Which problem comes next: shuffled epochs, and now and then one from the easy pool (report section 3.3.2).

A problem whose every completion is right leaves the epochs for the easy pool; with probability alpha a draw comes from
there instead, and a problem that is no longer perfect goes back. Without such draws policy updates became unstable.

A draw is a function of (seed, number of the draw, pool): no hidden generator, so the state is a few integers and the
draws that a step launched but did not use are taken back with `rewind`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Draw:
    """One draw: `problem` is an index; `number`, `epoch` and `position` say where the sampler was before it."""

    problem: int
    easy: bool
    number: int
    epoch: int
    position: int


class ProblemSampler:
    """Draws among `size` problems. Raises ValueError if there are none."""

    def __init__(self, size: int, seed: int, alpha: float = 0.1) -> None:
        if size < 1:
            raise ValueError("no problems to draw from")
        self.size = size
        self.seed = seed
        self.alpha = alpha
        self.number = 0
        self.epoch = 0
        self.position = 0
        self.easy: set[int] = set()
        self._order = self._shuffled(0)

    def draw(self) -> Draw:
        """The next problem."""
        number, epoch, position = self.number, self.epoch, self.position
        self.number += 1
        chance = np.random.default_rng([self.seed, 0, number])
        if self.easy and (chance.random() < self.alpha or len(self.easy) == self.size):
            return Draw(int(chance.choice(sorted(self.easy))), True, number, epoch, position)
        while True:
            if self.position == self.size:
                self._move_to(self.epoch + 1, 0)
            problem = int(self._order[self.position])
            self.position += 1
            if problem not in self.easy:
                return Draw(problem, False, number, epoch, position)

    def rewind(self, draw: Draw) -> None:
        """Take back `draw` and all later ones. Call it before `record`, which changes what the draws depend on."""
        self.number = draw.number
        self._move_to(draw.epoch, draw.position)

    def record(self, problem: int, perfect: bool) -> None:
        """A problem's pass rate in this step: perfect or not."""
        if perfect:
            self.easy.add(problem)
        else:
            self.easy.discard(problem)

    def state_dict(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "size": self.size, "seed": self.seed, "number": self.number, "epoch": self.epoch,
            "position": self.position, "easy": sorted(self.easy),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken.

        Raises:
            ValueError: it belongs to another problem set or seed.
        """
        if (state["size"], state["seed"]) != (self.size, self.seed):
            raise ValueError(
                f"sampler state of {state['size']} problems, seed {state['seed']}; here are {self.size}, {self.seed}"
            )
        self.number, self.easy = state["number"], set(state["easy"])
        self._move_to(state["epoch"], state["position"])

    def _move_to(self, epoch: int, position: int) -> None:
        if epoch != self.epoch:
            self._order = self._shuffled(epoch)
        self.epoch, self.position = epoch, position

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng([self.seed, 1, epoch]).permutation(self.size)
