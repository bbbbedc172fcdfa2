"""`mimo plan`: tokens, steps and GPU-hours that a profile will take, with the formula beside the numbers.

    GPU-hours = FLOPs a token × tokens / (peak FLOP/s × utilization) / 3600

FLOPs a token: 6 for every matmul parameter plus attention (forward and backward); a third of that to generate one.
Numbers that depend on data not yet made (how long completions become) are upper bounds and marked `≤`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from components.model.config import MiMoConfig
from pipelines.profile import Profile, load_profile

PEAK_FLOPS = 989e12          # H100 SXM, bf16, dense
TRAINING_UTILIZATION = 0.40  # model FLOP utilization of a tuned training run at this size
ROLLOUT_UTILIZATION = 0.10   # generation is bound by memory, not by arithmetic
QWEN2_ROWS = 151_680         # embedding rows with the tokenizer the report takes over


@dataclass(frozen=True)
class Line:
    """One node: tokens, steps (optimizer updates), and GPU-hours."""

    stage: str
    tokens: float
    steps: int
    flops_per_token: float
    utilization: float
    at_most: bool = False

    @property
    def gpu_hours(self) -> float:
        return self.flops_per_token * self.tokens / (PEAK_FLOPS * self.utilization) / 3600


def print_plan(profile_name: str, overrides: Sequence[str], as_json: bool) -> int:
    """Print the plan of a profile."""
    profile = load_profile(profile_name, overrides)
    model = model_of(profile)
    found = list(lines(profile, model))
    total = sum(line.gpu_hours for line in found)
    main, head = model.parameter_count()
    if as_json:
        rows = [{**asdict(line), "gpu_hours": line.gpu_hours} for line in found]
        print(json.dumps({"parameters": main, "mtp_head": head, "stages": rows, "gpu_hours": total}, indent=1))
        return 0
    console = Console(highlight=False)
    console.print(f"{profile.name}: {main:,} parameters, {head:,} an MTP head, {model.vocab_size:,} embedding rows\n",
                  soft_wrap=True)
    table = Table("stage", "tokens", "steps", "FLOPs/token", "used", "GPU-hours", box=None, padding=(0, 2, 0, 0))
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    for line in found:
        bound = "≤ " if line.at_most else ""
        table.add_row(line.stage, bound + _short(line.tokens), f"{bound}{line.steps:,}", f"{line.flops_per_token:.2e}",
                      f"{line.utilization:.0%}", bound + _hours(line.gpu_hours))
    table.add_row("all", "", "", "", "", f"≤ {_hours(total)}")
    console.print(table)
    console.print(f"\nGPU-hours = FLOPs/token × tokens / ({PEAK_FLOPS:.3g} FLOP/s × used share) / 3600"
                  "\nThe FLOP/s are one H100's in bf16; the used shares are assumptions."
                  "\n≤: if every conversation and completion had the greatest length allowed.", soft_wrap=True)
    return 0


def _short(number: float) -> str:
    """`17.8 T`, `83.9 M`."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:.0f}"


def model_of(profile: Profile) -> MiMoConfig:
    """The shape that the profile's first pretraining stage starts."""
    first: Any = profile.configs["pretraining_1"]
    last: Any = profile.configs["pretraining_3"]
    mixing: Any = profile.configs["mixing"]
    tokenizer = mixing.tokenizer
    multiple = tokenizer.pad_to_multiple
    rows = QWEN2_ROWS if tokenizer.path else math.ceil(tokenizer.vocab_size / multiple) * multiple
    return MiMoConfig(
        vocab_size=rows, max_position_embeddings=last.max_position_embeddings, rope_theta=last.rope_theta,
        **first.shape.model_dump(),
    )


def lines(profile: Profile, model: MiMoConfig) -> Iterator[Line]:
    """What each node that trains or generates will take."""
    yield from _pretraining(profile, model)
    yield _mtp_tuning(profile, model)
    yield _sft(profile, model)
    for name in ("rl_zero", "rl"):
        yield from _rl(name, profile.configs[name], model)


def _pretraining(profile: Profile, model: MiMoConfig) -> Iterator[Line]:
    mixing: Any = profile.configs["mixing"]
    for number in (1, 2, 3):
        mixture = mixing.mixture(f"stage_{number}")
        config: Any = profile.configs[f"pretraining_{number}"]
        tokens = mixture.rows * mixture.sequence_length
        flops = model.flops_per_token(mixture.sequence_length, config.shape.num_nextn_predict_layers)
        yield Line(f"pretraining_{number}", tokens, _steps(tokens, config), flops, TRAINING_UTILIZATION)


def _steps(tokens: int, config: Any) -> int:
    """Optimizer steps, the batch ramp included."""
    from components.training.schedule import step_rows

    unit = max(1, math.gcd(config.batch_tokens, config.first_batch_tokens or config.batch_tokens))
    first = config.first_batch_tokens // unit if config.first_batch_tokens else None
    return len(step_rows(math.ceil(tokens / unit), config.batch_tokens // unit, first=first,
                         ramp_rows=round(config.ramp_share * tokens / unit)))


def _mtp_tuning(profile: Profile, model: MiMoConfig) -> Line:
    config: Any = profile.configs["mtp_tuning"]
    mixing: Any = profile.configs["mixing"]
    length = mixing.stage_3.sequence_length
    trunk = model.flops_per_token(length) / 3   # forward only: the trunk is frozen
    heads = model.flops_per_token(length, config.heads) - model.flops_per_token(length, 1)
    return Line("mtp_tuning", config.tokens, math.ceil(config.tokens / config.batch_tokens), trunk + heads,
                TRAINING_UTILIZATION)


def _sft(profile: Profile, model: MiMoConfig) -> Line:
    config: Any = profile.configs["sft"]
    synthesis: Any = profile.configs["synthesis"]
    routes = (synthesis.analysis, synthesis.problems, synthesis.general)
    conversations = sum(route.conversations for route in routes)
    tokens = conversations * config.epochs * config.sequence_length
    steps = math.ceil(tokens / (config.rows_per_step * config.sequence_length))
    flops = model.flops_per_token(config.sequence_length, model.num_nextn_predict_layers)
    return Line("sft", tokens, steps, flops, TRAINING_UTILIZATION, at_most=True)


def _rl(name: str, config: Any, model: MiMoConfig) -> Iterable[Line]:
    completions = config.iterations * config.groups_per_iteration * config.group_size
    tokens = completions * config.max_tokens
    flops = model.flops_per_token(config.max_tokens)
    updates = config.iterations * config.groups_per_iteration // config.groups_per_update
    yield Line(f"{name}: rollouts", tokens, config.iterations, flops / 3, ROLLOUT_UTILIZATION, at_most=True)
    yield Line(f"{name}: updates", tokens, updates, flops, TRAINING_UTILIZATION, at_most=True)


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
