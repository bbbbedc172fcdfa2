"""Evaluation and gate as the runner sees them: real checkpoints and judge, killed and resumed, any number of slots."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_checkpoints import make_checkpoint

from components.artifacts import ArtifactError, describe_shard, open_artifact, write_manifest
from components.config import ConfigError
from components.evaluation.results import open_results, read_samples
from components.evaluation.sampling import sample_problems
from components.problems import CodeProblem, MathProblem, TestCase, write_problems
from components.runner import execute

CONFIG = {
    "sampling": {"samples": 3, "max_tokens": 24, "temperature": 1.0, "top_p": 0.9, "slots": 16},
    "pass_at": [1, 3], "reward": {"slots": 1},
}  # fmt: skip

# Waits to be killed where it would write its third chunk, if told to.
CHILD = """
import json, sys, time, torch
torch.set_num_threads(1)
from components.evaluation import sampling
from components.runner import execute
sampling.CHUNK_COMPLETIONS = 3
write = sampling.write_samples
def write_samples(path, samples):
    if sys.argv[4:] and path.name == "chunk-000002.jsonl":
        path.with_name("waiting").touch()
        time.sleep(600)
    write(path, samples)
sampling.write_samples = write_samples
execute("evaluation", json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3])
"""


def make_problems(directory: Path, problems: list) -> Path:
    directory.mkdir(parents=True)
    write_problems(directory / "problems.jsonl", problems)
    shards = [describe_shard(directory, directory / "problems.jsonl", len(problems))]
    write_manifest(directory, kind="problems", stage="test", shards=shards, totals={}, config_digest="", parents={})
    return directory


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("inputs")
    problems = [
        *(MathProblem(id=f"m{n}", source="sums", prompt=f"What is 1{n} + 30?", answer=str(40 + n)) for n in range(5)),
        CodeProblem(id="c", source="programs", prompt="Print it doubled.", tests=[TestCase(input="2", expected="4")]),
    ]
    model = make_checkpoint(root / "model", "pretraining", seed=0)
    return {"model": str(model), "problems": str(make_problems(root / "problems", problems))}


@pytest.fixture(scope="module")
def result(inputs, tmp_path_factory):
    return execute("evaluation", CONFIG, inputs, tmp_path_factory.mktemp("store"))


def test_every_problem_is_sampled_and_judged(result) -> None:
    artifact = open_artifact(result.output("results"), "evaluation")
    samples = open_results(artifact)
    assert [(each.problem, each.sample) for each in samples] == [
        (problem, number) for problem in ("m0", "m1", "m2", "m3", "m4", "c") for number in range(3)
    ]
    assert len({each.text for each in samples}) > 12, "samples of a problem differ"
    assert all(0 < each.tokens <= 24 and each.finish in ("stop", "length") for each in samples)
    assert all(each.reward == 0.0 and each.verdict == "unparsable" for each in samples), "random weights solve nothing"
    summary = json.loads(artifact.paths("summary")[0].read_text())
    assert summary["kinds"]["math"]["avg"] == {"value": 0.0, "low": 0.0, "high": 0.0}
    assert summary["kinds"]["math"]["problems"] == 5
    assert set(summary["sources"]) == {"sums", "programs"}
    assert artifact.manifest.totals["samples"] == 18
    assert {"math_avg", "code_avg_low", "math_pass_3", "sums_correct_high", "code_truncated"} <= set(result.metrics)
    page = result.report.read_text()
    assert "What is 10 + 30?\n(answer: 40)" in page and "<svg" in page


def test_slots_chunks_and_a_kill_change_no_byte(inputs, result, tmp_path) -> None:
    config = {**CONFIG, "sampling": {**CONFIG["sampling"], "slots": 2}}
    command = [sys.executable, "-c", CHILD, json.dumps(config), json.dumps(inputs), str(tmp_path)]
    child = subprocess.Popen([*command, "wait"], start_new_session=True)
    try:
        while not list(tmp_path.glob("evaluation/*.partial/work/chunks/waiting")):
            assert child.poll() is None, "the stage ended before it could be killed"
            time.sleep(0.01)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    partial = next(tmp_path.glob("evaluation/*.partial"))
    assert not (partial / "results" / "manifest.json").exists()
    first = partial / "work/chunks/chunk-000000.jsonl"
    kept = first.read_bytes()
    subprocess.run(command, check=True)
    resumed = next(tmp_path.glob("evaluation/*/results/manifest.json")).parent.parent
    assert open_artifact(resumed / "results").fingerprint == open_artifact(result.output("results")).fingerprint
    assert (resumed / "results/samples.jsonl").read_bytes().startswith(kept)


def test_a_problem_has_the_same_samples_in_any_company(inputs, result, tmp_path) -> None:
    from components.evaluation.engine_config import SamplingConfig
    from components.problems import read_problems
    from components.reward.config import RewardConfig

    problems = read_problems([Path(inputs["problems"]) / "problems.jsonl"])[3:4]
    seen: list[tuple[int, int]] = []
    alone = sample_problems(
        Path(inputs["model"]), problems, SamplingConfig(**CONFIG["sampling"]), RewardConfig(slots=1), 0, tmp_path,
        lambda *numbers: seen.append(numbers),
    )  # fmt: skip
    together = open_results(open_artifact(result.output("results")))
    assert alone == [each for each in together if each.problem == "m3"]
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert read_samples(tmp_path / "chunk-000000.jsonl") == alone


@pytest.mark.parametrize(("problems", "config", "error", "words"), [
    ([], CONFIG, ArtifactError, "no problems to evaluate on"),
    ([MathProblem(id="m", source="s", prompt="1 + 1?", answer="2")] * 2, CONFIG, ArtifactError, "'m' for one"),
    ([MathProblem(id="m", source="s", prompt="1 + 1?", answer="2")],
     {**CONFIG, "sampling": {**CONFIG["sampling"], "max_tokens": 125}}, ConfigError, r"context of\s+128 tokens"),
    ([], {**CONFIG, "pass_at": [4]}, ConfigError, r"pass_at \[4\]"),
])  # fmt: skip
def test_what_cannot_be_evaluated_is_refused(inputs, tmp_path, problems, config, error, words) -> None:
    given = {**inputs, "problems": str(make_problems(tmp_path / "problems", problems))}
    with pytest.raises(error, match=words):
        execute("evaluation", config, given, tmp_path / "store")


def make_evaluation(directory: Path, correct: int) -> Path:
    """An evaluation of 40 math and 40 code problems, the first `correct` of each solved."""
    from components.evaluation.judged import Judged
    from components.evaluation.results import write_samples

    directory.mkdir(parents=True)
    write_samples(directory / "samples.jsonl", [
        Judged(f"{kind}{n}", kind, "s", k, "text", 9, "stop", float(n < correct), "correct" if n < correct else "wrong",
               n < correct, ())
        for kind in ("math", "code") for n in range(40) for k in range(4)
    ])  # fmt: skip
    shards = [describe_shard(directory, directory / "samples.jsonl", 320)]
    write_manifest(directory, kind="evaluation", stage="test", shards=shards, totals={}, config_digest="", parents={})
    return directory


@pytest.mark.parametrize(("baseline", "promote"), [(None, True), (30, True), (40, False)])
def test_gate_decides_and_never_fails(tmp_path, baseline: int | None, promote: bool) -> None:
    correct = {"base": 2, "sft": 20, "rl_zero": 25, "rl": 36}
    if baseline is not None:
        correct["baseline"] = baseline
    inputs = {name: make_evaluation(tmp_path / name, number) for name, number in correct.items()}
    result = execute("gate", {}, inputs, tmp_path / "store")
    again = execute("gate", {}, inputs, tmp_path / "other")
    artifact = open_artifact(result.output("decision"), "decision")
    assert artifact.fingerprint == open_artifact(again.output("decision")).fingerprint
    decision = json.loads(artifact.paths()[0].read_text())
    assert decision["promote"] is promote
    assert result.metrics["promote"] == float(promote)
    found = {(each["left"], each["right"], each["kind"]): each["difference"] for each in decision["comparisons"]}
    assert len(found) == (6 if baseline is None else 8)
    assert found["sft", "base", "math"]["value"] == pytest.approx(18 / 40)
    assert found["sft", "base", "math"]["low"] > 0.25
    page = result.report.read_text()
    assert ("Do not promote" not in page) is promote
    assert "RL-Zero − Base, code" in page and "<svg" in page


def test_gate_refuses_a_damaged_evaluation(tmp_path) -> None:
    inputs = {name: make_evaluation(tmp_path / name, 3) for name in ("base", "sft", "rl_zero", "rl")}
    path = inputs["rl"] / "samples.jsonl"
    path.write_text(path.read_text().replace('"wrong"', '"right"', 1))
    with pytest.raises(ArtifactError, match=r"rl/samples\.jsonl: sha256 differs"):
        execute("gate", {}, inputs, tmp_path / "store")
