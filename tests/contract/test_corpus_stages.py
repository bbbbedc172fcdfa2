"""Contract of deduplication, filtering, decontamination and mixing: same bytes on any number of workers and after any
kill, damaged inputs refused."""

from __future__ import annotations

import json
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import ArtifactError, describe_shard, open_artifact, write_manifest
from components.data.documents import DOCUMENT_SCHEMA, read_parquet, write_parquet
from components.model.chat_template import render
from components.problems import MathProblem, write_problems
from components.runner import Result, execute
from components.training.packing import TokenRows

PROMPT = "A farmer has twelve apple trees and each of them bears forty apples, how many apples are there in all?"
SMALL_MIXTURES = {
    "stage_1": {"tokens": 30_000, "sequence_length": 128, "weights": {"web": 1.0}},
    "stage_2": {"tokens": 20_000, "sequence_length": 128, "weights": {"math": 0.4, "code": 0.3, "web": 0.3}},
    "stage_3": {"tokens": 20_000, "sequence_length": 256, "weights": {"math": 0.5, "web": 0.4, "synthetic": 0.1}},
    "tokenizer": {"vocab_size": 320},
    "shard_rows": 64,
}


def _document(number: int, domain: str, text: str) -> dict[str, Any]:
    return {
        "id": f"{number:016x}", "url": f"https://example.org/{number}", "source": "test", "title": f"Page {number}",
        "text": text, "formulas": text.count("$") // 2, "code_blocks": text.count("```") // 2, "thread": False,
        "language": "en", "domain": domain, "scores": {"sampling_weight": 0.5 + number % 3},
    }  # fmt: skip


def _artifact(directory: Path, kind: str, paths: list[Path]) -> Path:
    shards = [describe_shard(directory, path, 1) for path in paths]
    write_manifest(directory, kind=kind, stage="test", shards=shards, totals={}, config_digest="", parents={})
    return directory


def _documents(directory: Path, shards: list[list[dict[str, Any]]]) -> Path:
    directory.mkdir()
    paths = [directory / f"part-{index:05d}.parquet" for index in range(len(shards))]
    for path, records in zip(paths, shards, strict=True):
        write_parquet(path, records, DOCUMENT_SCHEMA)
    return _artifact(directory, "documents", paths)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three shards of pages: some copies of others, one with an evaluation problem; 40 synthetic documents."""
    root = tmp_path_factory.mktemp("inputs")
    generator = random.Random(0)
    words = ["the", "of", "sum", "tree", "function", "value", "list", "is", "prime", "returns", "when", "river"]
    extras = {"math": "Let $x^2 = 4$, so $x = 2$.", "code": "```\nprint(1)\n```", "news": "He said so on Monday."}
    pages = []
    for number in range(36):
        domain = ("math", "code", "news")[number % 3]
        count = generator.randint(9, 40)
        sentences = [" ".join(generator.choices(words, k=9)).capitalize() + "." for _ in range(count)]
        pages.append(_document(number, domain, "\n\n".join([*sentences, extras[domain]])))
    for number in (5, 17, 30):
        pages.append(_document(100 + number, pages[number]["domain"], pages[number]["text"] + "\n\nShare this."))
    pages[7]["text"] += f"\n\nProblem 3. {PROMPT.upper()}"
    evaluation = root / "evaluation"
    evaluation.mkdir()
    write_problems(evaluation / "part-00000.jsonl", [MathProblem(id="p1", source="test", prompt=PROMPT, answer="480")])
    conversations = [
        render([{"role": "user", "content": f"{n}+1"}, {"role": "assistant", "content": f"<think>.</think>{n + 1}"}])
        for n in range(40)
    ]
    return {
        "documents": _documents(root / "documents", [pages[index::3] for index in range(3)]),
        "synthetic": _documents(
            root / "synthetic", [[_document(1000 + n, "synthetic", text) for n, text in enumerate(conversations)]]
        ),
        "evaluation": _artifact(evaluation, "problems", [evaluation / "part-00000.jsonl"]),
    }


STAGES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "deduplication": ({"workers": 1}, ("documents",)),
    "filtering": ({"workers": 1, "training": {"epochs": 5}, "language_training": {"epochs": 20}}, ("documents",)),
    "decontamination": ({"workers": 1}, ("documents", "evaluation")),
    "mixing": (SMALL_MIXTURES, ("documents", "synthetic")),
}


def _run(stage: str, inputs: dict[str, Path], store: Path, **changes: Any) -> Result:
    config, names = STAGES[stage]
    return execute(stage, {**config, **changes}, {name: inputs[name] for name in names}, store)


def _files(result: Result) -> dict[str, bytes]:
    """Every file of every output, manifests included; each output verifies."""
    outputs = [path.parent for path in sorted(result.directory.glob("*/manifest.json"))]
    for output in outputs:
        open_artifact(output)
    return {
        path.relative_to(result.directory).as_posix(): path.read_bytes()
        for output in outputs
        for path in sorted(output.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def expected(inputs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Result, int]]:
    """The uninterrupted result of a stage on one worker, and how many files it renamed into place."""
    results: dict[str, tuple[Result, int]] = {}

    def result(stage: str) -> tuple[Result, int]:
        if stage not in results:
            renames = []
            with pytest.MonkeyPatch.context() as patch:
                replace = Path.replace
                patch.setattr(Path, "replace", lambda path, target: (renames.append(path), replace(path, target))[1])
                results[stage] = (_run(stage, inputs, tmp_path_factory.mktemp(stage)), len(renames))
        return results[stage]

    return result


@pytest.mark.parametrize("stage", ["deduplication", "filtering", "decontamination"])
def test_two_workers_give_the_bytes_of_one(
    stage: str, inputs: dict[str, Path], expected: Callable[[str], tuple[Result, int]], tmp_path: Path
) -> None:
    assert _files(_run(stage, inputs, tmp_path, workers=2)) == _files(expected(stage)[0])


KILLED = """
import json, os, signal, sys
from pathlib import Path
stage, config, inputs, store, left = sys.argv[1:]
left = int(left)
replace = Path.replace
def killing(path, target):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(path, target)
Path.replace = killing
from components.runner import execute
execute(stage, json.loads(config), json.loads(inputs), store)
"""


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("share", [0.3, 0.8])
def test_killed_and_resumed_gives_the_bytes_of_one_run(
    stage: str, share: float, inputs: dict[str, Path], expected: Callable[[str], tuple[Result, int]], tmp_path: Path
) -> None:
    uninterrupted, renames = expected(stage)
    config, names = STAGES[stage]
    arguments = [stage, json.dumps(config), json.dumps({name: str(inputs[name]) for name in names}), str(tmp_path)]
    child = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments, str(int(share * renames))], capture_output=True, text=True
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert list(tmp_path.glob(f"{stage}/*.partial/**/*")), "it was in the middle"
    resumed = _run(stage, inputs, tmp_path)
    assert not resumed.reused
    assert _files(resumed) == _files(uninterrupted)


@pytest.mark.parametrize("stage", STAGES)
def test_a_damaged_input_is_refused_by_name(stage: str, inputs: dict[str, Path], tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(inputs["documents"], damaged)
    path = damaged / "part-00001.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=r"part-00001\.parquet: .* truncated"):
        _run(stage, {**inputs, "documents": damaged}, tmp_path / "store")


@pytest.mark.parametrize("stage", ["deduplication", "filtering", "decontamination"])
def test_an_empty_input_gives_an_empty_output(stage: str, inputs: dict[str, Path], tmp_path: Path) -> None:
    empty = _documents(tmp_path / "empty", [[]])
    result = _run(stage, {**inputs, "documents": empty}, tmp_path / "store")
    assert open_artifact(result.output("documents"), "documents").manifest.totals["documents"] == 0


def test_what_is_dropped_is_listed_with_its_reason(expected: Callable[[str], tuple[Result, int]]) -> None:
    rejected = {}
    for stage in ("deduplication", "decontamination"):
        artifact = open_artifact(expected(stage)[0].output("documents"))
        rejected[stage] = [row for path in artifact.paths("rejected") for row in read_parquet(path)]
        assert artifact.manifest.totals["documents"] == 39 - len(rejected[stage])
    copies = {row["id"]: row["detail"].split()[0] for row in rejected["deduplication"]}
    assert len(copies) == 3
    assert {frozenset(pair) for pair in copies.items()} == {
        frozenset((f"{number:016x}", f"{100 + number:016x}")) for number in (5, 17, 30)
    }
    assert [row["id"] for row in rejected["decontamination"]] == [f"{7:016x}"]


def test_a_new_dump_is_compared_with_the_index_of_the_last(inputs: dict[str, Path], tmp_path: Path) -> None:
    paths = open_artifact(inputs["documents"]).paths()
    first = _documents(tmp_path / "first", [read_parquet(paths[0]), read_parquet(paths[1])])
    second = _documents(tmp_path / "second", [read_parquet(paths[2]), read_parquet(paths[0])[:3]])
    whole = _run("deduplication", {"documents": inputs["documents"]}, tmp_path / "store")
    one = _run("deduplication", {"documents": first}, tmp_path / "store")
    given = {"documents": second, "index": one.output("index")}
    two = [execute("deduplication", {"workers": n}, given, tmp_path / f"store-{n}") for n in (1, 2)]
    assert _files(two[0]) == _files(two[1])
    kept = [{row["id"] for path in open_artifact(result.output("documents")).paths() for row in read_parquet(path)}
            for result in (one, two[0], whole)]  # fmt: skip
    assert not kept[0] & kept[1] and len(kept[0] | kept[1]) == len(kept[2]) == 36
    artifact = open_artifact(two[0].output("documents"))
    rejected = {row["id"]: row for path in artifact.paths("rejected") for row in read_parquet(path)}
    assert {row["id"] for row in read_parquet(paths[0])[:3]} <= set(rejected)
    assert all(row["detail"] in kept[0] | kept[1] for row in rejected.values())
    assert open_artifact(two[0].output("index")).manifest.totals["documents"] == 42


def test_rows_decode_to_their_documents(inputs: dict[str, Path], expected: Callable[[str], tuple[Result, int]]) -> None:
    from transformers import AutoTokenizer

    result = expected("mixing")[0]
    tokenizer = AutoTokenizer.from_pretrained(result.output("tokenizer"))
    stage_3 = open_artifact(result.output("stage_3"), "tokens")
    rows = TokenRows(stage_3.paths())
    assert len(rows) * rows.sequence_length == stage_3.manifest.totals["tokens"] == 19_968
    held_out = set((result.output("held_out") / "documents.txt").read_text().split())
    texts = [
        record["text"]
        for name in ("documents", "synthetic")
        for path in open_artifact(inputs[name]).paths()
        for record in read_parquet(path)
        if record["id"] not in held_out
    ]
    whole = "\x00".join(f"{text}<|endoftext|>" for text in texts)
    for row in (rows[index] for index in range(0, len(rows), 7)):
        for segment in range(1, int(row[1].max()) + 1):
            assert tokenizer.decode(row[0][row[1] == segment]) in whole
