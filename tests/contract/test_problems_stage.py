"""The problems stage as the runner sees it: same bytes on any number of slots and over a kill, goldens verified."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.artifacts import ArtifactError, open_artifact
from components.data.problems import golden
from components.problems import CodeProblem, TestCase, read_problems
from components.runner import execute

CONFIG = {
    "math": [{"generator": "chain_sum", "parameters": {"max_terms": 3, "max_digits": 2}}],
    "math_train": 300,
    "math_evaluation": 40,
    "code": [{"family": "branch"}, {"family": "numbers"}],
    "code_train": 140,
    "code_evaluation": 10,
}
CHILD = """
import json, sys
from components.runner import execute
execute("problems", json.loads(sys.argv[1]), {}, sys.argv[2])
"""


def _fingerprints(result) -> list[str]:
    return [open_artifact(result.output(name), "problems").fingerprint for name in ("train", "evaluation")]


def _kill_after_first_chunk(config: dict, store: Path) -> None:
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(config), str(store)], start_new_session=True)
    try:
        while not list(store.glob("problems/*.partial/work/golden/part-00000.json")):
            assert child.poll() is None, "the stage ended before it could be killed"
            time.sleep(0.005)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def test_same_bytes_with_other_slots_and_after_a_kill(tmp_path, monkeypatch):
    one = execute("problems", {**CONFIG, "reward": {"slots": 1}}, {}, tmp_path / "one")
    two_slots = {**CONFIG, "reward": {"slots": 2}}
    _kill_after_first_chunk(two_slots, tmp_path / "two")
    partial = next((tmp_path / "two").glob("problems/*.partial"))
    assert not (partial / "train" / "manifest.json").exists()
    left = 2 - len(list((partial / "work/golden").glob("*.json")))
    judged = []
    judge = golden._judge
    monkeypatch.setattr(golden, "_judge", lambda *arguments: judged.append(1) or judge(*arguments))
    resumed = execute("problems", two_slots, {}, tmp_path / "two")
    assert len(judged) == left < 2
    assert _fingerprints(resumed) == _fingerprints(one)
    assert execute("problems", CONFIG, {}, tmp_path / "two").reused


def test_wrong_hanging_and_crashing_goldens_are_set_aside(tmp_path):
    goldens = {
        "right": "print(int(input())*2)",
        "wrong": "print(int(input())**2)",
        "hangs": "while True: pass",
        "crashes": "print(1/0)",
        "none": "",
    }
    tests = (TestCase(input="2\n", expected="4\n"), TestCase(input="3\n", expected="6\n"))
    rows = [CodeProblem(id=name, source="", prompt=f"Double it, {name}", tests=tests, golden=golden)
            for name, golden in goldens.items()]
    (tmp_path / "mine.jsonl").write_text("\n".join(row.model_dump_json() for row in rows))
    config = {"files": [{"name": "mine", "path": str(tmp_path / "mine.jsonl")}], "reward": {"cpu_s": 0.5, "slots": 2}}
    train = open_artifact(execute("problems", config, {}, tmp_path / "store").output("train"))
    assert {problem.id for problem in read_problems(train.paths())} == {"right", "none"}
    rejected = [json.loads(line) for path in train.paths("rejected") for line in path.read_text().splitlines()]
    details = {row["where"]: row["detail"] for row in rejected}
    assert details == {
        "wrong": "test 2: wrong",
        "hangs": "test 1: timeout, test 2: timeout",
        "crashes": "test 1: error, test 2: error",
    }
    assert train.manifest.totals["rejected_golden_failed"] == 3


def test_nothing_left_is_an_error_that_says_why(tmp_path):
    (tmp_path / "mine.jsonl").write_text("{}\n")
    config = {"files": [{"name": "mine", "path": str(tmp_path / "mine.jsonl")}]}
    with pytest.raises(ArtifactError, match="every problem was rejected: invalid 1"):
        execute("problems", config, {}, tmp_path / "store")
