"""Samples of a checkpoint on a set of problems, judged: what evaluation and curation both start from.

Work is cut into chunks of problems; each finished chunk is a file, so an interrupted stage continues after it.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from components.artifacts import ArtifactError
from components.config import ConfigError, digest
from components.evaluation.engine_config import SamplingConfig
from components.evaluation.judged import Judged
from components.evaluation.results import read_samples, write_samples
from components.model.checkpoint import load_config, load_model
from components.problems import CodeProblem, MathProblem
from components.reward.config import RewardConfig
from components.reward.rewards import Rewarder
from components.rollout.chat import ChatText
from components.rollout.driver import sample_all
from components.rollout.engines import open_engine
from components.rollout.protocol import Engine, Request, SamplingParams
from components.training.device import pick_device

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
        ArtifactError: two problems share an id.
        EngineError, SandboxError: the engine failed; this machine grants no sandbox for programs.
    """
    _check_ids(problems)
    text = ChatText(checkpoint)
    prompts = [text.prompt_tokens(problem) for problem in problems]
    length = _checked_length(checkpoint, max(map(len, prompts), default=1), config.max_tokens)
    members = list(zip(problems, prompts, strict=True))
    size = max(1, CHUNK_COMPLETIONS // config.samples)
    chunks = {directory / f"chunk-{start:06d}.jsonl": members[start : start + size]
              for start in range(0, len(members), size)}
    missing = {path: chunk for path, chunk in chunks.items() if not path.exists()}
    done = config.samples * (len(members) - sum(map(len, missing.values())))

    def count(*_: object) -> None:
        nonlocal done
        done += 1
        progress(done, len(members) * config.samples)

    async def sample_missing() -> None:
        model = load_model(checkpoint, mtp_heads=0).to(pick_device()).eval() if config.engine == "embedded" else None
        engine = open_engine(config.engine, checkpoint, model, slots=config.slots, max_length=length)
        try:
            with Rewarder(rewards) as rewarder:
                for path, chunk in missing.items():
                    write_samples(path, await _sample_chunk(engine, chunk, text, rewarder, config, seed, count))
        finally:
            await engine.close()

    if missing:
        directory.mkdir(parents=True, exist_ok=True)
        asyncio.run(sample_missing())
    return [sample for path in chunks for sample in read_samples(path)]


def _check_ids(problems: Sequence[MathProblem | CodeProblem]) -> None:
    counts = Counter(problem.id for problem in problems)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise ArtifactError(f"{len(twice)} problem ids occur more than once, {twice[0]!r} for one: ids must be unique")


def _checked_length(checkpoint: Path, prompt: int, max_tokens: int) -> int:
    context = load_config(checkpoint).max_position_embeddings
    if prompt + max_tokens > context:
        raise ConfigError(
            f"sampling.max_tokens {max_tokens} and the longest prompt ({prompt} tokens) exceed the model's context of "
            f"{context} tokens: max_tokens can be {context - prompt} at most"
        )
    return prompt + max_tokens


async def _sample_chunk(
    engine: Engine,
    members: Sequence[tuple[MathProblem | CodeProblem, tuple[int, ...]]],
    text: ChatText,
    rewarder: Rewarder,
    config: SamplingConfig,
    seed: int,
    count: Callable[..., None],
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
            items.append((problem, Request(f"{problem.id}\0{number}", prompt, params)))
    samples = await sample_all(engine, items, text, rewarder, count)
    return [
        Judged(
            problem.id, problem.kind, problem.source, index % config.samples, sample.text,
            len(sample.completion.tokens), sample.completion.finish_reason, sample.reward.value, sample.reward.kind,
            sample.reward.passed, sample.reward.tests,
        )
        for index, ((problem, _), sample) in enumerate(zip(items, samples, strict=True))
    ]  # fmt: skip
