"""Samples of a checkpoint on a set of problems, judged: what evaluation and curation both start from.

Work is cut into chunks of problems; each finished chunk is a file, so an interrupted stage continues after it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from components.config import ConfigError, digest
from components.evaluation.engine_config import SamplingConfig
from components.evaluation.judged import Judged
from components.evaluation.results import read_samples, write_samples
from components.model.checkpoint import load_model
from components.problems import CodeProblem, MathProblem
from components.reward.config import RewardConfig
from components.reward.rewards import Rewarder
from components.rollout.chat import ChatText
from components.rollout.driver import sample_all
from components.rollout.engines import open_engine
from components.rollout.protocol import Engine, Request, SamplingParams

CHUNK_COMPLETIONS = 1024


def sample_problems(
    checkpoint: Path,
    problems: Sequence[MathProblem | CodeProblem],
    config: SamplingConfig,
    rewards: RewardConfig,
    seed: int,
    directory: Path,
    progress: Callable[[int, int], None],
) -> list[Judged]:
    """`config.samples` judged samples of every problem, ordered by problem and sample.

    Args:
        directory: where finished chunks are kept.
        progress: called with (completions done, completions in all).

    Raises:
        ConfigError: a prompt and `max_tokens` do not fit the model's context.
    """
    text = ChatText(checkpoint)
    prompts = [text.prompt_tokens(problem) for problem in problems]
    length = max((len(prompt) for prompt in prompts), default=1) + config.max_tokens
    size = max(1, CHUNK_COMPLETIONS // config.samples)
    starts = range(0, len(problems), size)
    directory.mkdir(parents=True, exist_ok=True)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = load_model(checkpoint).to(device).eval() if config.engine == "embedded" else None
    if model is not None and length > model.config.max_position_embeddings:
        raise ConfigError(
            f"max_tokens {config.max_tokens} and the longest prompt need {length} tokens; "
            f"the model's context is {model.config.max_position_embeddings}"
        )
    judged: list[Judged] = []

    async def chunks(rewarder: Rewarder) -> None:
        engine = open_engine(config.engine, checkpoint, model, slots=config.slots, max_length=length)
        for start in starts:
            members = list(zip(problems, prompts, strict=True))[start : start + size]
            path = directory / f"chunk-{start:06d}.jsonl"
            if not path.exists():
                done = start * config.samples
                part = await _sample_chunk(
                    engine, members, text, rewarder, config, seed,
                    lambda ended, done=done: progress(done + ended, len(problems) * config.samples),  # type: ignore[misc]
                )  # fmt: skip
                write_samples(path, part)
            judged.extend(read_samples(path))
        await engine.close()

    with Rewarder(rewards) as rewarder:
        asyncio.run(chunks(rewarder))
    return judged


async def _sample_chunk(
    engine: Engine,
    members: Sequence[tuple[MathProblem | CodeProblem, tuple[int, ...]]],
    text: ChatText,
    rewarder: Rewarder,
    config: SamplingConfig,
    seed: int,
    progress: Callable[[int], None],
) -> list[Judged]:
    items = []
    for problem, prompt in members:
        # seeded by the problem, not by its place: the same problem gets the same samples in any set
        entropy = [seed, int(digest(problem.id)[:12], 16)]
        words = np.random.SeedSequence(entropy).generate_state(config.samples, np.uint64)
        for number, word in enumerate(words):
            params = SamplingParams(
                config.max_tokens, config.temperature, config.top_p, text.stop_tokens, seed=int(word) >> 1
            )
            items.append((problem, Request(f"{problem.id}.{number}", prompt, params)))
    ended = 0

    def count(*_: object) -> None:
        nonlocal ended
        ended += 1
        progress(ended)

    samples = await sample_all(engine, items, text, rewarder, count)
    return [
        Judged(
            problem.id, problem.kind, problem.source, index % config.samples, sample.text,
            len(sample.completion.tokens), sample.completion.finish_reason, sample.reward.value, sample.reward.kind,
            sample.reward.passed, sample.reward.tests,
        )
        for index, ((problem, _), sample) in enumerate(zip(items, samples, strict=True))
    ]  # fmt: skip
