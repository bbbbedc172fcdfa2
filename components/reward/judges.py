"""Who gives verdicts: the pools of this process, or a judge behind a URL. One config key apart, same answers."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import Future
from typing import Protocol

from components.problems import CodeProblem
from components.reward import code, math
from components.reward.config import RewardConfig
from components.reward.sandbox import Limits, SandboxPool
from components.reward.sandbox.levels import Level


class Judge(Protocol):
    """Gives verdicts later. May be asked from any thread; never blocks on a verdict."""

    def compare(self, gold: str, completion: str) -> Future[math.Verdict]:
        """The verdict on the boxed answer of `completion`."""

    def run(self, program: str, problem: CodeProblem, limits: Limits) -> Future[code.CodeVerdict]:
        """The verdict on `program`, run on all tests of `problem`."""

    def close(self) -> None:
        """Finish what was submitted and let go of everything."""


def open_judge(config: RewardConfig) -> Judge:
    """The judge that `config` names.

    Raises:
        JudgeError: `judge_url` is set, and what is there cannot be used; nothing else is used instead.
    """
    if config.judge_url:
        from components.reward.service.client import JudgeClient  # needs httpx, which the pools do not

        return JudgeClient(config.judge_url, config.judge_priority, config.judge_patience_s)
    return LocalJudge(config.slots, config.math_workers, config.minimum_level)


def program_limits(config: RewardConfig) -> Limits:
    """What one test of a program may use."""
    return Limits(
        cpu_s=config.cpu_s, wall_s=config.wall_s, memory_bytes=config.memory_mb << 20,
        output_bytes=config.output_kb << 10,
    )


class LocalJudge:
    """Both pools in this process. Each starts when the first problem of its kind comes."""

    def __init__(self, slots: int, math_workers: int, minimum_level: Level) -> None:
        self._slots, self._math_workers, self._minimum_level = slots, math_workers, minimum_level
        self._lock = threading.Lock()
        self._sandbox: SandboxPool | None = None
        self._math: math.MathPool | None = None

    def compare(self, gold: str, completion: str) -> Future[math.Verdict]:
        return self.math_pool().submit(gold, completion)

    def run(self, program: str, problem: CodeProblem, limits: Limits) -> Future[code.CodeVerdict]:
        """See `Judge.run`.

        Raises:
            SandboxError: the first program came, and this machine grants no sandbox of the minimum level.
        """
        return code.submit(program, problem, self.sandbox_pool(), limits)

    def close(self) -> None:
        """Finish what was submitted and end all processes."""
        with self._lock:
            for pool in (self._sandbox, self._math):
                if pool is not None:
                    pool.close()
            self._sandbox = self._math = None

    def sandbox_pool(self) -> SandboxPool:
        """The sandbox, started if it is not.

        Raises:
            SandboxError: this machine grants no sandbox of the minimum level.
        """
        with self._lock:
            if self._sandbox is None:
                self._sandbox = SandboxPool(self._slots, self._minimum_level)
                print(self._sandbox.description, file=sys.stderr, flush=True)
            return self._sandbox

    def math_pool(self) -> math.MathPool:
        """The math workers' pool, made if there is none."""
        with self._lock:
            if self._math is None:
                self._math = math.MathPool(self._math_workers)
            return self._math
