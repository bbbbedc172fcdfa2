"""Pretraining, MTP tuning and SFT as the runner sees them: killed and continued they end with the same bytes."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from components.artifacts import ArtifactError, describe_shard, open_artifact, write_manifest
from components.config import ConfigError
from components.data.documents import CONVERSATION_SCHEMA, write_parquet
from components.data.mixing.tokenizer import save, sizes
from components.data.mixing.tokenizer import train as train_tokenizer
from components.model.checkpoint import load_config, load_model
from components.problems import MathProblem, write_problems
from components.runner import Result, execute
from components.training.packing import fill, pack, write_rows

CHILD = """
import json, sys, torch
torch.set_num_threads(1)
from components.runner import execute
execute(*json.loads(sys.argv[1]))
"""
PRETRAINING = {
    "shape": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
              "num_key_value_heads": 1, "head_dim": 16},
    "max_position_embeddings": 64, "batch_tokens": 512, "micro_batch_tokens": 256,
    "first_batch_tokens": 256, "ramp_share": 0.2,
    "learning_rate": [{"tokens": 1, "start": 0, "end": 5e-3, "shape": "linear"},
                      {"tokens": 2, "start": 5e-3, "end": 5e-3},
                      {"tokens": 1, "start": 5e-3, "end": 1e-3, "shape": "cosine"}],
}  # fmt: skip
MTP_TUNING = {
    "tokens": 4096, "batch_tokens": 512, "micro_batch_tokens": 512,
    "learning_rate": [{"tokens": 1, "start": 5e-3, "end": 5e-3}],
}  # fmt: skip
SFT = {"sequence_length": 64, "rows_per_step": 4, "micro_rows": 4, "epochs": 2.5, "learning_rate": 3e-3,
       "optimizer": {"name": "muon"}}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {"pretraining": PRETRAINING, "mtp_tuning": MTP_TUNING, "sft": SFT}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def artifact(directory: Path, kind: str, files: list[Path], **totals: int) -> str:
    shards = [describe_shard(directory, file, 1) for file in files]
    write_manifest(directory, kind=kind, stage="test", shards=shards, totals=totals, config_digest="", parents={})
    return str(directory)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A tokenizer, token rows, conversations and evaluation problems."""
    root = tmp_path_factory.mktemp("world")
    folders = {name: root / name for name in ("tokenizer", "tokens", "held_out", "conversations", "evaluation")}
    for folder in folders.values():
        folder.mkdir()
    texts = [f"The sum of {n} and {n + 7} is {2 * n + 7}. A row of {n} dots: {'.' * (n % 9)}\n" for n in range(300)]
    tokenizer = train_tokenizer(texts, 300)
    used, padded = sizes(tokenizer, 8)
    given = {"tokenizer": artifact(folders["tokenizer"], "tokenizer", save(tokenizer, folders["tokenizer"]),
                                   padded_vocab_size=padded)}  # fmt: skip
    for name, part in (("tokens", texts[:260]), ("held_out", texts[260:])):
        sequences = [tokenizer.encode(text, add_special_tokens=False).ids[:64] for text in part]
        rows = fill(sequences, pack([len(ids) for ids in sequences], 64), 64, 0)
        given[name] = artifact(folders[name], "tokens", [write_rows(folders[name], 0, rows)], vocab_size=used)
    records: list[dict[str, Any]] = [
        {"id": f"c{n}", "source": "sums", "problem_id": "", "messages": [
            {"role": "user", "content": f"What is the sum of {n} and {n}?"},
            {"role": "assistant", "content": f"<think>\n2*{n}\n</think>\n{2 * n}" if n % 10 else "<think>\nwell"},
        ]}
        for n in range(60)
    ]  # fmt: skip
    records[5]["messages"][1]["content"] += " so" * 100
    write_parquet(folders["conversations"] / "part-00000.parquet", records, CONVERSATION_SCHEMA)
    problem = MathProblem(id="e", source="s", prompt="What is the sum of 7 and 7?", answer="14")
    write_problems(folders["evaluation"] / "part-00000.jsonl", [problem])
    given["conversations"] = artifact(
        folders["conversations"], "conversations", [folders["conversations"] / "part-00000.parquet"]
    )
    given["evaluation"] = artifact(folders["evaluation"], "problems", [folders["evaluation"] / "part-00000.jsonl"])
    return given


@pytest.fixture(scope="module")
def base(world: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Result:
    inputs = {name: world[name] for name in ("tokens", "held_out", "tokenizer")}
    return execute("pretraining", PRETRAINING, inputs, tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def results(
    base: Result, world: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, tuple[Result, dict[str, str]]]:
    """Every stage run without interruption, and its inputs."""
    model = str(base.output("model"))
    found = {"pretraining": (base, {name: world[name] for name in ("tokens", "held_out", "tokenizer")})}
    for stage, names in (("mtp_tuning", ("tokens", "held_out")), ("sft", ("conversations", "evaluation"))):
        inputs = {"model": model, **{name: world[name] for name in names}}
        found[stage] = (execute(stage, CONFIGS[stage], inputs, tmp_path_factory.mktemp("store")), inputs)
    return found


def curve(root: Path) -> list[dict[str, float]]:
    """The metrics of every step but those that measure time."""
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in ("tokens_per_s", "tflops")} for line in lines]


@pytest.mark.parametrize("stage", list(CONFIGS))
def test_killed_and_continued_it_ends_with_the_same_curve_and_bytes(stage: str, results, tmp_path: Path) -> None:
    result, inputs = results[stage]
    often = {**CONFIGS[stage], "save_every_s": 0.0}   # it saves most of the time: the kill falls into a save or a step
    command = [sys.executable, "-c", CHILD, json.dumps([stage, often, inputs, str(tmp_path)])]
    child = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    try:
        while not list(tmp_path.glob(f"{stage}/*.partial/work/states/step-00000003")):
            assert child.poll() is None, "the stage ended before it could be killed"
            time.sleep(0.001)
        time.sleep(random.random() * 0.03)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    partial = next(tmp_path.glob(f"{stage}/*.partial"))
    assert not (partial / "model" / "manifest.json").exists()
    with (partial / "metrics.jsonl").open("a") as file:   # a torn line, as a kill of the machine could leave
        file.write('{"step": 4, "lo')
    resumed = execute(stage, CONFIGS[stage], inputs, tmp_path)   # how often it saves is no part of the result
    assert resumed.directory == partial.with_suffix("")
    assert curve(resumed.directory) == curve(result.directory)
    assert len(curve(resumed.directory)) >= 8
    one, other = (open_artifact(each.output("model"), "checkpoint") for each in (resumed, result))
    assert one.fingerprint == other.fingerprint
    assert not (resumed.directory / "work").exists()


def test_pretraining_learns_and_counts_its_tokens(base: Result, world: dict[str, str], tmp_path: Path) -> None:
    totals = open_artifact(base.output("model"), "checkpoint").manifest.totals
    rows = len(np.load(Path(world["tokens"]) / "rows-00000.npy"))
    assert totals["tokens"] == totals["tokens_in_all"] == rows * 64
    assert totals["parameters"] == sum(p.numel() for p in load_model(base.output("model")).parameters())
    steps = curve(base.directory)
    assert steps[0]["tokens"] == 256 and steps[-1]["tokens"] == rows * 64
    assert base.metrics["held_out_loss"] < 0.8 * steps[0]["loss"]
    assert {"held_out_mtp_1_loss", "held_out_mtp_1_greedy", "train_mtp_1_loss", "tokens_per_s"} <= set(base.metrics)
    # stage 3: a larger RoPE base and context, the counter goes on
    config = {**PRETRAINING, "rope_theta": 80_000.0, "max_position_embeddings": 128, "batch_tokens": 4096}
    inputs = {"tokens": world["tokens"], "held_out": world["held_out"], "model": str(base.output("model"))}
    later = execute("pretraining", config, inputs, tmp_path)
    shape = load_config(later.output("model"))
    assert (shape.rope_theta, shape.max_position_embeddings) == (80_000.0, 128)
    assert open_artifact(later.output("model")).manifest.totals["tokens_in_all"] == 2 * rows * 64
    assert curve(later.directory)[0]["loss"] < 0.8 * steps[0]["loss"]


def test_mtp_tuning_trains_the_new_heads_and_nothing_else(base: Result, results) -> None:
    tuned, _ = results["mtp_tuning"]
    before, after = (load_file(each.output("model") / "model.safetensors") for each in (base, tuned))
    assert load_config(tuned.output("model")).num_nextn_predict_layers == 3
    new = {name for name in after if name not in before}
    assert {name.split(".")[2] for name in new} == {"1", "2"}
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name
    for name in new:
        head = ".".join(["model.mtp_layers", "0", *name.split(".")[3:]])
        assert not torch.equal(after[name], before[head]), f"{name} is still the copy it started as"
    assert tuned.metrics["held_out_mtp_1_loss"] == pytest.approx(base.metrics["held_out_mtp_1_loss"], rel=1e-6)
    steps = curve(tuned.directory)
    for head in (2, 3):
        assert steps[-1][f"mtp_{head}_loss"] < steps[0][f"mtp_{head}_loss"]
        assert 0 <= tuned.metrics[f"held_out_mtp_{head}_greedy"] <= 1


def test_sft_trains_on_clean_conversations_and_keeps_the_others(results) -> None:
    result, _ = results["sft"]
    model = open_artifact(result.output("model"), "checkpoint")
    rejected = [row for path in model.paths("rejected") for row in pq.read_table(path).to_pylist()]
    reasons = {row["id"]: row["reason"] for row in rejected}
    assert reasons == {"c7": "contaminated", "c5": "too_long", **{f"c{n}": "incomplete" for n in range(0, 60, 10)}}
    assert (model.manifest.totals["conversations"], model.manifest.totals["rejected"]) == (52, 8)
    steps = curve(result.directory)
    assert steps[-1]["loss"] < 0.5 * steps[0]["loss"] and steps[-1]["mtp_1_loss"] < steps[0]["mtp_1_loss"]
    assert steps[-1]["learning_rate"] == 3e-3


def test_wrong_inputs_are_refused_by_name(base: Result, world: dict[str, str], tmp_path: Path) -> None:
    tokens = {"tokens": world["tokens"], "held_out": world["held_out"]}
    model = str(base.output("model"))
    with pytest.raises(ConfigError, match="give `tokenizer` to start a model, or `model` to continue one"):
        execute("pretraining", PRETRAINING, tokens, tmp_path)
    with pytest.raises(ArtifactError, match="rows of 64 tokens; the model's max_position_embeddings is 32"):
        execute("pretraining", {**PRETRAINING, "max_position_embeddings": 32}, {**tokens, "model": model}, tmp_path)
    data = {"conversations": world["conversations"], "evaluation": world["evaluation"], "model": model}
    with pytest.raises(ConfigError, match=r"sequence_length is 128, the context of .* is 64"):
        execute("sft", {**SFT, "sequence_length": 128}, data, tmp_path)
    with pytest.raises(ArtifactError, match="left after cleaning: contaminated 1, incomplete 6, too_long 53"):
        execute("sft", {**SFT, "sequence_length": 16}, data, tmp_path)
    copy = tmp_path / "damaged"
    copy.mkdir()
    for path in base.output("model").iterdir():
        content = bytearray(path.read_bytes())
        if path.name == "model.safetensors":
            content[-1] ^= 1
        (copy / path.name).write_bytes(content)
    with pytest.raises(ArtifactError, match=r"model.safetensors: sha256 differs"):
        execute("mtp_tuning", MTP_TUNING, {**tokens, "model": str(copy)}, tmp_path)
