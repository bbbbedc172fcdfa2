"""avg@k, pass@k and bootstrap intervals, as pure functions of a table of passes [problems, samples].

Every interval is over problems: another run would meet other problems of the same kind, and that, more than the noise
of single samples, is what makes small suites uncertain. Models are compared paired, on the same problems, because how
hard each problem is then cancels out.

Shape suffixes: P problems, K samples a problem, R bootstrap resamples.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4_000
LEVEL = 0.95
_AT_ONCE = 4_000_000   # indices drawn at a time: 32 MB


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95 % interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def avg_at_k(passes_PK: NDArray[np.float64]) -> float:
    """Mean over problems of the share of samples that pass."""
    return float(passes_PK.mean()) if passes_PK.size else 0.0


def pass_at_k(passes_PK: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """Of each problem, the unbiased estimate of P(at least one of k samples passes) (Chen et al. 2021, equation 1).

    Raises:
        ValueError: fewer than k samples a problem.
    """
    n = passes_PK.shape[1]
    if not 1 <= k <= n:
        raise ValueError(f"pass@{k} needs at least {k} samples a problem, there are {n}")
    failed_P = n - passes_PK.sum(1)
    # 1 - C(failed, k) / C(n, k), as a product that cannot overflow
    miss_P = np.ones(len(failed_P))
    for i in range(k):
        miss_P *= np.maximum(failed_P - i, 0) / (n - i)
    return 1 - miss_P


def paired_difference(left_PK: NDArray[np.float64], right_PK: NDArray[np.float64], seed: int = 0) -> Interval:
    """avg@k of `left` minus avg@k of `right` on the same problems, in the same order; resampled over problems together.

    Raises:
        ValueError: different numbers of problems, or none.
    """
    if len(left_PK) != len(right_PK):
        raise ValueError(f"a paired comparison needs the same problems: {len(left_PK)} and {len(right_PK)}")
    return interval(left_PK.mean(1) - right_PK.mean(1), seed)


def interval(values_P: NDArray[np.float64], seed: int = 0) -> Interval:
    """The mean of one value a problem, with its interval: the percentile bootstrap over problems.

    Raises:
        ValueError: no problems.
    """
    problems = len(values_P)
    if not problems:
        raise ValueError("no problems to estimate from")
    generator = np.random.default_rng(seed)
    at_once = max(1, _AT_ONCE // problems)
    sizes = [min(at_once, RESAMPLES - start) for start in range(0, RESAMPLES, at_once)]
    means_R = np.concatenate([values_P[generator.integers(problems, size=(rows, problems))].mean(1) for rows in sizes])
    low, high = np.quantile(means_R, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(values_P.mean()), float(low), float(high))
