"""Reinforcement learning with rule-based rewards (report, sections 3.2 to 3.4): RL-Zero from Base, RL from SFT.

Each iteration collects valid groups on the seamless rollout engine, then makes one gradient update a mini-batch of
groups. MTP heads stay frozen. With the embedded engine trainer and sampler share one model.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from components.artifacts import Artifact, ArtifactError
from components.config import ConfigError
from components.model.checkpoint import describe_checkpoint, load_model, save_checkpoint
from components.model.modeling import MiMoForCausalLM
from components.problems import read_problems
from components.reward.rewards import Rewarder
from components.rollout.chat import ChatText
from components.rollout.driver import Group, RolloutDriver, Rollouts
from components.rollout.engines import open_engine
from components.rollout.protocol import Engine, SamplingParams
from components.rollout.sampler import ProblemSampler
from components.runner import Outputs
from components.training.checkpoint import load_latest, save_state
from components.training.device import pick_device
from components.training.optimizer import Optimizer
from components.training.optimizer_config import OptimizerConfig
from components.training.rl.config import Config
from components.training.rl.objective import group_advantages
from components.training.rl.report import report_rl
from components.training.rl.update import Sample, policy_gradients

SAVE_EVERY = 5   # iterations


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Train the policy of input `model` on `problems`.

    Raises:
        ArtifactError: no problems.
        ConfigError: prompts and completions do not fit the model's context or the row length.
    """
    source = inputs["model"].directory
    problems = read_problems(inputs["problems"].paths())
    if not problems:
        raise ArtifactError(f"{inputs['problems'].directory}: no problems to train on")
    text = ChatText(source)
    model = load_model(source).to(pick_device())
    model.model.mtp_layers.requires_grad_(False)
    longest = max(len(text.prompt_tokens(problem)) for problem in problems)
    length = longest + config.max_tokens
    if length > min(model.config.max_position_embeddings, config.row_tokens):
        raise ConfigError(
            f"max_tokens {config.max_tokens} and a prompt of {longest} tokens exceed the model's context "
            f"({model.config.max_position_embeddings}) or row_tokens ({config.row_tokens})"
        )
    with Rewarder(config.reward) as rewarder:
        engine = open_engine(config.engine, source, model, slots=config.slots, max_length=length)
        driver = RolloutDriver(
            engine, problems, text, rewarder,
            ProblemSampler(len(problems), config.seed, config.easy_probability),
            SamplingParams(config.max_tokens, config.temperature, config.top_p, text.stop_tokens),
            group_size=config.group_size, seed=config.seed,
        )  # fmt: skip
        history, samples = asyncio.run(_Trainer(config, source, model, engine, driver, outputs).run())
    report_rl(outputs, history, samples)
    directory = outputs.directory("model")
    save_checkpoint(model, directory, source)
    totals = {"iterations": config.iterations, "problems": len(problems)}
    outputs.finish("model", "checkpoint", describe_checkpoint(directory), totals)


@dataclass
class _Trainer:
    """Collect, update, save; continues after the last saved iteration."""

    config: Config
    source: Path   # of the tokenizer
    model: MiMoForCausalLM
    engine: Engine
    driver: RolloutDriver
    outputs: Outputs
    updates: int = 0
    history: list[dict[str, float]] = field(default_factory=list)

    async def run(self) -> tuple[list[dict[str, float]], list[Group]]:
        config = self.config
        optimizer = Optimizer(
            self.model, OptimizerConfig(weight_decay=config.weight_decay, gradient_clip=config.gradient_clip)
        )
        states = self.outputs.work / "states"
        resumed = load_latest(states, self.model, optimizer)
        if resumed:
            self._restore(resumed[1])
        groups: list[Group] = []
        for iteration in range(resumed[0] if resumed else 0, config.iterations):
            await self.engine.update_weights(self._weights(), iteration)
            rollouts = await self.driver.collect(config.groups_per_iteration)
            groups = list(rollouts.groups) or groups
            line = {"iteration": iteration + 1, **rollouts.statistics, **self._update(rollouts, optimizer)}
            self.history.append(line)
            self.outputs.progress.update(
                iteration + 1, config.iterations, f"reward {line['reward']:.2f}, valid {line['valid_rate']:.0%}"
            )
            if (iteration + 1) % SAVE_EVERY == 0 or iteration + 1 == config.iterations:
                save_state(states, iteration + 1, self.model, optimizer, self._counters())
        await self.engine.close()
        return self.history, groups

    def _update(self, rollouts: Rollouts, optimizer: Optimizer) -> dict[str, float]:
        """One optimiser step a mini-batch; means of the steps' metrics. A short batch makes fewer or smaller steps."""
        config = self.config
        lines = []
        for start in range(0, len(rollouts.groups), config.groups_per_update):
            samples = _samples(rollouts.groups[start : start + config.groups_per_update])
            metrics = policy_gradients(
                self.model, samples, row_tokens=config.row_tokens, rows_per_step=config.rows_per_step,
                clip_low=config.clip_low, clip_high=config.clip_high, temperature=config.temperature,
            )  # fmt: skip
            self.updates += 1
            rate = config.learning_rate * min(1.0, self.updates / max(1, config.warmup_updates))
            metrics["gradient_norm"] = float(optimizer.step(rate))
            lines.append(metrics)
        return {name: sum(line[name] for line in lines) / len(lines) for name in lines[0]} if lines else {}

    def _weights(self) -> Any:
        """What the engine takes new weights from."""
        if self.config.engine == "embedded":
            return self.model
        path = self.outputs.work / "policy"
        save_checkpoint(self.model, path, self.source)
        return path

    def _counters(self) -> dict[str, Any]:
        return {"driver": self.driver.state_dict(), "updates": self.updates, "history": self.history}

    def _restore(self, counters: dict[str, Any]) -> None:
        self.driver.load_state_dict(counters["driver"])
        self.updates = counters["updates"]
        self.history = json.loads(json.dumps(counters["history"]))


def _samples(groups: tuple[Group, ...]) -> list[Sample]:
    """The completions of a mini-batch with their advantages; groups are numbered from 0."""
    samples = []
    for number, group in enumerate(groups):
        advantages = group_advantages(group.rewards)
        assert advantages is not None, "the scheduler hands over valid groups only"
        for sample, advantage in zip(group.samples, advantages, strict=True):
            if sample.completion.tokens:
                samples.append(Sample(
                    sample.prompt_tokens, tuple(sample.completion.tokens), tuple(sample.completion.log_probabilities),
                    number, advantage,
                ))  # fmt: skip
    return samples
