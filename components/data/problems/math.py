"""Math problems with integer or exact answers from reasoning-gym's generators.

- `ALLOWED`    generators whose own scorer gives 1 to the right answer only
- `generate`   distinct problems of one generator, each scored 1 by that generator's scorer

Left out on purpose: generators with scorers that pay for garbage (propositional_logic, spell_backward), that raise on
text (prime_factorization), that ignore their seed (list_functions), and data under the GPL (acre).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import reasoning_gym
from reasoning_gym.factory import DATASETS

from components.config import ConfigError
from components.problems import MathProblem

ALLOWED = frozenset({
    "basic_arithmetic", "chain_sum", "complex_arithmetic", "count_bits", "count_primes", "decimal_chain_sum",
    "fraction_simplification", "gcd", "gsm_symbolic", "largest_island", "lcm", "leg_counting", "letter_counting",
    "number_sequence", "products", "simple_equations", "time_intervals",
})
BATCH = 1 << 20   # most items one call may look at; keeps the seeds of train and evaluation apart


def check(generator: str, parameters: Mapping[str, Any]) -> None:
    """Refuse a generator that is not allowed or parameters that it does not know.

    Raises:
        ConfigError: names the generator and what is allowed.
    """
    if generator not in ALLOWED:
        raise ConfigError(f"math generator {generator!r} is not allowed; allowed: {', '.join(sorted(ALLOWED))}")
    known = {field.name for field in dataclasses.fields(DATASETS[generator][1])} - {"seed", "size"}
    unknown = set(parameters) - known
    if unknown:
        raise ConfigError(
            f"math generator {generator!r}: no parameter {', '.join(sorted(unknown))}; it has {', '.join(sorted(known))}"
        )


def generate(generator: str, parameters: Mapping[str, Any], seed: int, part: str) -> Iterator[MathProblem]:
    """An endless-looking stream of problems of one generator; the same seed and part give the same stream.

    reasoning-gym derives item i from `seed + i`, so each part ("train", "evaluation") starts a range of its own.

    Yields: problems whose gold answer the generator's own scorer gives exactly 1; repeats are the caller's to drop.
    """
    check(generator, parameters)
    base = int.from_bytes(hashlib.sha256(f"{generator}/{seed}".encode()).digest()[:4], "big")
    start = base * 2 * BATCH + (BATCH if part == "evaluation" else 0)
    try:
        dataset = reasoning_gym.create_dataset(generator, seed=start, size=BATCH, **parameters)
    except (AssertionError, TypeError) as error:
        raise ConfigError(f"math generator {generator!r} refuses {dict(parameters)}: {error}") from None
    for index in range(BATCH):
        item = dataset[index]
        answer, prompt = str(item["answer"]), item["question"].strip()
        if dataset.score_answer(answer, item) == 1:
            name = hashlib.sha256(f"{generator}\0{prompt}".encode()).hexdigest()[:12]
            yield MathProblem(id=f"math-{name}", source=f"reasoning_gym/{generator}", prompt=prompt, answer=answer)
