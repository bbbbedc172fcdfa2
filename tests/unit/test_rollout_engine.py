"""The embedded engine against full forward passes, and the driver around it."""

from __future__ import annotations

import asyncio
import random
import threading
from concurrent.futures import Future

import pytest
import torch

from components.model import MiMoConfig, MiMoForCausalLM
from components.model.checkpoint import save_checkpoint
from components.problems import MathProblem
from components.reward.rewards import Reward
from components.rollout.driver import RolloutDriver, sample_all
from components.rollout.embedded import EmbeddedEngine
from components.rollout.protocol import Completion, EngineError, Request, SamplingParams, VersionSpan
from components.rollout.sampler import ProblemSampler
from components.rollout.sampling import sample, uniforms

TINY = MiMoConfig(
    vocab_size=97, hidden_size=48, intermediate_size=80, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16, max_position_embeddings=160, initializer_range=0.15,
)  # fmt: skip


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small are no work for two threads, and threads that wait for busy cores are slow."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def make_model(seed: int = 0) -> MiMoForCausalLM:
    torch.manual_seed(seed)
    return MiMoForCausalLM(TINY)


@pytest.fixture(scope="module")
def model() -> MiMoForCausalLM:
    return make_model()


def prompts(count: int, seed: int = 0, longest: int = 40) -> list[tuple[int, ...]]:
    rng = random.Random(seed)
    return [tuple(rng.randrange(97) for _ in range(rng.randrange(1, longest))) for _ in range(count)]


def generate(engine: EmbeddedEngine, requests: list[Request]) -> dict[str, Completion]:
    async def run() -> list[Completion]:
        return await asyncio.gather(*map(engine.submit, requests))

    return {completion.request_id: completion for completion in asyncio.run(run())}


@torch.inference_mode()
def forward_log_probs(model: MiMoForCausalLM, prompt: tuple[int, ...], tokens: list[int], temperature: float):
    logits = model.logits(model(torch.tensor([[*prompt, *tokens]]))[0, len(prompt) - 1 : -1])
    return (logits / temperature).log_softmax(-1)


def test_greedy_decoding_is_that_of_full_forward_passes(model) -> None:
    requests = [
        Request(str(i), prompt, SamplingParams(30, temperature=0, stop_tokens=(5, 11)))
        for i, prompt in enumerate(prompts(20))
    ]
    for request_id, completion in generate(EmbeddedEngine(model, slots=6), requests).items():
        prompt, expected = requests[int(request_id)].prompt_tokens, []
        while len(expected) < 30 and not {5, 11} & set(expected):
            with torch.inference_mode():
                logits = model.logits(model(torch.tensor([[*prompt, *expected]]))[0, -1])
            expected.append(int(logits.argmax()))
        assert completion.tokens == expected
        assert completion.finish_reason == ("stop" if expected[-1] in (5, 11) else "length")


@pytest.mark.parametrize("temperature", [0, 0.7, 1.0, 1.6])
def test_log_probabilities_are_those_of_the_trainer(model, temperature: float) -> None:
    requests = [
        Request(f"{i}.{j}", prompt, SamplingParams(40, temperature, stop_tokens=(5,), seed=10 * i + j, top_p=0.9))
        for i, prompt in enumerate(prompts(6, seed=1)) for j in range(4)
    ]
    for request_id, completion in generate(EmbeddedEngine(model, slots=9), requests).items():
        prompt = requests[[request.id for request in requests].index(request_id)].prompt_tokens
        expected = forward_log_probs(model, prompt, completion.tokens, temperature or 1.0)
        expected = expected.gather(1, torch.tensor(completion.tokens)[:, None])[:, 0]
        torch.testing.assert_close(torch.tensor(completion.log_probabilities), expected, rtol=0, atol=1e-4)


def test_a_completion_does_not_depend_on_slots_order_or_company(model) -> None:
    rng = random.Random(2)
    requests = [
        Request(f"{i}.{j}", prompt, SamplingParams(rng.randrange(1, 60), stop_tokens=(3, 4), seed=100 * i + j))
        for i, prompt in enumerate(prompts(16, seed=2)) for j in range(4)
    ]
    expected = generate(EmbeddedEngine(model, slots=64), requests)
    assert len({tuple(completion.tokens) for completion in expected.values()}) > 50
    for slots in (4, 7, 33):
        rng.shuffle(requests)
        assert generate(EmbeddedEngine(model, slots), requests) == expected
    alone = requests[0]
    assert generate(EmbeddedEngine(model, slots=1), [alone])[alone.id] == expected[alone.id]


def test_samples_follow_the_distribution_and_top_p_cuts_it() -> None:
    logits_V = torch.tensor([2.0, 1.0, 0.0, -1.0, float("-inf")])
    n = 20_000
    noise = torch.tensor(uniforms(1, n))
    for top_p, kept in ((None, 4), (0.85, 2), (0.2, 1)):
        nucleus = None if top_p is None else torch.full((n,), top_p)
        tokens, log_probs = sample(logits_V.expand(n, 5), torch.full((n,), 0.8), nucleus, noise, any_greedy=False)
        full = (logits_V / 0.8).softmax(0)
        expected = full.clone()
        expected[kept:] = 0
        frequency = torch.bincount(tokens, minlength=5) / n
        torch.testing.assert_close(frequency, expected / expected.sum(), rtol=0, atol=0.015)
        torch.testing.assert_close(log_probs, full.log()[tokens])


def test_abort_frees_the_slot_and_keeps_what_was_sampled(model) -> None:
    async def run() -> list[Completion]:
        engine = EmbeddedEngine(model, slots=2)
        first = [engine.submit(Request(name, (1, 2, 3), SamplingParams(100, seed=i))) for i, name in enumerate("abcd")]
        while engine.decode_steps < 20:
            await asyncio.sleep(0)
        await engine.abort("a", "d", "unknown")   # one runs, one waits
        third = await first[2]                    # it got the slot: else it would wait for `b`, which is as long
        assert engine.decode_steps <= 121
        rest = await asyncio.gather(*first)
        again = await engine.submit(Request("a", (1, 2, 3), SamplingParams(100, seed=0)))
        return [*rest, third, again]

    a, b, c, d, third, again = asyncio.run(run())
    assert (a.finish_reason, len(a.tokens)) == ("aborted", 20) and again.tokens[:20] == a.tokens
    assert (d.finish_reason, d.tokens, d.versions) == ("aborted", [], ())
    assert c is third and len(b.tokens) == len(c.tokens) == 100


def test_cancelling_a_request_ends_it(model) -> None:
    async def run() -> int:
        engine = EmbeddedEngine(model, slots=1)
        endless = engine.submit(Request("endless", (1,), SamplingParams(150)))
        short = engine.submit(Request("short", (1,), SamplingParams(2)))
        while engine.decode_steps < 5:
            await asyncio.sleep(0)
        endless.cancel()
        await short
        return engine.decode_steps

    assert asyncio.run(run()) < 20


def test_new_weights_take_over_in_the_middle_and_are_recorded(model, tmp_path) -> None:
    other = make_model(seed=1)
    save_checkpoint(other, tmp_path, tokenizer=tmp_path)

    async def run(weights) -> tuple[Completion, Completion, Completion]:
        engine = EmbeddedEngine(make_model(), slots=4, version=3)
        running = engine.submit(Request("running", (1, 2, 3), SamplingParams(30, temperature=0)))
        while engine.decode_steps < 10:
            await asyncio.sleep(0)
        await engine.pause()
        for _ in range(5):
            await asyncio.sleep(0)
        assert engine.decode_steps == 10
        await engine.update_weights(weights, version=4)
        # an equal prompt, but its cached keys and values belong to the old weights
        fresh = engine.submit(Request("fresh", (1, 2, 3), SamplingParams(30, temperature=0)))
        await engine.resume()
        return await running, await fresh, await engine.submit(Request("new", (1, 2, 3), SamplingParams(30, 0)))

    request = Request("x", (1, 2, 3), SamplingParams(30, 0))
    expected = {seed: generate(EmbeddedEngine(make_model(seed), 1), [request])["x"].tokens for seed in (0, 1)}
    for weights in (other, tmp_path):
        running, fresh, new = asyncio.run(run(weights))
        assert running.versions == (VersionSpan(3, 0, 10), VersionSpan(4, 10, 30))
        assert running.tokens[:10] == expected[0][:10] and running.tokens != expected[0]
        assert fresh.versions == new.versions == (VersionSpan(4, 0, 30),)
        assert fresh.tokens == new.tokens == expected[1]


def test_requests_that_cannot_be_served_are_refused_and_failures_reach_the_callers(model) -> None:
    async def run() -> None:
        engine = EmbeddedEngine(model, slots=2, max_length=20)
        with pytest.raises(EngineError, match="request big: 15 prompt \\+ 6 new"):
            engine.submit(Request("big", (1,) * 15, SamplingParams(6)))
        with pytest.raises(EngineError, match="request empty: 0 prompt"):
            engine.submit(Request("empty", (), SamplingParams(6)))
        first = engine.submit(Request("a", (1,), SamplingParams(6)))
        with pytest.raises(EngineError, match="request a: this id is in use"):
            engine.submit(Request("a", (1,), SamplingParams(6)))
        assert len((await first).tokens) == 6
        broken = engine.submit(Request("broken", (1, 10_000), SamplingParams(6)))   # no such token
        with pytest.raises(IndexError):
            await asyncio.wait_for(broken, 10)
        assert len((await engine.submit(Request("a", (1,), SamplingParams(6)))).tokens) == 6   # it goes on

    asyncio.run(run())
    with pytest.raises(EngineError, match="max_tokens >= 1"):
        SamplingParams(0)


# The driver


class Numbers:
    """`Text` without a tokenizer: prompts are written as token numbers."""

    def prompt_tokens(self, problem) -> tuple[int, ...]:
        return tuple(map(int, problem.prompt.split()))

    def text(self, tokens) -> str:
        return " ".join(map(str, tokens))


class Judge:
    """Rewards that come after a random time: 1 for an even first token; always 1 for some problems."""

    def __init__(self, delay_s: float, masked: bool = False, broken: bool = False) -> None:
        self.rng, self.delay_s, self.masked, self.broken = random.Random(0), delay_s, masked, broken
        self.texts: list[str] = []

    def submit(self, problem, completion: str) -> Future[Reward]:
        self.texts.append(completion)
        future: Future[Reward] = Future()
        future.set_running_or_notify_cancel()
        right = int(problem.id) % 4 == 0 or int((completion or "1").split()[0]) % 2 == 0
        reward = Reward(float(right), "correct" if right else "wrong", right)
        if self.masked and len(completion) % 5 == 0:
            reward = Reward(None, "infrastructure")

        def answer() -> None:
            future.set_exception(OSError("no sandbox")) if self.broken else future.set_result(reward)

        timer = threading.Timer(self.rng.random() * self.delay_s, answer)
        timer.daemon = True
        timer.start()
        return future


PROBLEMS = [
    MathProblem(id=str(i), source="test", prompt=" ".join(map(str, prompt)), answer="1")
    for i, prompt in enumerate(prompts(12, seed=3, longest=20))
]


def make_driver(model: MiMoForCausalLM, slots: int, judge: Judge, problems=PROBLEMS) -> RolloutDriver:
    return RolloutDriver(
        EmbeddedEngine(model, slots), problems, Numbers(), judge, ProblemSampler(len(problems), seed=5, alpha=0.3),
        SamplingParams(30, stop_tokens=(3, 7)), group_size=4, seed=9,
    )  # fmt: skip


def content(rollouts) -> list:
    return [(group.problem.id, group.draw, group.samples) for group in rollouts.groups]


def test_batches_do_not_depend_on_slots_or_reward_delays_and_resume(model) -> None:
    driver = make_driver(model, 5, Judge(0.0))
    expected, states = [], []
    for _ in range(4):
        expected.append(asyncio.run(driver.collect(6)))
        states.append(driver.state_dict())
    assert sum(rollouts.statistics["easy_draws"] for rollouts in expected) > 0
    slow = make_driver(model, 64, Judge(0.1))
    slow.load_state_dict(states[0])   # killed after the first step and continued elsewhere
    for rollouts, state in zip(expected[1:], states[1:], strict=True):
        again = asyncio.run(slow.collect(6))
        assert content(again) == content(rollouts)
        assert slow.state_dict()["sampler"] == state["sampler"]
        assert len(again.groups) == 6 and all(len(set(group.rewards)) == 2 for group in again.groups)
        same = ("pass_rate", "length", "trained_length", "groups_in_prefix", "easy_draws", "valid_rate")
        assert all(again.statistics[name] == rollouts.statistics[name] for name in same)
        assert not slow.engine._running and not slow.engine._waiting


def test_masked_completions_leave_their_group_and_stop_tokens_their_text(model) -> None:
    judge = Judge(0.01, masked=True)
    rollouts = asyncio.run(make_driver(model, 16, judge).collect(5))
    assert rollouts.statistics["masked"] > 0
    assert any(len(group.samples) < 4 for group in rollouts.groups)
    for group in rollouts.groups:
        assert len(group.rewards) == len(group.samples) >= 2 and len(set(group.rewards)) == 2
        for each in group.samples:
            stopped = each.completion.finish_reason == "stop"
            assert each.text == Numbers().text(each.completion.tokens[: -1 if stopped else None])
            assert stopped == bool({3, 7} & set(each.completion.tokens))


def test_a_policy_that_solves_everything_ends_the_step_short(model) -> None:
    solved = [problem for problem in PROBLEMS if int(problem.id) % 4 == 0]
    driver = make_driver(model, 16, Judge(0.0), solved)
    rollouts = asyncio.run(driver.collect(2))
    assert rollouts.groups == () and rollouts.statistics["groups_launched"] == 32
    assert rollouts.statistics["pass_rate"] == 1 and len(driver.sampler.easy) == 3


def test_a_broken_judge_is_an_error_not_a_reward(model) -> None:
    driver = make_driver(model, 8, Judge(0.01, broken=True))
    with pytest.raises(OSError, match="no sandbox"):
        asyncio.run(driver.collect(2))
    assert not driver.engine._running and not driver.engine._waiting


def test_sample_all_answers_in_order(model) -> None:
    async def run():
        text = Numbers()
        requests = [Request(str(i), text.prompt_tokens(p), SamplingParams(8, seed=i)) for i, p in enumerate(PROBLEMS)]
        seen: list[int] = []
        samples = await sample_all(
            EmbeddedEngine(model, 3), list(zip(PROBLEMS, requests, strict=True)), text, Judge(0.02),
            lambda index, _: seen.append(index),
        )  # fmt: skip
        return samples, seen

    samples, seen = asyncio.run(run())
    assert [each.completion.request_id for each in samples] == [str(i) for i in range(12)]
    assert sorted(seen) == list(range(12))
