"""Publishing as the runner sees it: five checkpoints that load, cards that quote their own results, delivery once."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi, ModelCard
from safetensors.torch import load_file, save_file
from tiny_checkpoints import make_checkpoint, seal_checkpoint
from transformers import Qwen2Config, Qwen2ForCausalLM

from components.artifacts import ArtifactError, describe_shard, open_artifact, read_manifest, write_json, write_manifest
from components.config import ConfigError
from components.publishing import stage
from components.publishing.verify import verify
from components.runner import execute

CHILD = """
import json, sys
from components.runner import execute
execute("publishing", {}, json.loads(sys.argv[1]), sys.argv[2])
"""
AVERAGES = {"base": 0.125, "sft": 0.25, "rl_zero": 0.375, "rl": 0.5}
PARENTS = {"sft": "base", "rl_zero": "base", "rl": "sft", "mtp": "base"}


def _results(directory: Path, model: Path, average: float) -> Path:
    directory.mkdir(parents=True)
    interval, best = ({"value": each, "low": each - 0.1, "high": each + 0.1} for each in (average, average + 0.25))
    kind = {"problems": 16, "avg": interval, "pass_at": {"1": interval, "4": best}}
    sampling = {"samples": 4, "temperature": 0.6, "top_p": 0.95, "max_tokens": 90}
    write_json(directory / "summary.json", {"kinds": {"math": kind, "code": kind}, "sources": {}, "sampling": sampling})
    shards = [describe_shard(directory, directory / "summary.json", role="summary")]
    write_manifest(directory, kind="evaluation", stage="evaluation", shards=shards, totals={}, config_digest="0" * 64,
                   parents={"model": read_manifest(model).fingerprint})
    return directory


def _decision(directory: Path, inputs: dict[str, str], promote: bool) -> Path:
    directory.mkdir(parents=True)
    path = directory / "decision.json"
    write_json(path, {"promote": promote, "reasons": ["RL − SFT, math: 25.0"], "comparisons": []})
    parents = {name: read_manifest(Path(inputs[f"{name}_results"])).fingerprint for name in AVERAGES}
    write_manifest(directory, kind="decision", stage="gate", shards=[describe_shard(directory, path)], totals={},
                   config_digest="0" * 64, parents=parents)
    return directory


def _make_inputs(root: Path, base: Path, promote: bool = True) -> dict[str, str]:
    paths = {"base": base}
    for seed, (name, parent) in enumerate(PARENTS.items()):
        maker = {"sft": "sft", "mtp": "mtp_tuning"}.get(name, "rl")
        paths[name] = make_checkpoint(root / name, maker, seed, paths[parent], heads=3 if name == "mtp" else 1)
    inputs = {name: str(path) for name, path in paths.items()}
    for name, average in AVERAGES.items():
        inputs[f"{name}_results"] = str(_results(root / f"{name}_results", paths[name], average))
    inputs["decision"] = str(_decision(root / "decision", inputs, promote))
    return inputs


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("inputs")
    return _make_inputs(root, make_checkpoint(root / "base", "pretraining", 9))


@pytest.fixture(scope="module")
def published(inputs: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release, made after an earlier attempt was killed while it was verified."""
    store = tmp_path_factory.mktemp("store")
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(inputs), str(store)], start_new_session=True)
    try:
        while not list(store.glob("publishing/*.partial/release/MTPs/README.md")):
            assert child.poll() is None, "the stage ended before it could be killed"
            time.sleep(0.005)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    half = next(store.glob("publishing/*.partial/release/Base/model.safetensors"))
    half.write_bytes(half.read_bytes()[:1000])   # as if the machine had died with it
    return execute("publishing", {}, inputs, store).output("release")


def test_five_directories_and_a_summary_that_names_their_sources(inputs, published: Path) -> None:
    release = open_artifact(published, "release")
    summary = json.loads((published / "release.json").read_bytes())
    assert list(summary["checkpoints"]) == ["Base", "MTPs", "RL", "RL-Zero", "SFT"]
    assert summary["decision"]["promote"] is True
    for directory, name in {"Base": "base", "SFT": "sft", "RL-Zero": "rl_zero", "RL": "rl", "MTPs": "mtp"}.items():
        assert summary["checkpoints"][directory]["fingerprint"] == read_manifest(Path(inputs[name])).fingerprint
        source = load_file(Path(inputs[name]) / "model.safetensors")
        copy = load_file(published / directory / "model.safetensors")
        assert source.keys() == copy.keys() and all(torch.equal(source[key], copy[key]) for key in source)
    listed = {shard.path for shard in release.manifest.shards} | {"manifest.json"}
    assert listed == {path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file()}
    assert not list(published.parent.glob("work*"))   # no module cache is left behind


def test_cards_quote_their_own_results(published: Path) -> None:
    for directory, percent in {"Base": 12.5, "SFT": 25.0, "RL-Zero": 37.5, "RL": 50.0}.items():
        card = ModelCard.load(published / directory / "README.md")
        found = [(each.dataset_name, each.metric_type, each.metric_value) for each in card.data.eval_results]
        assert found == [(f"held-out {kind} problems", "avg@4", percent) for kind in ("math", "code")]
        assert card.data.pipeline_tag == "text-generation" and card.data.license is None
        mine = next(line for line in card.text.splitlines() if line.startswith(f"| **{directory}** |"))
        avg, best = (f"{value:.1f} [{value - 10:.1f}, {value + 10:.1f}]" for value in (percent, percent + 25))
        assert mine.count(f"| {avg} | {best} | 16 ") == 2   # math and code
        assert "A toy." in card.text and "12,345" in card.text
    card = ModelCard.load(published / "MTPs" / "README.md")
    assert card.data.eval_results is None and "in each MTP head (3)" in card.text


def _unverified(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading takes seconds and changes no byte."""
    finding = {"heads": 1, "gaps": {"trunk": 0.0}}
    monkeypatch.setattr(stage, "verify", lambda directories, *_: iter([finding] * len(directories)))


def test_same_bytes_in_another_store_and_without_the_kill(inputs, published: Path, tmp_path: Path, monkeypatch) -> None:
    _unverified(monkeypatch)
    other = execute("publishing", {}, inputs, tmp_path).output("release")
    assert read_manifest(other).fingerprint == read_manifest(published).fingerprint


def test_damaged_and_unknown_weights_are_refused(inputs, tmp_path: Path) -> None:
    damaged = shutil.copytree(inputs["rl"], tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"\0" * 100)
    with pytest.raises(ArtifactError, match=r"model\.safetensors: 100 bytes, the manifest says"):
        execute("publishing", {}, {**inputs, "rl": damaged}, tmp_path / "store")
    weights = load_file(Path(inputs["rl"]) / "model.safetensors")
    weights["model.layers.7.stray"] = torch.zeros(2)
    save_file(weights, damaged / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ArtifactError, match=r"damaged: not publishable.*unknown: model\.layers\.7\.stray"):
        list(verify([damaged], 16, tmp_path))


def test_a_model_that_transformers_computes_differently_is_refused(inputs, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(inputs["mtp"], tmp_path / "changed"))
    code = (changed / "modeling_mimo.py").read_text()
    swapped = code.replace("[self.hidden_layernorm(hidden), self.token_layernorm(embedded)]",
                           "[self.token_layernorm(embedded), self.hidden_layernorm(hidden)]")
    assert swapped != code
    (changed / "modeling_mimo.py").write_text(swapped)
    with pytest.raises(ArtifactError, match=r"changed: not publishable: ValueError: MTP head 1: logits differ"):
        list(verify([Path(inputs["mtp"]), changed], 16, tmp_path))


def test_results_of_another_checkpoint_are_refused(inputs, tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="'rl_results' was not made from input 'rl'"):
        execute("publishing", {}, {**inputs, "rl_results": inputs["sft_results"]}, tmp_path)
    with pytest.raises(ArtifactError, match="'rl' was not made from input 'sft'"):
        execute("publishing", {}, {**inputs, "rl": inputs["rl_zero"]}, tmp_path)


def test_delivery_waits_for_promotion_and_happens_once(inputs, published: Path, tmp_path: Path, monkeypatch) -> None:
    _unverified(monkeypatch)
    pushed = []
    monkeypatch.setattr(HfApi, "create_repo", lambda self, name, **options: pushed.append((name, options)))
    monkeypatch.setattr(HfApi, "upload_folder", lambda self, **options: pushed.append(
        (options["repo_id"], sorted(path.name for path in options["folder_path"].iterdir()))))
    config = {"destination": str(tmp_path / "out"), "hub_namespace": "somebody", "name": "Tiny"}
    held_back = {**inputs, "decision": str(_decision(tmp_path / "decision", inputs, promote=False))}
    execute("publishing", config, held_back, tmp_path / "store")
    assert not pushed and not (tmp_path / "out").exists()

    execute("publishing", config, inputs, tmp_path / "store")
    (delivered,) = (tmp_path / "out").iterdir()
    summary = json.loads((delivered / "release.json").read_bytes())
    assert delivered.name == summary["release"] and summary["name"] == "Tiny"
    weights = Path("RL") / "model.safetensors"
    assert (delivered / weights).read_bytes() == (published / weights).read_bytes()
    names = ["Base", "SFT", "RL-Zero", "RL", "MTPs"]
    assert [name for name, _ in pushed[::2]] == [f"somebody/Tiny-{name}" for name in names]
    assert pushed[0][1] == {"private": True, "exist_ok": True}
    assert {"README.md", "config.json", "model.safetensors", "modeling_mimo.py", "tokenizer.json"} <= set(pushed[1][1])
    card = ModelCard.load(delivered / "RL" / "README.md")
    assert card.data.base_model == "somebody/Tiny-SFT"

    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")}
    execute("publishing", config, inputs, tmp_path / "another store")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("*")} == before
    with pytest.raises(ConfigError, match=r"publishing\.destination: 'nowhere://x'"):
        execute("publishing", {"destination": "nowhere://x"}, inputs, tmp_path / "store")


def test_a_start_from_somebody_elses_model_runs_none_of_its_code(tmp_path: Path) -> None:
    base = make_checkpoint(tmp_path / "base", "imported", 3)
    qwen = Qwen2ForCausalLM(Qwen2Config(
        vocab_size=288, hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=128, tie_word_embeddings=True,
    ))  # fmt: skip
    qwen.save_pretrained(base)
    config = json.loads((base / "config.json").read_bytes())
    write_json(base / "config.json", {**config, "auto_map": {"AutoModelForCausalLM": "evil.Model"}})
    (base / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    (base / "README.md").write_text("Theirs.")
    for name in ("configuration_mimo.py", "modeling_mimo.py", "chat_template.jinja"):
        (base / name).unlink(missing_ok=True)
    seal_checkpoint(base, "imported")
    inputs = {name: path for name, path in _make_inputs(tmp_path, base).items() if name != "mtp"}
    release = execute("publishing", {}, inputs, tmp_path / "store").output("release")
    assert not (tmp_path / "ran").exists() and not list(release.rglob("evil.py")) and not (release / "MTPs").exists()
    assert (release / "Base" / "README.original.md").read_text() == "Theirs."
    card = (release / "Base" / "README.md").read_text()
    assert "a model that existed before this run" in card
    assert "The terms of the model that this run started from hold as well." in card
