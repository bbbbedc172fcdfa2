"""The synthesis stage as the runner sees it: verified, rendered, the same bytes over a kill, damage refused."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from components.artifacts import ArtifactError, describe_shard, open_artifact, write_manifest
from components.data.documents import DOCUMENT_SCHEMA, read_documents, write_parquet
from components.model.chat_template import render
from components.problems import CodeProblem, MathProblem, TestCase, write_problems
from components.runner import execute

CHILD = """
import json, sys
from components.runner import execute
execute("synthesis", *json.loads(sys.argv[1]))
"""
CONFIG = {
    "analysis": {"documents": 6, "conversations": 3},
    "problems": {"documents": 150, "conversations": 400},
    "general": {"documents": 3, "conversations": 3},
    "shard_requests": 40,
}


def make_inputs(folder: Path, count: int = 500) -> dict[str, str]:
    documents = [
        {"id": f"d{n:02d}", "url": f"https://x/{n}", "source": "s", "title": f"Page {n}",
         "text": f"# Page {n}\n\nPage number {n} tells of a function that extends the factorial.\n\nIt is $x = {n}$.",
         "formulas": 1, "code_blocks": 0, "thread": False, "language": "en", "domain": "math",
         "scores": {"reasoning_depth": n / 20}}
        for n in range(20)
    ]
    problems: list[MathProblem | CodeProblem] = [
        MathProblem(
            id=f"m{n}", source="sums", prompt=f"Work out the following problem: {n} + {n + 7} =",
            answer=str(2 * n + 7 + (n % 50 == 49)),   # one gold answer in fifty is wrong
        )
        for n in range(10, 10 + count)
    ]
    tests = (TestCase(input="3\n", expected="10\n"), TestCase(input="-3\n", expected="-2\n"))
    problems += [
        CodeProblem(id=f"c{n}", source="programs", prompt=f"Read n. Print n times 2 plus {n}.", tests=tests)
        for n in range(3, 6)   # right for the middle one only
    ]
    problems.append(MathProblem(id="odd", source="riddles", prompt="What walks on four legs?", answer="man"))
    for name in ("documents", "problems"):
        (folder / name).mkdir(parents=True)
    write_parquet(folder / "documents/part-00000.parquet", documents, DOCUMENT_SCHEMA)
    write_problems(folder / "problems/part-00000.jsonl", problems)
    for name, file in (("documents", "part-00000.parquet"), ("problems", "part-00000.jsonl")):
        shard = describe_shard(folder / name, folder / name / file, 1)
        write_manifest(folder / name, kind=name, stage="test", shards=[shard], totals={}, config_digest="", parents={})
    return {name: str(folder / name) for name in ("documents", "problems")}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture(scope="module")
def result(inputs, tmp_path_factory):
    return execute("synthesis", {**CONFIG, "reward": {"slots": 1}}, inputs, tmp_path_factory.mktemp("store"))


def test_only_verified_answers_are_kept(result):
    conversations = list(read_documents(open_artifact(result.output("conversations"), "conversations")))
    documents = list(read_documents(open_artifact(result.output("documents"), "documents")))
    sources = Counter(row["source"] for row in conversations + documents)
    assert sources == {"synthesis/problems/sums": 343, "synthesis/problems/programs": 1, "synthesis/problems": 147,
                       "synthesis/analysis": 9, "synthesis/general": 6}
    assert {row["problem_id"] for row in conversations if "programs" in row["source"]} == {"c4"}
    rejected = Counter(row["reason"] for name in ("documents", "conversations")
                       for path in open_artifact(result.output(name)).paths("rejected")
                       for row in _rows(path))
    assert rejected == {"wrong": 12, "refused": 1}
    for row in conversations:
        assert [message["role"] for message in row["messages"]] == ["user", "assistant"]
        assert row["messages"][1]["content"].startswith("<think>\n")


def _rows(path: Path) -> list[dict]:
    import pyarrow.parquet

    return pyarrow.parquet.read_table(path).to_pylist()


def test_documents_are_rendered_with_the_chat_template(result):
    documents = list(read_documents(open_artifact(result.output("documents"))))
    text = next(row["text"] for row in documents if "problem: 10 + 17 =" in row["text"])
    assert text == render(
        [{"role": "user", "content": "Work out the following problem: 10 + 17 ="},
         {"role": "assistant", "content": "<think>\n10+17\n0+7=7\n1+1=2\n</think>\n\\boxed{27}"}],
        add_generation_prompt=False,
    )
    assert {row["domain"] for row in documents} == {"synthetic"}


def test_killed_and_resumed_gives_the_same_bytes(inputs, result, tmp_path):
    config = {**CONFIG, "reward": {"slots": 2}}
    arguments = json.dumps([config, inputs, str(tmp_path)])
    child = subprocess.Popen([sys.executable, "-c", CHILD, arguments], start_new_session=True)
    try:
        while not list(tmp_path.glob("synthesis/*.partial/work/documents/part-00001.json")):
            assert child.poll() is None, "the stage ended before it could be killed"
            time.sleep(0.001)
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
    partial = next(tmp_path.glob("synthesis/*.partial"))
    assert not (partial / "conversations" / "manifest.json").exists()
    kept = partial / "documents/part-00000.parquet"
    before = kept.stat().st_mtime_ns
    resumed = execute("synthesis", config, inputs, tmp_path)
    assert (resumed.output("documents") / kept.name).stat().st_mtime_ns == before
    for name in ("documents", "conversations"):
        assert open_artifact(resumed.output(name)).fingerprint == open_artifact(result.output(name)).fingerprint


def test_damaged_input_is_refused(tmp_path):
    inputs = make_inputs(tmp_path, count=5)
    shard = Path(inputs["problems"]) / "part-00000.jsonl"
    shard.write_text(shard.read_text().replace("17", "18"))
    with pytest.raises(ArtifactError, match=r"part-00000.jsonl: sha256 differs"):
        execute("synthesis", CONFIG, inputs, tmp_path / "store")


def test_no_usable_answer_is_an_error(tmp_path):
    inputs = make_inputs(tmp_path, count=0)
    config = {"problems": {"documents": 10}, "general": {"queries": str(tmp_path / "queries.txt"), "documents": 1}}
    (tmp_path / "queries.txt").write_text("Write a poem.\n")
    problems = Path(inputs["problems"])
    write_problems(problems / "part-00000.jsonl", [MathProblem(id="odd", source="", prompt="Why?", answer="man")])
    shard = describe_shard(problems, problems / "part-00000.jsonl", 1)
    write_manifest(problems, kind="problems", stage="t", shards=[shard], totals={}, config_digest="", parents={})
    with pytest.raises(ArtifactError, match=r"no answer could be used: .*'rejected_refused': 2"):
        execute("synthesis", config, inputs, tmp_path / "store")
