"""The door of the rewards: a problem and a completion in, a reward out, for both kinds of problem.

Used by RL, curation, evaluation and synthesis. Only accuracy pays (report, section 3.2): no format reward, no length
penalty. A failure of the machinery is None, never 0: the completion is masked out of whatever is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Literal

from components.problems import CodeProblem, MathProblem
from components.reward import code, difficulty, math
from components.reward.config import RewardConfig
from components.reward.judges import open_judge, program_limits

Kind = Literal["correct", "wrong", "unparsable", "timeout", "infrastructure"]


@dataclass(frozen=True)
class Reward:
    """What a completion is paid, in [0, 1], or None when it could not be judged.

    `kind` is one vocabulary for both kinds of problem: a code completion is `correct` if every test passes,
    `unparsable` if it holds no program. `passed` is what evaluation counts, whatever the reward scheme.
    """

    value: float | None
    kind: Kind
    passed: bool = False
    tests: tuple[str, ...] = ()


class Rewarder:
    """Judges completions, by processes of its own or by the judge at `judge_url`.

    Its own processes start when the first completion needs them and end with `close`. `submit` may be called from any
    thread and never blocks on a verdict; easy math is decided before it returns.
    From asyncio: `await asyncio.wrap_future(rewarder.submit(problem, completion))`.

    Raises:
        JudgeError: the judge at `judge_url` is not there, not ready, or judges by other rules than this code.
    """

    def __init__(self, config: RewardConfig) -> None:
        self.config = config
        self._limits = program_limits(config)
        self.judge = open_judge(config)

    def submit(self, problem: MathProblem | CodeProblem, completion: str) -> Future[Reward]:
        """The reward of a completion, later.

        Raises:
            SandboxError: the first code problem came, and this machine grants no sandbox of the minimum level.
        """
        reward: Future[Reward] = Future()
        if isinstance(problem, MathProblem):
            verdict = math.quick_verdict(problem.answer, completion)
            if verdict is not None:
                reward.set_result(_math_reward(verdict))
            else:
                _then(self.judge.compare(problem.answer, completion), _math_reward, reward)
            return reward
        program = code.extract_program(completion)
        if program is None:
            reward.set_result(Reward(0.0, "unparsable", tests=("error",) * len(problem.tests)))
        else:
            verdicts = self.judge.run(program, problem, self._limits)
            _then(verdicts, lambda verdict: self._code_reward(problem, verdict), reward)
        return reward

    def score(self, problem: MathProblem | CodeProblem, completion: str) -> Reward:
        """`submit`, and wait."""
        return self.submit(problem, completion).result()

    def close(self) -> None:
        """Finish what was submitted and end all processes."""
        self.judge.close()

    def __enter__(self) -> Rewarder:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _code_reward(self, problem: CodeProblem, verdict: code.CodeVerdict) -> Reward:
        if verdict.infrastructure:
            return Reward(None, "infrastructure", tests=verdict.tests)
        passed = [kind == "pass" for kind in verdict.tests]
        rates = [test.pass_rate for test in problem.tests]
        if self.config.scheme == "strict":
            value = difficulty.strict_reward(passed, rates, self.config.scores)
        elif self.config.scheme == "soft":
            value = difficulty.soft_reward(passed, rates, self.config.scores)
        else:
            value = difficulty.all_or_nothing(passed)
        return Reward(value, "correct" if verdict.passed else "wrong", verdict.passed, verdict.tests)


def _math_reward(verdict: math.Verdict) -> Reward:
    return Reward(verdict.reward, verdict.kind, verdict.kind == "correct")


def _then(source: Future[Any], change: Callable[[Any], Reward], target: Future[Reward]) -> None:
    """Set `target` to `change` of `source`'s result when it has one."""

    def finish(done: Future[Any]) -> None:
        try:
            value = change(done.result())
        except BaseException as error:
            target.set_exception(error)
        else:
            target.set_result(value)

    target.set_running_or_notify_cancel()
    source.add_done_callback(finish)
