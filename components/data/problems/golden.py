"""Golden solutions against their own tests, in the reward's sandbox.

Report, section 3.1: a problem whose golden solution fails any of its tests is removed.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from components.artifacts import write_json
from components.problems import CodeProblem
from components.reporting import Progress
from components.reward.config import RewardConfig
from components.reward.judges import Judge, open_judge, program_limits
from components.reward.sandbox import Limits, SandboxError

CHUNK = 100   # problems judged between two resume points


def failures(
    problems: Sequence[CodeProblem], reward: RewardConfig, work: Path, progress: Progress
) -> dict[str, str]:
    """Problems whose golden solution does not pass: id -> which tests failed and how.

    Args:
        work: where finished chunks are remembered; a resumed stage goes on behind the last one.

    Raises:
        SandboxError: the machine grants no sandbox, or the sandbox failed on a program.
        JudgeError: the judge at `reward.judge_url` cannot be used.
    """
    if not problems:
        return {}
    failed: dict[str, str] = {}
    limits = program_limits(reward)
    directory = work / "golden"
    directory.mkdir(exist_ok=True)
    chunks = [problems[start : start + CHUNK] for start in range(0, len(problems), CHUNK)]
    with closing(open_judge(reward)) as judge:
        for index, chunk in enumerate(chunks):
            marker = directory / f"part-{index:05d}.json"
            if not marker.exists():
                write_json(marker, _judge(chunk, judge, limits))
            failed.update(json.loads(marker.read_text()))
            progress.update(index + 1, len(chunks), f"golden solutions: {(index + 1) * CHUNK} of {len(problems)}")
    return failed


def _judge(problems: Sequence[CodeProblem], judge: Judge, limits: Limits) -> dict[str, str]:
    failed = {}
    verdicts = [judge.run(problem.golden, problem, limits) for problem in problems]
    for problem, verdict in zip(problems, [future.result() for future in verdicts], strict=True):
        if verdict.infrastructure:
            raise SandboxError(f"the sandbox failed on the golden solution of {problem.id}; run the stage again")
        wrong = [f"test {number}: {kind}" for number, kind in enumerate(verdict.tests, 1) if kind != "pass"]
        if wrong:
            failed[problem.id] = ", ".join(wrong)
    return failed
