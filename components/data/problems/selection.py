"""Which problems are kept: distinct questions, none of them in both parts.

Evaluation is drawn first and claims its questions; training takes from what is left. Questions are compared by content
(`math.content`, then case and white space), so a held-out equation does not return with another letter.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from components.data.problems import code, math
from components.data.problems.config import CodeFamily, Config, MathGenerator
from components.data.problems.sources import Candidate, prompt_key, read_dataset, read_files
from components.problems import CodeProblem, MathProblem

PARTS = ("evaluation", "train")
PATIENCE = 3000   # draws in a row without a new question after which a generator counts as exhausted

Problem = MathProblem | CodeProblem
Rejected = dict[str, str]   # where, source, reason, detail


@dataclass
class Selection:
    """Problems of each part, what was set aside from each, and counts for the report."""

    problems: dict[str, list[Problem]] = field(default_factory=lambda: {part: [] for part in PARTS})
    rejected: dict[str, list[Rejected]] = field(default_factory=lambda: {part: [] for part in PARTS})
    repeats: Counter[str] = field(default_factory=Counter)     # draws of a generator that were no new question
    shortfall: Counter[str] = field(default_factory=Counter)   # problems a generator could not give any more
    _owner: dict[str, str] = field(default_factory=dict)       # content -> the part that has it
    _seen: set[str] = field(default_factory=set)               # prompts, normalised

    def claim(self, problem: Problem, part: str) -> str:
        """Take a problem if its question is new; returns the reason if it is not."""
        prompt = prompt_key(problem.prompt)
        if self._owner.setdefault(prompt_key(_content(problem)), part) != part:
            return "in_evaluation"
        if prompt in self._seen:
            return "duplicate"
        self._seen.add(prompt)
        self.problems[part].append(problem)
        return ""

    def reject(self, part: str, where: str, source: str, reason: str, detail: str = "") -> None:
        self.rejected[part].append({"where": where, "source": source, "reason": reason, "detail": detail})


def select(config: Config) -> Selection:
    """Draw, read and keep. Deterministic: the same config and files give the same problems in the same order."""
    selection = Selection()
    candidates = list(_candidates(config))
    for part in PARTS:
        for name, candidate in candidates:
            if candidate.part == part:
                _take(selection, part, name, candidate)
        _generate(selection, config, part)
        random.Random(f"{part}/{config.seed}").shuffle(selection.problems[part])
    return selection


def _content(problem: Problem) -> str:
    return math.content(problem) if isinstance(problem, MathProblem) else problem.prompt


def _candidates(config: Config) -> Iterator[tuple[str, Candidate]]:
    for file in config.files:
        yield from ((file.name, candidate) for candidate in read_files(file))
    for dataset in config.datasets:
        yield from ((dataset.name, candidate) for candidate in read_dataset(dataset))


def _take(selection: Selection, part: str, source: str, candidate: Candidate) -> None:
    if candidate.problem is None:
        selection.reject(part, candidate.where, source, candidate.reason, candidate.detail)
        return
    reason = selection.claim(candidate.problem, part)
    if reason:
        selection.reject(part, candidate.where, source, reason, candidate.problem.prompt)


def _generate(selection: Selection, config: Config, part: str) -> None:
    math_count, code_count = (
        (config.math_evaluation, config.code_evaluation)
        if part == "evaluation"
        else (config.math_train, config.code_train)
    )
    for number, (source, count) in enumerate(zip(config.math, quotas(config.math, math_count), strict=True)):
        stream = math.generate(source.generator, source.parameters, config.seed, part)
        _draw(selection, part, f"math[{number}] {source.generator}", stream, count)
    for family, count in zip(config.code, quotas(config.code, code_count), strict=True):
        _draw(selection, part, f"code {family.family}", code.generate(family.family, config.seed, part), count)


def _draw(selection: Selection, part: str, name: str, problems: Iterable[Problem], count: int) -> None:
    taken = misses = 0
    stream = iter(problems)
    while taken < count and misses < PATIENCE:
        problem = next(stream, None)
        if problem is None:
            break
        if selection.claim(problem, part):
            misses += 1
            selection.repeats[name] += 1
        else:
            taken, misses = taken + 1, 0
    if taken < count:
        selection.shortfall[f"{part} {name}"] += count - taken


def quotas(sources: Sequence[MathGenerator] | Sequence[CodeFamily], count: int) -> list[int]:
    """Split `count` by the sources' weights; the parts add up to `count` (largest remainders first)."""
    total = sum(source.weight for source in sources)
    exact = [count * source.weight / total for source in sources]
    shares = [int(value) for value in exact]
    by_remainder = sorted(range(len(exact)), key=lambda index: (shares[index] - exact[index], index))
    for index in by_remainder[: count - sum(shares)]:
        shares[index] += 1
    return shares
