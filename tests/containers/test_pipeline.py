"""The compiled recipe in its own images, through KFP's DockerRunner: whole, failing, retried, cached, rerun."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import DOCKER, IMAGES, MINI, PREFIX, PROJECT, SHOWN, mimo, mimo_command, run_arguments, sh
from kfp import dsl, local
from rich.console import Console

from components.artifacts import open_artifact
from pipelines.containers import LABEL, Engine, open_engine
from pipelines.dag import NODES, select
from pipelines.local import execute_run
from pipelines.profile import load_profile
from pipelines.runs import Run, find_run, new_run

PAGES = PROJECT / "components/data/ingestion/sample/pages.warc.gz"
DATA_NODES = [name for name, node in NODES.items() if node.stage.image == "data" and name != "gate"]


@pytest.fixture(autouse=True)
def nothing_is_left(engine: str) -> Iterator[None]:
    """After every test: no container of a run, and no network but the engine's own."""
    yield
    assert containers() == []
    assert set(sh(DOCKER, "network", "ls", "--format", "{{.Name}}").split()) <= {"host", "none"}


def containers() -> list[str]:
    return sh(DOCKER, "ps", "--all", "--filter", f"label={LABEL}", "--format", "{{.ID}} {{.Status}}").splitlines()


def last_word(result: subprocess.CompletedProcess[str]) -> str:
    assert "Traceback" not in result.stdout + result.stderr
    return result.stderr.strip().splitlines()[-1]


def test_every_stage_ran_in_its_image_as_an_ordinary_user(finished: Run) -> None:
    assert finished.status == "finished" and list(finished.nodes) == list(NODES)
    compiled = next(yaml.safe_load_all((finished.directory / "pipeline.yaml").read_text()))
    executors = compiled["deploymentSpec"]["executors"].values()
    used = {item["container"]["image"].partition(":")[0] for item in executors if "container" in item}
    assert used == {f"{PREFIX}-data", f"{PREFIX}-train"}
    for name, node in finished.nodes.items():
        assert node.status == "done", name
        for output, directory in node.outputs.items():
            assert open_artifact(directory).manifest.kind == NODES[name].stage.outputs[output]
            assert (Path(directory).stat().st_uid, Path(directory).stat().st_gid) == (12345, 0)
        assert finished.log(name).exists()


def test_progress_is_shown_as_with_processes(finished: Run, root: Path) -> None:
    lines = (root / SHOWN).read_text().splitlines()
    for node in NODES:
        assert any(re.fullmatch(rf"\[\d+/23\] {node}: started", line) for line in lines), node
        assert any(re.match(rf"\[\d+/23\] {node}: done, \d+ s", line) for line in lines), node
    assert any(re.match(r"\[\d+/23\] \w+: \d+%.*", line) for line in lines)  # told by the task, from inside
    assert lines[-1] == f"Report: {finished.report}"


def test_a_second_run_is_served_from_the_cache(finished: Run, root: Path) -> None:
    start = time.monotonic()
    result = mimo(root, *run_arguments(), "--fresh")
    assert result.returncode == 0, result.stdout + result.stderr
    again = find_run(root)
    assert again.id != finished.id and {node.status for node in again.nodes.values()} == {"cached"}
    assert {name: node.outputs for name, node in again.nodes.items()} == {
        name: node.outputs for name, node in finished.nodes.items()
    }
    # of the results' store: KFP starts each task anew, since what ingestion hands on has another URI in every run
    assert time.monotonic() - start < 60


def test_one_stage_is_rerun_in_its_container(finished: Run, root: Path) -> None:
    arguments = ["--run", finished.id, "--stage", "evaluation_base", "--runner", "docker"]
    settings = [part for text in (*IMAGES, "evaluation.sampling.max_tokens=20") for part in ("--set", text)]
    result = mimo(root, "rerun", *arguments, *settings)
    assert result.returncode == 0, result.stdout + result.stderr
    after = find_run(root)
    assert {name for name, node in after.nodes.items() if node.status != "given"} == {"evaluation_base"}
    assert after.nodes["evaluation_base"].status == "done"
    assert after.artifact("evaluation_base.results") != finished.artifact("evaluation_base.results")


def test_processes_and_containers_make_the_same_data(finished: Run, tmp_path: Path) -> None:
    selection = select(only=DATA_NODES)
    profile = load_profile(MINI, nodes=selection.nodes)
    run = new_run(tmp_path, profile, selection)
    execute_run(run, profile, selection, Console(file=(tmp_path / "shown").open("w")), "subprocess")
    made = {
        f"{name}.{output}": (Path(directory), Path(finished.nodes[name].outputs[output]))
        for name, node in run.nodes.items()
        for output, directory in node.outputs.items()
    }
    assert len(made) == sum(len(NODES[name].stage.outputs) for name in DATA_NODES)
    both = {edge: [open_artifact(directory).fingerprint for directory in pair] for edge, pair in made.items()}
    assert {edge: pair for edge, pair in both.items() if pair[0] != pair[1]} == {}


def test_a_failing_task_has_the_last_word(images: dict[str, Any], tmp_path: Path) -> None:
    source = '[{name="mine",format="warc",path="/nonexistent/pages.warc.gz"}]'
    result = mimo(tmp_path, *run_arguments(f"ingestion.sources={source}"))
    assert result.returncode == 1
    last = last_word(result)
    assert last.startswith("ingestion") and "/nonexistent/pages.warc.gz" in last
    assert find_run(tmp_path).nodes["ingestion"].status == "failed"
    assert find_run(tmp_path).nodes["publishing"].status == "waiting"


def test_a_task_is_tried_again(images: dict[str, Any], tmp_path: Path) -> None:
    """Its pages arrive while it waits for its second attempt."""
    pages = tmp_path / "pages"
    pages.mkdir()
    source = f'[{{name="late",format="warc",path="{pages}/*.warc.gz",limit=10}}]'
    settings = ("placement.ingestion.retries=3", "placement.ingestion.backoff_s=4", f"ingestion.sources={source}")
    with started(tmp_path / "runs", *run_arguments(*settings)) as process:
        wait_for(lambda: "FAILURE" in kfp_log(tmp_path / "runs"), process)
        shutil.copy(PAGES, pages / ".copying")
        (pages / ".copying").rename(pages / "late.warc.gz")
        wait_for_line(process, "ingestion: done")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert find_run(tmp_path / "runs").nodes["ingestion"].status == "done"
    tried = re.findall(r"'ingestion'\S* finished with status \S*?(SUCCESS|FAILURE)", kfp_log(tmp_path / "runs"))
    assert len(tried) > 1 and tried == ["FAILURE"] * (len(tried) - 1) + ["SUCCESS"]


def test_a_stopped_run_leaves_no_container_and_goes_on(images: dict[str, Any], tmp_path: Path) -> None:
    """Ctrl-C in the midst of two tasks that share a stage; then SIGKILL, which leaves a dead container to the next."""
    arguments = run_arguments("ingestion.pages_per_shard=3", "extraction.workers=1")
    with started(tmp_path, *arguments) as process:
        wait_for_line(process, "ingestion: done")
        wait_for(lambda: alive() == 2, process)  # in the threads of a ParallelFor
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.wait(timeout=60) == 130 and time.monotonic() - start < 30
    assert containers() == []
    with started(tmp_path, *arguments) as process:
        wait_for_line(process, "Continuing run")
        wait_for_line(process, "extraction: started")
        wait_for(lambda: alive() == 1, process)
        process.kill()
    wait_for(lambda: alive() == 0)  # it died with its runner
    assert find_run(tmp_path).status == find_run(tmp_path).nodes["extraction"].status == "interrupted"
    with started(tmp_path, *arguments) as process:
        wait_for_line(process, "extraction: done")
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 130
    assert len(list(tmp_path.glob("2*"))) == 1


def alive() -> int:
    return sum("Up" in line for line in containers())


@contextmanager
def started(root: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A `mimo` command in the background; a shell starts such with SIGINT ignored, and children inherit that."""
    process = subprocess.Popen(
        mimo_command(root, *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def kfp_log(root: Path) -> str:
    return "".join(path.read_text() for path in root.glob("2*/kfp.log"))


def wait_for_line(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None and process.stderr is not None
    for line in process.stdout:
        if text in line:
            return
    pytest.fail(f"never said {text!r}: {process.stderr.read()}")


def wait_for(condition: Any, process: subprocess.Popen[str] | None = None) -> None:
    deadline = time.monotonic() + 240
    while not condition():
        ended = process is not None and process.poll() is not None
        assert not ended and time.monotonic() < deadline, process.stderr.read() if ended and process.stderr else "late"
        time.sleep(0.1)


def test_what_is_missing_is_named(images: dict[str, Any], tmp_path: Path) -> None:
    nowhere = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/no.sock"}
    result = mimo(tmp_path / "runs", *run_arguments(), env=nowhere)
    assert result.returncode == 2
    assert f"no container engine answers at unix://{tmp_path}/no.sock (No such file" in last_word(result)
    result = mimo(tmp_path / "runs", *run_arguments('images.train="mimo-absent:1"'))
    assert result.returncode == 2
    assert "no image mimo-absent:1 in the container engine: build it with `make images`" in last_word(result)


def test_a_full_disk_is_named(images: dict[str, Any], tmp_path: Path) -> None:
    tmp_path.joinpath("small").mkdir()
    sh("mount", "-t", "tmpfs", "-o", "size=600k", "tmpfs", tmp_path / "small")
    try:
        result = mimo(tmp_path / "small", *run_arguments())
        assert result.returncode == 1
        assert "No space left on device" in last_word(result) and last_word(result).startswith("ingestion")
    finally:
        sh("umount", tmp_path / "small")


@dsl.component(base_image=f"{PREFIX}-data", install_kfp_package=False)
def look_around() -> str:
    """What a task can do and be, as JSON."""
    import json
    import os
    import socket
    from pathlib import Path

    def works(action) -> bool:
        try:
            action()
            return True
        except OSError:
            return False

    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    limits = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
    return json.dumps({
        "user": [os.getuid(), os.getgid()],
        "interfaces": [name for _, name in socket.if_nameindex()],
        "connects": works(lambda: socket.create_connection(("192.0.2.1", 80), 1)),
        "capabilities": int(status["CapEff"], 16),
        "new_privileges": status["NoNewPrivs"].strip() == "0",
        "writes": [path for path in ("/", "/app", "/opt/mimo", "/etc") if works(Path(path, "x").touch)],
        "scratch": works(Path("/tmp/x").touch),
        "memory": next(int(Path(path).read_text()) for path in limits if Path(path).exists()),
    })  # fmt: skip


@dsl.component(base_image=f"{PREFIX}-data", install_kfp_package=False)
def fail_at_once() -> None:
    import os

    os._exit(3)


@dsl.component(base_image=f"{PREFIX}-data", install_kfp_package=False)
def take_memory() -> None:
    """More than the task may have, all at once: a page of its own for each 4 KiB."""
    bytearray(b"x") * (450 << 20)


@pytest.fixture
def task_runner(images: dict[str, Any], tmp_path: Path) -> Iterator[Engine]:
    """kfp.local, set up as a run sets it up, with ingestion's limits."""
    selection = select(only=["ingestion"])
    profile = load_profile(MINI, [*IMAGES, 'placement.ingestion.memory="300Mi"'], selection.nodes)
    run = new_run(tmp_path, profile, selection)
    mask = os.umask(0o002)
    try:
        with open_engine(run, profile, selection) as engine, engine.running():
            local.init(
                engine.runner_for(engine.runner(), "ingestion"),
                raise_on_error=False,
                pipeline_root=str(run.store / ".kfp" / run.id),
                workspace_root=str(run.store / ".kfp/workspace" / run.id),
            )
            yield engine
    finally:
        os.umask(mask)


def test_a_task_is_confined(task_runner: Engine) -> None:
    found = json.loads(look_around().output)
    assert found == {
        "user": [12345, 0], "interfaces": ["lo"], "connects": False, "capabilities": 0, "new_privileges": False,
        "writes": [], "scratch": True, "memory": 300 << 20,
    }  # fmt: skip


def test_a_task_that_takes_too_much_memory_is_killed(task_runner: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    take_memory()
    assert "FAILURE" in capsys.readouterr().out
    assert task_runner.memory("ingestion") == "300Mi (placement.ingestion.memory)"  # what the run's last line names


def test_no_exit_code_is_lost(task_runner: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(10):
        fail_at_once()
    text = capsys.readouterr().out
    assert text.count("finished with status") == text.count("FAILURE") == 10
