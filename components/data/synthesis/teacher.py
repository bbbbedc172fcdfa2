"""Teachers: who answers a request.

- `Teacher`          the interface: messages in, `n` generations out
- `SolverTeacher`    programs of this project (`solvers.py`, `reading.py`)
- `EndpointTeacher`  a model behind an OpenAI-compatible endpoint, in endpoint.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from components.data.synthesis.reading import read
from components.data.synthesis.solvers import solve

Message = dict[str, str]


@dataclass(frozen=True)
class Generation:
    """One answer. `text` starts with `<think>` when the teacher thought aloud.

    Attributes:
        finished: False when the answer was cut off at the token limit.
        refused: why the teacher cannot answer this request at all, empty if it did.
        prompt_tokens, completion_tokens: as the teacher counts them; 0 if it does not.
    """

    text: str
    finished: bool = True
    refused: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Teacher(Protocol):
    """Answers requests; many may be in flight at once."""

    async def generate(self, request: str, messages: Sequence[Message], n: int, seed: int) -> list[Generation]:
        """`n` answers to `messages`.

        Args:
            request: a name for this request, unique and stable over restarts.
            seed: the first of `n` sampling seeds.

        Raises:
            TeacherError: the teacher cannot be reached or does not know us; the request itself may be fine.
        """


class TeacherError(RuntimeError):
    """The teacher failed, not the request: the stage stops and can be resumed."""


class SolverTeacher:
    """Solver programs; they read the last message only, so repeated answers would be the same: one is given."""

    async def generate(self, request: str, messages: Sequence[Message], n: int, seed: int) -> list[Generation]:
        prompt = messages[-1]["content"]
        solution = solve(prompt) or read(prompt)
        if solution is None:
            return [Generation("", refused="no solver reads this prompt")]
        return [Generation(solution.text)]
