"""Ingestion and extraction as the runner sees them: the shipped pages, the same bytes over kills, hostile pages."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from components.artifacts import Artifact, ArtifactError, open_artifact
from components.data.documents import read_documents, read_parquet
from components.runner import execute

CHILD = """
import json, sys
from components.runner import execute
execute(*json.loads(sys.argv[1]))
"""
SOURCE = {"name": "sample", "format": "warc", "path": "sample:pages.warc.gz", "limit": 60}
SAMPLE = {"sources": [SOURCE], "pages_per_shard": 10}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return execute("ingestion", SAMPLE, {}, tmp_path_factory.mktemp("store")).output("pages")


@pytest.fixture(scope="module")
def documents(pages: Path, tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    result = execute("extraction", {"workers": 2}, {"pages": pages}, tmp_path_factory.mktemp("store"))
    assert "Survival" in result.report.read_text()
    return open_artifact(result.output("documents"), "documents")


def test_formulas_and_code_survive(documents: Artifact) -> None:
    totals = documents.manifest.totals
    assert totals["documents"] == 60 and totals["rejected"] == 0
    assert int(totals["formulas_in_html"]) > 200 and int(totals["code_lines_in_html"]) > 1000
    assert int(totals["formulas_in_text"]) / int(totals["formulas_in_html"]) > 0.98
    assert int(totals["code_lines_in_text"]) / int(totals["code_lines_in_html"]) > 0.98
    rows = list(read_documents(documents))
    assert {row["source"] for row in rows} == {"sample"}
    assert all(row["title"] and len(row["text"]) > 100 and "\ue000" not in row["text"] for row in rows)


def test_one_and_two_workers_agree(pages: Path, documents: Artifact, tmp_path: Path) -> None:
    single = execute("extraction", {"workers": 1}, {"pages": pages}, tmp_path)
    assert open_artifact(single.output("documents")).fingerprint == documents.fingerprint


@pytest.mark.parametrize("stage", ["ingestion", "extraction"])
def test_killed_and_resumed_it_ends_with_the_same_bytes(
    stage: str, pages: Path, documents: Artifact, tmp_path: Path
) -> None:
    if stage == "ingestion":
        config, inputs, output, expected = SAMPLE, {}, "pages", open_artifact(pages).fingerprint
    else:
        config, inputs, output, expected = {"workers": 1}, {"pages": str(pages)}, "documents", documents.fingerprint
    arguments = [stage, config, inputs, str(tmp_path)]
    child = subprocess.Popen([sys.executable, "-c", CHILD, json.dumps(arguments)], start_new_session=True)
    deadline = time.monotonic() + 120
    while not len(list(tmp_path.glob(f"{stage}/*.partial/work/**/*-0000[1-3].json"))) and time.monotonic() < deadline:
        assert child.poll() is None, "it ended before it could be killed"
        time.sleep(0.002)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob(f"{stage}/*.partial/{output}/part-*.parquet")}
    assert kept, "nothing was finished before the kill"
    result = execute(stage, config, inputs, tmp_path)
    assert open_artifact(result.output(output)).fingerprint == expected
    finished = sorted(path.name for path in kept)[:-1]   # the last one may have been there without its marker
    assert all((result.output(output) / name).stat().st_mtime_ns in kept.values() for name in finished)


def test_damaged_pages_are_refused(pages: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "pages"
    damaged.mkdir()
    for path in pages.iterdir():
        if path.is_file():
            (damaged / path.name).write_bytes(path.read_bytes())
    shard = next(damaged.glob("part-*.parquet"))
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(ArtifactError, match=shard.name):
        execute("extraction", {}, {"pages": damaged}, tmp_path / "store")


HOSTILE = {
    "too_deep": b"<div>" * 100_000,
    "time_limit": b"<p>mathjax " + b"\\begin{align}" * 150_000,
    "too_large": b"<p>" + b"a" * 21_000_000,
    "empty": b"   ",
    "too_short": b"<p>hi</p>",
    "too_many_elements": b"<i></i>" * 400_000,
}


def test_hostile_pages_cost_one_document_each(tmp_path: Path) -> None:
    good = b"<html><p>" + b"A page like any other page, with nothing that could harm. " * 9 + b"</p></html>"
    (tmp_path / "pages").mkdir()
    for number, page in enumerate(HOSTILE.values()):
        (tmp_path / f"pages/{number}-bad.html").write_bytes(page)
        (tmp_path / f"pages/{number}-good.html").write_bytes(good)
    source = {"name": "folder", "format": "html_folder", "path": str(tmp_path / "pages"), "url_prefix": "https://x.org/"}
    pages = execute("ingestion", {"sources": [source], "page_bytes": 10**8}, {}, tmp_path / "store").output("pages")
    found = execute("extraction", {"seconds": 2}, {"pages": pages}, tmp_path / "store").output("documents")
    assert [row["url"] for row in read_documents(open_artifact(found))] == [
        f"https://x.org/{number}-good.html" for number in range(len(HOSTILE))]
    ingested = {row["reason"] for row in read_parquet(next((pages / "rejected").glob("*.parquet")))}
    rejected = {row["reason"] for row in read_parquet(next((found / "rejected").glob("*.parquet")))}
    assert ingested == {"empty"}
    assert rejected == set(HOSTILE) - {"empty"}
