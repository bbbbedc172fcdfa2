"""Decode throughput of the embedded engine, beside transformers' `generate` on the same checkpoint.

    python benchmarks/embedded_engine.py [--slots 256] [--threads 2]

512 completions of 128 tokens, 32 prompts of up to 60 tokens in groups of 16, temperature 1, log-probabilities on.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

import torch

from components.model import MiMoConfig
from components.model.checkpoint import save_checkpoint
from components.model.modeling import MiMoForCausalLM
from components.rollout.embedded import EmbeddedEngine
from components.rollout.protocol import Request, SamplingParams

GROUPS, GROUP_SIZE, NEW_TOKENS = 32, 16, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--slots", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--hidden", type=int, default=96)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--kv-heads", type=int, default=1)
    parser.add_argument("--peer", action="store_true", help="also time transformers' generate")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    config = MiMoConfig(
        vocab_size=512, hidden_size=arguments.hidden, intermediate_size=2 * arguments.hidden,
        num_hidden_layers=arguments.layers, num_attention_heads=arguments.hidden // 32,
        num_key_value_heads=arguments.kv_heads, head_dim=32, max_position_embeddings=256, num_nextn_predict_layers=0,
    )  # fmt: skip
    model = MiMoForCausalLM(config)
    rng = random.Random(0)
    prompts = [tuple(rng.randrange(512) for _ in range(rng.randrange(10, 61))) for _ in range(GROUPS)]
    tokens = GROUPS * GROUP_SIZE * NEW_TOKENS
    print(f"{config.parameter_count()[0] / 1e6:.2f}M parameters, {arguments.slots} slots, {arguments.threads} threads")
    ours = min(time_engine(model, prompts, arguments.slots) for _ in range(3))
    print(f"embedded engine: {tokens / ours:,.0f} tokens/s")
    if arguments.peer:
        print(f"transformers generate: {tokens / time_transformers(model, prompts, arguments.slots):,.0f} tokens/s")


def time_engine(model: MiMoForCausalLM, prompts: list[tuple[int, ...]], slots: int) -> float:
    requests = [
        Request(f"{i}.{j}", prompt, SamplingParams(NEW_TOKENS, seed=i * GROUP_SIZE + j))
        for i, prompt in enumerate(prompts) for j in range(GROUP_SIZE)
    ]

    async def run() -> None:
        engine = EmbeddedEngine(model, slots)
        await asyncio.gather(*map(engine.submit, requests))

    start = time.perf_counter()
    asyncio.run(run())
    return time.perf_counter() - start


def time_transformers(model: MiMoForCausalLM, prompts: list[tuple[int, ...]], slots: int) -> float:
    from transformers import Qwen2ForCausalLM

    with tempfile.TemporaryDirectory() as directory:
        save_checkpoint(model, Path(directory), Path(directory))
        peer = Qwen2ForCausalLM.from_pretrained(directory).eval()
    rows = [prompt for prompt in prompts for _ in range(GROUP_SIZE)]
    start = time.perf_counter()
    for first in range(0, len(rows), slots):
        part = rows[first : first + slots]
        longest = max(map(len, part))
        tokens = torch.tensor([[0] * (longest - len(row)) + list(row) for row in part])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in part])
        peer.generate(
            tokens, attention_mask=mask, do_sample=True, top_k=0, max_new_tokens=NEW_TOKENS,
            min_new_tokens=NEW_TOKENS, pad_token_id=0,
        )  # fmt: skip
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
