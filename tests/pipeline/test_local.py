"""The recipe through the compiled pipeline on this machine: the whole of it, interrupted, continued, and rerun."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.artifacts import open_artifact
from pipelines.dag import NODES
from pipelines.runs import find_run, list_runs

MINI = str(Path(__file__).parent / "mini.toml")
# Tiny matrices: more threads only wait for each other, and badly so on a busy machine.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
pytestmark = pytest.mark.xdist_group("local")


def mimo(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipelines.cli", arguments[0], "--runs", str(root), *arguments[1:]]
    return subprocess.run(command, capture_output=True, text=True, timeout=900, check=False, env=ENVIRONMENT)


def tasks_of(root: Path) -> list[int]:
    """Processes that belong to a run below `root`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                environment = (entry / "environ").read_bytes()
            except OSError:
                continue   # gone, or somebody else's
            if f"MIMO_RUN={root}".encode() in environment:
                found.append(int(entry.name))
    return found


def _hear_interrupts() -> None:
    """A shell starts background jobs with SIGINT ignored, and children inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a mini run that was killed twice, by SIGKILL and by Ctrl-C, and continued to its end."""
    root = tmp_path_factory.mktemp("runs").resolve()
    command = [sys.executable, "-m", "pipelines.cli", "run", "--runs", str(root), "--profile", MINI]
    for node, number, seconds in (("synthesis", signal.SIGKILL, 0.2), ("sft", signal.SIGINT, 0.7)):
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT,
            preexec_fn=_hear_interrupts,
        )
        assert process.stdout is not None and process.stderr is not None
        for line in process.stdout:
            if f"{node}: started" in line:
                break
        else:
            pytest.fail(f"{node} never started: {process.stderr.read()}")
        time.sleep(seconds)   # into the task, past its imports or not: the first takes but a second in all
        process.send_signal(number)
        error = process.stderr.read() if number == signal.SIGINT else ""
        assert process.wait(timeout=30) == (130 if number == signal.SIGINT else -signal.SIGKILL)
        assert "continues where this stopped" in error or number == signal.SIGKILL
        deadline = time.monotonic() + 10
        while tasks_of(root) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert tasks_of(root) == [], "a task outlived its runner"
        assert find_run(root).status == "interrupted"
        assert find_run(root).nodes[node].status == "interrupted"
    result = mimo(root, "run", "--profile", MINI)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Continuing run" in result.stdout
    return root


def test_an_interrupted_run_is_one_run_with_every_node_done(finished: Path) -> None:
    (run,) = list_runs(finished)
    assert run.status == "finished" and list(run.nodes) == list(NODES)
    for name, node in run.nodes.items():
        assert node.status in ("done", "cached"), name
        for output, directory in node.outputs.items():
            assert open_artifact(directory).manifest.kind == NODES[name].stage.outputs[output]
        for key, edge in NODES[name].inputs.items():
            assert node.inputs[key] == run.artifact(edge)


def test_what_it_printed_and_wrote(finished: Path) -> None:
    result = mimo(finished, "report", "--json")
    report = json.loads(result.stdout)
    assert {"funnel", "training", "rl", "evaluation", "time"} <= set(report)
    funnel = {row["stage"]: [int(row[name].replace(",", "")) for name in ("in", "kept", "rejected")]
              for row in report["funnel"]}  # fmt: skip
    assert all(kept + rejected == entered for name, (entered, kept, rejected) in funnel.items() if name != "synthesis")
    assert {row["model"] for row in report["evaluation"]} == {"Base", "SFT", "RL-Zero", "RL"}
    page = Path(report["report"]).read_text()
    assert len(page.encode()) < 5_000_000
    assert page.count("srcdoc=") == len(NODES)
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?https?:""", page)


def test_started_again_it_says_that_it_is_done(finished: Path) -> None:
    run = find_run(finished)
    compiled = (run.directory / "pipeline.yaml").stat().st_mtime_ns
    result = mimo(finished, "run", "--profile", MINI)
    assert result.returncode == 0 and "is finished already" in result.stdout
    assert (run.directory / "pipeline.yaml").stat().st_mtime_ns == compiled and len(list_runs(finished)) == 1


def test_a_stage_is_rerun_on_what_the_run_made(finished: Path) -> None:
    before = find_run(finished)
    arguments = ("--run", before.id, "--stage", "rl", "--set", "rl.learning_rate=2e-5", "--downstream")
    result = mimo(finished, "rerun", *arguments)
    assert result.returncode == 0, result.stdout + result.stderr
    after = find_run(finished)
    assert after.rerun_of == before.id
    assert {name for name, node in after.nodes.items() if node.status != "given"} == {
        "rl", "evaluation_rl", "gate", "publishing"
    }
    assert after.nodes["rl"].config["learning_rate"] == 2e-5
    assert after.artifact("rl.model") != before.artifact("rl.model")
    assert after.nodes["rl"].inputs["model"] == before.artifact("sft.model")
    assert after.artifact("rl_zero.model") == before.artifact("rl_zero.model")


def test_a_hugging_face_model_takes_the_place_of_pretraining(finished: Path) -> None:
    model = find_run(finished, _first(finished)).artifact("pretraining_3.model")
    result = mimo(finished, "run", "--profile", MINI, "--from", "sft", "--model", model)
    assert result.returncode == 0, result.stdout + result.stderr
    run = find_run(finished)
    assert not {"mixing", "pretraining_1", "pretraining_2", "pretraining_3", "mtp_tuning"} & set(run.nodes)
    assert run.nodes["ingestion"].status == "cached"
    assert run.nodes["publishing"].outputs


def test_a_failing_stage_has_the_last_word(tmp_path: Path) -> None:
    source = '[{name="mine",format="warc",path="/nonexistent/pages.warc.gz"}]'
    result = mimo(tmp_path, "run", "--profile", MINI, "--set", f"ingestion.sources={source}")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ingestion") and "/nonexistent/pages.warc.gz" in last
    assert "Traceback" not in result.stdout + result.stderr
    log = re.search(r"Its log: (\S+)", result.stdout)
    assert log is not None and "/nonexistent/pages.warc.gz" in Path(log.group(1)).read_text()
    assert find_run(tmp_path).status == "failed"
    assert find_run(tmp_path).nodes["publishing"].status == "waiting"


def test_a_task_that_shares_a_stage_fails_with_its_own_words(tmp_path: Path) -> None:
    source = '[{name="mine",format="warc",path="/nonexistent/pages.warc.gz"}]'
    shared = ("--set", "placement.ingestion.ranks=2", "--set", f"ingestion.sources={source}")
    result = mimo(tmp_path, "run", "--profile", MINI, *shared)
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ingestion") and "/nonexistent/pages.warc.gz" in last
    assert find_run(tmp_path).nodes["ingestion"].status == "failed"
    refused = mimo(tmp_path, "run", "--profile", MINI, "--set", "placement.rl.ranks=2")
    assert refused.returncode == 2 and "placement of rl: 2 ranks, but it cannot be shared" in refused.stderr


def test_wrong_use_is_told_before_anything_starts(tmp_path: Path) -> None:
    result = mimo(tmp_path, "run", "--profile", MINI, "--set", "rl.learning_rat=1")
    assert result.returncode == 2 and "rl.learning_rat: unknown key" in result.stderr
    assert mimo(tmp_path, "rerun", "--stage", "rl").returncode == 2
    assert "config.json: no such file" in mimo(tmp_path, "run", "--from", "sft", "--model", str(tmp_path)).stderr
    assert list(tmp_path.iterdir()) == []


def _first(root: Path) -> str:
    return list_runs(root)[0].id
