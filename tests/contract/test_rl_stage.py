"""RL as a stage: killed and resumed it ends with the same weights; its inputs are checked; MTP heads stay frozen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from components.artifacts import ArtifactError, describe_shard, write_manifest
from components.config import ConfigError
from components.data.mixing import tokenizer as tokenizers
from components.model import MiMoConfig, MiMoForCausalLM
from components.model.checkpoint import describe_checkpoint, load_model, save_checkpoint
from components.problems import MathProblem, write_problems
from components.runner import execute

CONFIG = {
    "iterations": 12, "groups_per_iteration": 4, "groups_per_update": 2, "group_size": 4, "learning_rate": 3e-3,
    "warmup_updates": 1, "max_tokens": 8, "row_tokens": 128, "rows_per_step": 4, "slots": 16,
}  # fmt: skip

# A child process in which short answers pay: random weights never solve a problem, and what is tested here is the
# stage, not the rewards.
CHILD = """
import sys, torch
torch.set_num_threads(1)
from concurrent.futures import Future
from components.reward.rewards import Reward
from components.training.rl import stage
class Rewarder(stage.Rewarder):
    def submit(self, problem, completion):
        future = Future()
        future.set_result(Reward(1.0 / (1 + len(completion)), "wrong"))
        return future
stage.Rewarder = Rewarder
from components.runner import execute
import json
result = execute("rl", json.loads(sys.argv[1]), {"model": sys.argv[2], "problems": sys.argv[3]}, sys.argv[4])
print(result.directory)
"""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("rl")
    tokenizer = root / "tokenizer"
    tokenizer.mkdir()
    tokenizers.save(tokenizers.train(["the sum of 1 and 2 is 3"] * 4, 300), tokenizer)
    torch.manual_seed(0)
    model = MiMoForCausalLM(MiMoConfig(
        vocab_size=384, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, head_dim=8, max_position_embeddings=128, initializer_range=0.2,
    ))  # fmt: skip
    save_checkpoint(model, root / "model", tokenizer)
    write_manifest(root / "model", kind="checkpoint", stage="test", shards=describe_checkpoint(root / "model"),
                   totals={}, config_digest="", parents={})  # fmt: skip
    problems = root / "problems"
    problems.mkdir()
    write_problems(problems / "problems.jsonl", [
        MathProblem(id=f"p{n}", source="test", prompt=f"What is {n} plus {n}?", answer=str(2 * n)) for n in range(9)
    ])  # fmt: skip
    write_manifest(problems, kind="problems", stage="test", config_digest="", parents={}, totals={},
                   shards=[describe_shard(problems, problems / "problems.jsonl", 9)])  # fmt: skip
    return {"model": root / "model", "problems": problems}


def start(inputs: dict[str, Path], store: Path) -> subprocess.Popen[str]:
    arguments = [json.dumps(CONFIG), str(inputs["model"]), str(inputs["problems"]), str(store)]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "MIMO_PROGRESS": str(store.parent / "progress.json")},
    )  # fmt: skip


def finish(process: subprocess.Popen[str]) -> Path:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return Path(output.strip().splitlines()[-1]) / "model"


def test_killed_and_resumed_run_ends_with_the_same_weights(inputs: dict[str, Path], tmp_path: Path) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = finish(start(inputs, tmp_path / "whole" / "store"))
    store = tmp_path / "killed" / "store"
    process = start(inputs, store)
    deadline = time.monotonic() + 60
    while not list(store.glob("rl/*.partial/work/states/step-00000005")) and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not list(store.glob("rl/*/model/manifest.json")), "the run ended before it could be killed"
    resumed = finish(start(inputs, store))
    left, right = load_model(whole).state_dict(), load_model(resumed).state_dict()
    start_weights = load_model(inputs["model"]).state_dict()
    for name, tensor in left.items():
        torch.testing.assert_close(tensor, right[name], rtol=1e-5, atol=1e-6)
        if "mtp_layers" in name:
            assert torch.equal(tensor, start_weights[name])
    assert not torch.equal(left["lm_head.weight"], start_weights["lm_head.weight"])


def test_problems_and_lengths_are_checked_before_training(inputs: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="model's context"):
        execute("rl", {**CONFIG, "max_tokens": 120}, inputs, tmp_path)
    with pytest.raises(ConfigError, match="groups_per_update"):
        execute("rl", {**CONFIG, "groups_per_update": 3}, inputs, tmp_path)
    damaged = tmp_path / "problems"
    damaged.mkdir()
    for path in inputs["problems"].iterdir():
        (damaged / path.name).write_bytes(path.read_bytes()[:-1] if path.suffix == ".jsonl" else path.read_bytes())
    with pytest.raises(ArtifactError, match="truncated"):
        execute("rl", CONFIG, {**inputs, "problems": damaged}, tmp_path / "store")
