"""Teachers answer requests: synthesis writes documents with one, filtering labels documents with one.

- `Teacher`          the interface: messages in, `n` generations out
- `Generation`       one answer
- `RecordedTeacher`  a model behind an OpenAI-compatible endpoint, in endpoint.py
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

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
