"""Rejection sampling: which of the teacher's answers to one request are kept, and why the others are not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from components.data.synthesis.acceptance import distinct, flaw
from components.data.synthesis.config import Config
from components.data.synthesis.requests import Request
from components.data.teacher import Generation
from components.problems import CodeProblem, MathProblem
from components.reward.code import extract_program
from components.reward.rewards import Rewarder
from components.reward.sandbox import SandboxError


@dataclass(frozen=True)
class Verdict:
    """Kept when `reason` is empty."""

    reason: str = ""
    detail: str = ""


async def judge(
    request: Request, generations: Sequence[Generation], config: Config, rewarder: Rewarder
) -> list[Verdict]:
    """A verdict for each generation, in order: readable, right, not a copy of an earlier one, not too many.

    Raises:
        SandboxError: the sandbox failed, so an answer could not be verified.
    """
    verdicts = [Verdict(*flaw(request.prompt, generation, config.mixing)) for generation in generations]
    if request.problem is not None:
        for index, generation in enumerate(generations):
            if not verdicts[index].reason:
                verdicts[index] = await _verify(request.problem, generation.text, rewarder)
    good = [index for index, verdict in enumerate(verdicts) if not verdict.reason]
    new = distinct([generations[index].text for index in good], config.near_duplicate)
    kept = 0
    for index, is_new in zip(good, new, strict=True):
        if not is_new:
            verdicts[index] = Verdict("near_duplicate", generations[index].text[:200])
        elif kept >= config.problems.keep:
            verdicts[index] = Verdict("enough_answers", f"{kept} are kept already")
        else:
            kept += 1
    return verdicts


async def _verify(problem: MathProblem | CodeProblem, completion: str, rewarder: Rewarder) -> Verdict:
    if isinstance(problem, CodeProblem) and problem.golden and extract_program(completion) == problem.golden + "\n":
        return Verdict()   # the problems stage ran this very program on these tests
    reward = await asyncio.wrap_future(rewarder.submit(problem, completion))
    if reward.kind == "infrastructure":
        raise SandboxError(f"the answer to {problem.id} could not be verified; run the stage again")
    if reward.passed:
        return Verdict()
    return Verdict(reward.kind, ", ".join(reward.tests) or completion[-200:])
