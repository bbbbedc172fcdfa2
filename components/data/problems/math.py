"""Math problems with integer or exact answers from reasoning-gym's generators.

- `check`      refuse parameters that a generator does not know
- `generate`   a stream of problems, each scored 1 by that generator's own scorer

- `content`    what a problem asks, whatever its wording

`config.MATH_GENERATORS` is the allow-list. Left out on purpose: generators with scorers that pay for garbage
(propositional_logic, spell_backward), that raise on text (prime_factorization), that ignore their seed
(list_functions), and data under the GPL (acre).
"""

from __future__ import annotations

import dataclasses
import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import reasoning_gym
from reasoning_gym.factory import DATASETS

from components.config import ConfigError
from components.problems import MathProblem

BATCH = 1 << 20   # most items one call may look at; keeps the seeds of train and evaluation apart


def check(generator: str, parameters: Mapping[str, Any]) -> None:
    """Refuse parameters that a generator does not know.

    Raises:
        ConfigError: names the generator, the parameter and what there is.
    """
    known = {field.name for field in dataclasses.fields(DATASETS[generator][1])} - {"seed", "size"}
    unknown = ", ".join(sorted(set(parameters) - known))
    if unknown:
        raise ConfigError(f"problems.math: {generator} has no parameter {unknown}; it has {', '.join(sorted(known))}")


def generate(generator: str, parameters: Mapping[str, Any], seed: int, part: str) -> Iterator[MathProblem]:
    """Up to 2^20 problems of one generator; the same seed and part give the same stream.

    reasoning-gym derives item i from `seed + i`, so each part ("train", "evaluation") has a range of seeds of its own.

    Yields: problems whose gold answer the generator's own scorer gives exactly 1; repeats are the caller's to drop.

    Raises:
        ConfigError: parameters the generator does not know or refuses.
    """
    check(generator, parameters)
    base = int.from_bytes(hashlib.sha256(f"{generator}/{seed}".encode()).digest()[:4], "big")
    start = base * 2 * BATCH + (BATCH if part == "evaluation" else 0)
    try:
        dataset = reasoning_gym.create_dataset(generator, seed=start, size=BATCH, **parameters)
    except (AssertionError, TypeError) as error:
        raise ConfigError(f"problems.math: {generator} refuses {dict(parameters)}: {error}") from None
    for index in range(BATCH):
        item = dataset[index]
        answer, prompt = str(item["answer"]), item["question"].strip()
        if dataset.score_answer(answer, item) == 1:
            name = hashlib.sha256(f"{generator}\0{prompt}".encode()).hexdigest()[:12]
            yield MathProblem(id=f"math-{name}", source=f"reasoning_gym/{generator}", prompt=prompt, answer=answer)


def content(problem: MathProblem) -> str:
    """What a generated problem asks: equations that differ in wording or the unknown's name are the same question."""
    if problem.source == "reasoning_gym/simple_equations":
        return "equation " + re.sub(r"[a-z]", "x", problem.prompt.rpartition(": ")[2])
    if problem.source == "reasoning_gym/gcd":
        return f"gcd {sorted(map(int, re.findall('[0-9]+', problem.prompt)))}"
    return problem.prompt
