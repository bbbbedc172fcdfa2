"""Which problems a rule can judge honestly, by their text alone (report, section 3.2).

Proofs have no answer to compare, multiple choice is right by luck, repeats count twice, and evaluation problems must
never be trained on.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from components.data.ngrams import NgramIndex
from components.problems import CodeProblem, MathProblem

NGRAM = 13
GENERATED = ("reasoning_gym/", "generated/")
_PROOF = re.compile(r"\b(prove|show) (that|the following)\b|\bgive a proof\b", re.IGNORECASE)
_CHOICES = re.compile(r"(^|\s)\(?A[).:]\s.+(^|\s)\(?B[).:]\s.+(^|\s)\(?C[).:]\s", re.DOTALL)


def clean(
    problems: Sequence[MathProblem | CodeProblem], evaluation: Sequence[str]
) -> tuple[list[MathProblem | CodeProblem], list[dict[str, str]]]:
    """(problems to measure, those set aside with `id`, `url`, `reason` and `detail`), both in order."""
    index = NgramIndex(evaluation, NGRAM)
    exact = {_key(prompt) for prompt in evaluation}
    seen: set[str] = set()
    kept: list[MathProblem | CodeProblem] = []
    rejected: list[dict[str, str]] = []
    for problem in problems:
        key = _key(problem.prompt)
        reason, detail = _flaw(problem, key, seen, exact, index, evaluation)
        if reason:
            rejected.append({"id": problem.id, "url": "", "reason": reason, "detail": detail})
        else:
            seen.add(key)
            kept.append(problem)
    return kept, rejected


def _flaw(
    problem: MathProblem | CodeProblem, key: str, seen: set[str], exact: set[str], index: NgramIndex,
    evaluation: Sequence[str],
) -> tuple[str, str]:  # fmt: skip
    if key in seen:
        return "repeated", problem.prompt
    if key in exact:   # short prompts too, which the n-grams leave alone
        return "contaminated", problem.prompt
    # generated problems share their wording, and were drawn disjoint: for them only the exact prompt counts
    if not problem.source.startswith(GENERATED) and (matches := index.matches(problem.prompt)):
        return "contaminated", evaluation[matches[0].prompt]
    if isinstance(problem, MathProblem) and _PROOF.search(problem.prompt):
        return "proof", problem.prompt
    if isinstance(problem, MathProblem) and _CHOICES.search(problem.prompt):
        return "multiple_choice", problem.prompt
    return "", ""


def _key(prompt: str) -> str:
    """The prompt with case and spacing apart; signs count, since a sum and a difference are two problems."""
    return re.sub(r"\s+", " ", prompt).strip().casefold()
