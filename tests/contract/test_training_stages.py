"""Pretraining, MTP tuning and SFT as the runner sees them: killed and continued they end with the same bytes."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file
from training_world import CONFIGS, MTP_TUNING, PRETRAINING, SFT, artifact, curve, make_world

from components.artifacts import ArtifactError, open_artifact, write_json
from components.config import ConfigError
from components.model.checkpoint import load_config, load_model
from components.runner import Result, execute

CHILD = """
import json, resource, sys, torch
torch.set_num_threads(1)
from components.runner import execute
limit = int(sys.argv[2])   # bytes that a file can have, as on a full disk
if limit:
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
execute(*json.loads(sys.argv[1]))
"""
@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make_world(tmp_path_factory.mktemp("world"))


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


@pytest.mark.parametrize("stage", list(CONFIGS))
def test_killed_and_continued_it_ends_with_the_same_curve_and_bytes(stage: str, results, tmp_path: Path) -> None:
    result, inputs = results[stage]
    often = {**CONFIGS[stage], "save_every_s": 0.0}   # it saves most of the time: the kill falls into a save or a step
    command = [sys.executable, "-c", CHILD, json.dumps([stage, often, inputs, str(tmp_path)])]
    child = subprocess.Popen([*command, "0"], start_new_session=True, stderr=subprocess.DEVNULL)
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
    if stage == "pretraining":   # continued, it meets a full disk and stops
        full = subprocess.run([*command, "20000"], capture_output=True, text=True, check=False)
        assert full.returncode and "the state could not be saved: " in full.stderr, full.stderr
        assert list(partial.glob("work/states/step-*")) and not list(partial.glob("work/states/*.partial"))
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


def test_a_model_without_a_head_gets_new_ones(base: Result, world: dict[str, str], tmp_path: Path) -> None:
    source = base.output("model")
    bare = tmp_path / "bare"
    tensors = {name: tensor for name, tensor in load_file(source / "model.safetensors").items() if "mtp" not in name}
    shutil.copytree(source, bare)
    save_file(tensors, bare / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((source / "config.json").read_text())
    write_json(bare / "config.json", {**config, "num_nextn_predict_layers": 0})
    artifact(bare, "checkpoint", sorted(path for path in bare.iterdir() if path.name != "manifest.json"))
    inputs = {"model": str(bare), "tokens": world["tokens"], "held_out": world["held_out"]}
    tuned = execute("mtp_tuning", {**MTP_TUNING, "heads": 1}, inputs, tmp_path)
    after = load_file(tuned.output("model") / "model.safetensors")
    assert all(torch.equal(after[name], tensor) for name, tensor in tensors.items())
    steps = curve(tuned.directory)
    assert steps[-1]["mtp_1_loss"] < 0.9 * steps[0]["mtp_1_loss"]
    with pytest.raises(ConfigError, match="has 1 MTP heads already; tuning makes 1 of fewer"):
        execute("mtp_tuning", {**MTP_TUNING, "heads": 1}, {**inputs, "model": str(source)}, tmp_path)


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
