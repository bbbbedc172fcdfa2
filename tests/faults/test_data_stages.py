"""Ranks that share a data stage, killed at random instants fifty times: what is there afterwards is what an undisturbed
run leaves, byte for byte, so nothing was lost and nothing was made twice."""

from __future__ import annotations

import random
import time
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from components.artifacts import describe_shard, open_artifact, write_manifest
from components.data.documents import DOCUMENT_SCHEMA, PAGE_SCHEMA, read_documents, write_parquet
from components.problems import MathProblem, write_problems
from components.runner import Part, Result, execute, execute_part

WORLD = 3
STAGES: dict[str, tuple[dict[str, Any], tuple[str, ...], int]] = {   # config, inputs, kills
    "extraction": ({"workers": 1}, ("pages",), 10),
    "deduplication": ({"workers": 1, "memory_mb": 1}, ("documents",), 12),
    "filtering": (
        {"workers": 1, "training": {"epochs": 3}, "language_training": {"epochs": 3}, "languages": []},
        ("documents",), 10),
    "decontamination": ({"workers": 1}, ("documents", "evaluation"), 10),
    "synthesis": (
        {"problems": {"documents": 12, "conversations": 28}, "analysis": {"documents": 4, "conversations": 4},
         "general": {"documents": 4, "conversations": 4}, "shard_requests": 8, "reward": {"slots": 1}},
        ("documents", "problems"), 8),
}  # fmt: skip
assert sum(kills for *_, kills in STAGES.values()) == 50


def _artifact(directory: Path, kind: str, paths: list[Path]) -> None:
    shards = [describe_shard(directory, path, 1) for path in paths]
    write_manifest(directory, kind=kind, stage="test", shards=shards, totals={}, config_digest="", parents={})


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Nine shards of documents, of them some copies and some with an evaluation problem; pages; problems."""
    root = tmp_path_factory.mktemp("inputs")
    generator = random.Random(0)
    words = ["the", "of", "sum", "tree", "function", "value", "list", "is", "prime", "returns", "when", "river"]
    problems = [MathProblem(id=f"m{n}", source="sums", prompt=f"Work out the following problem: {n} + {n + 7} =",
                            answer=str(2 * n + 7)) for n in range(10, 80)]  # fmt: skip
    documents: list[dict[str, Any]] = []
    for number in range(180):
        text = " ".join(generator.choices(words, k=generator.randint(40, 90))) + f"\n\nLet $x = {number}$."
        if number % 9 == 4:
            text = documents[number // 2]["text"] + "\n\nShare this."
        if number % 13 == 5:
            text += f"\n\n{problems[number % 20].prompt}"
        documents.append({
            "id": f"{number:016x}", "url": f"https://example.org/{number % 170}", "source": "test", "title": "Page",
            "text": text, "formulas": 1, "code_blocks": 0, "thread": False, "language": "en", "domain": "math",
            "scores": {"reasoning_depth": number / 180},
        })  # fmt: skip
    pages = [{"id": row["id"], "url": row["url"], "source": "test", "content_type": "text/html",
              "html": f"<html><body><article><p>{row['text']}</p></article></body></html>".encode()}
             for row in documents]  # fmt: skip
    for name, rows, schema in (("documents", documents, DOCUMENT_SCHEMA), ("pages", pages, PAGE_SCHEMA)):
        paths = [root / name / f"part-{shard:05d}.parquet" for shard in range(9)]
        for shard, path in enumerate(paths):
            write_parquet(path, rows[shard::9], schema)
        _artifact(root / name, name, paths)
    for name in ("problems", "evaluation"):
        (root / name).mkdir()
        write_problems(root / name / "part-00000.jsonl", problems if name == "problems" else problems[:20])
        _artifact(root / name, "problems", [root / name / "part-00000.jsonl"])
    return {name: str(root / name) for name in ("pages", "documents", "problems", "evaluation")}


def _work(stage: str, config: dict[str, Any], given: dict[str, str], store: str, rank: int) -> None:
    """A rank, or after the last of them the stage's own task."""
    if rank < WORLD:
        execute_part(stage, config, given, store, Part(rank, WORLD))
    else:
        execute(stage, config, given, store)


def _run_and_kill(
    stage: str, config: dict[str, Any], given: dict[str, str], store: Path, seconds: float, kills: int,
    generator: random.Random,
) -> tuple[Result, int]:  # fmt: skip
    """A whole run in which up to `kills` processes are killed, each within `seconds` of the last; and how many were."""
    context = get_context("forkserver")
    context.set_forkserver_preload(["components.runner", f"components.data.{stage}.stage"])
    done = 0
    for ranks in ([0, 1, 2], [WORLD]):
        running: dict[int, BaseProcess] = {}
        waiting = list(ranks)
        while waiting or running:
            for rank in waiting:
                running[rank] = context.Process(target=_work, args=(stage, config, given, str(store), rank))
                running[rank].start()
            waiting = []
            victim = generator.choice(list(running.values()))
            if done < kills:
                time.sleep(generator.uniform(0, seconds))
                victim.kill()
            else:
                victim.join()
            for rank, process in list(running.items()):
                if process is victim:
                    process.join()
                if process.exitcode is None:
                    continue
                assert process.exitcode in (0, -9), "it ended by itself, and not well"
                if process.exitcode:
                    done += 1
                    waiting.append(rank)
                del running[rank]
    return execute(stage, config, given, store), done


@pytest.mark.parametrize("stage", STAGES)
def test_ranks_killed_at_random_lose_and_repeat_nothing(stage: str, inputs: dict[str, str], tmp_path: Path) -> None:
    config, names, kills = STAGES[stage]
    given = {name: inputs[name] for name in names}
    start = time.monotonic()
    undisturbed = execute(stage, config, given, tmp_path / "undisturbed")
    seconds = min(1.0, time.monotonic() - start)
    outputs = [path.parent.name for path in undisturbed.directory.glob("*/manifest.json")]
    expected = {name: open_artifact(undisturbed.output(name)).fingerprint for name in outputs}
    generator = random.Random(stage)
    done = 0
    while done < kills:
        store = tmp_path / f"killed-{done}"
        result, number = _run_and_kill(stage, config, given, store, seconds, min(5, kills - done), generator)
        assert result.reused, "the last process finished it"
        done += number
        assert {name: open_artifact(result.output(name)).fingerprint for name in outputs} == expected
        assert result.metrics == undisturbed.metrics
        assert not list(result.directory.rglob("*.partial"))
    rows = [row["id"] for row in read_documents(open_artifact(undisturbed.output("documents")))]
    assert len(rows) == len(set(rows)) > 10
