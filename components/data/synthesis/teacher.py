"""The teacher of the smoke profile: programs of this project (`solvers.py`, `reading.py`)."""

from __future__ import annotations

from collections.abc import Sequence

from components.data.synthesis.reading import read
from components.data.synthesis.solvers import solve
from components.data.teacher import Generation, Message


class SolverTeacher:
    """Solver programs; they read the last message only, so repeated answers would be the same: one is given."""

    async def generate(self, request: str, messages: Sequence[Message], n: int, seed: int) -> list[Generation]:
        """See `Teacher.generate`."""
        prompt = messages[-1]["content"]
        solution = solve(prompt) or read(prompt)
        if solution is None:
            return [Generation("", refused="no solver reads this prompt")]
        return [Generation(solution.text)]
