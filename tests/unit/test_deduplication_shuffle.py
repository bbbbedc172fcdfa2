"""The shuffle against a plain search, cut in any way; and a dump compared with the index of earlier ones."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pytest

from components.artifacts import ArtifactError, describe_shard, open_artifact, write_manifest
from components.data.deduplication import plan as plan_module
from components.data.deduplication.components import connect
from components.data.deduplication.config import Config
from components.data.deduplication.index import KIND, Index, recipe, write_documents
from components.data.deduplication.plan import Plan
from components.data.deduplication.shuffle import Shuffle
from components.data.deduplication.signatures import quality, url_hash, write_signatures
from components.data.documents import DOCUMENT_SCHEMA, run_parallel, write_parquet

CONFIG = Config(bands=3)
Row = tuple[list[int], int, int, int]  # band keys, URL, quality, id


def _rows(count: int, seed: int) -> list[Row]:
    """Keys that chain documents into components of every size, one URL in five taken, a page that is everywhere."""
    generator = random.Random(seed)
    rows = []
    for number in range(count):
        keys = [generator.randrange(1, 3 * count) * 0x9E3779B97F4A7C15 % 2**64 for _ in range(3)]
        if number % 7 == 0:
            keys = [1 << 63] * 3
        url = generator.choice([0, generator.randrange(1, count // 5 + 2) << 40])
        rows.append((keys, url, generator.randrange(5), generator.randrange(2**64)))
    return rows


def _decide(
    rows: list[Row], sizes: list[int], root: Path, older: Index | None = None
) -> tuple[list[int], Counter[int]]:
    """For each document the number of the one kept in its place."""
    plan = Plan(root / "work", root / "index", CONFIG, tuple(sizes), older)
    plan.signature("keys", 0).parent.mkdir(parents=True)
    plan.index.mkdir()
    start = 0
    for shard, size in enumerate(sizes):
        part = rows[start : start + size]
        np.save(plan.signature("keys", shard), np.array([row[0] for row in part], dtype=np.uint64).reshape(-1, 3))
        np.save(plan.signature("documents", shard), np.array([row[1:] for row in part], dtype=np.uint64).reshape(-1, 3))
        start += size
    clusters = Shuffle(plan, lambda function, jobs: run_parallel(function, list(jobs), 1), lambda *_: None).run()
    kept, tables = [], []
    for shard, size in enumerate(sizes):
        first = int(plan.starts()[shard])
        mine = list(range(first, first + size))
        for lost in plan.lost(shard):
            for row, winner, _ in lost.tolist():
                assert mine[row] == first + row, "lost twice"
                mine[row] = winner
        kept += mine
        ids = [row[3] for row in rows[len(kept) - size : len(kept)]]
        tables.append(root / f"table-{shard}.npy")
        np.save(tables[-1], np.array([ids, mine], dtype=np.uint64).T)
    write_documents(plan.index / "documents.npy", older, tables, plan.base + len(rows))
    return kept, clusters


def _plain(rows: list[Row]) -> list[int]:
    """The same by dictionaries: the best of each URL, then the best of each component of what is left."""
    kept = list(range(len(rows)))
    best = lambda members: min(members, key=lambda n: (rows[n][2], rows[n][3], n))  # noqa: E731
    by_url = defaultdict(list)
    for number, (_, url, _, _) in enumerate(rows):
        by_url[url or f"none {number}"].append(number)
    for members in by_url.values():
        for member in members:
            kept[member] = best(members)
    component = {number: {number} for number in kept if kept[number] == number}
    by_key: dict[int, int] = {}
    for number in list(component):
        for key in set(rows[number][0]):
            other = by_key.setdefault(key, number)
            if component[other] is not component[number]:
                small, large = sorted((component[other], component[number]), key=len)
                large |= small
                for member in small:
                    component[member] = large
    for number, members in component.items():
        kept[number] = best(members)
    return kept


@pytest.mark.parametrize("most_rows", [40, 333, 10**9])
@pytest.mark.parametrize("seed", [0, 1])
def test_the_shuffle_is_a_plain_search_however_it_is_cut(
    seed: int, most_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module.Plan, "most_rows", most_rows)
    sizes = [100, 0, 1, 250, 49]
    rows = _rows(sum(sizes), seed)
    kept, clusters = _decide(rows, sizes, tmp_path)
    expected = _plain(rows)
    assert kept == expected
    survivors = Counter(kept[number] for number in range(len(rows)) if not _by_url(rows, number))
    assert clusters == Counter(size for size in survivors.values() if size > 1)
    groups = Plan(tmp_path, tmp_path, CONFIG, tuple(sizes), None).groups
    assert [shard for group in groups for shard in group] == list(range(5))
    assert (len(groups) > 1) == (most_rows < 1200)


def _by_url(rows: list[Row], number: int) -> bool:
    return any(
        rows[number][1] and other[1] == rows[number][1] and (*other[2:], place) < (*rows[number][2:], number)
        for place, other in enumerate(rows)
    )


@pytest.mark.parametrize("most_rows", [100, 10**9])
def test_a_new_dump_loses_what_earlier_dumps_hold(
    most_rows: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_module.Plan, "most_rows", most_rows)
    rows = _rows(300, seed=3)
    older, kept, keys = None, [], set()
    for root, end in ((tmp_path / "1", 120), (tmp_path / "2", 200), (tmp_path / "3", 300)):
        start = len(kept)
        new = rows[start:end]
        found = _decide(new, [len(new) - 50, 50], root, older)[0]
        urls = {row[1] for row in rows[:start]} - {0}
        known = [number for number, row in enumerate(new) if row[1] in urls]
        # an older document that only the new ones' keys and URLs can see, and that is better than all of them
        alone = [row for number, row in enumerate(new) if number not in known]
        expected = _plain([*alone, (list(keys), 0, -1, 0)] if start else alone)
        places = [number for number in range(len(new)) if number not in known]
        for number, winner in zip(places, expected, strict=False):
            lost_to_older = winner == len(alone)
            assert (found[number] < start) == lost_to_older
            assert lost_to_older or found[number] == start + places[winner]
        assert all(found[number] < start for number in known)
        keys |= {key for number, row in enumerate(alone) if not _by_url(alone, number) for key in row[0]}
        kept += found
        older = Index(root / "index", len(kept))
        final = older.kept(np.arange(len(kept), dtype=np.uint64)).tolist()
        assert all(final[number] == number for number in final), "what is kept stays kept"
        assert older.ids(np.arange(end, dtype=np.uint64)).tolist() == [row[3] for row in rows[:end]]


def test_an_index_of_another_recipe_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "documents.npy", np.zeros((0, 2), dtype=np.uint64))
    totals = {"documents": 0, "recipe": recipe(Config(hashes=9))}
    shards = [describe_shard(tmp_path, tmp_path / "documents.npy")]
    write_manifest(tmp_path, kind=KIND, stage="test", shards=shards, totals=totals, config_digest="", parents={})
    with pytest.raises(ArtifactError, match=r"14x9.*needs 5-grams, 14x8, seed 0"):
        Index.open(open_artifact(tmp_path), Config())


def test_components_of_long_paths_and_hubs() -> None:
    path = np.array([[n + 1, n] for n in range(1000)], dtype=np.uint64)
    np.random.default_rng(0).shuffle(path)
    hub = np.array([[n, 5000] for n in range(6000, 9000)], dtype=np.uint64)
    assert connect(path).tolist() == [[n, 0] for n in range(1, 1001)]
    assert connect(np.concatenate([hub, path, [[5000, 1000]]]).astype(np.uint64))[:, 1].max() == 0


def test_signatures_hold_quality_address_and_id(tmp_path: Path) -> None:
    record = dict.fromkeys(DOCUMENT_SCHEMA.names) | {
        "id": "00000000000000ff",
        "url": "http://A.org/",
        "text": "a",
    }
    source = tmp_path / "part-00000.parquet"
    write_parquet(source, [record, {**record, "url": "", "formulas": 2, "text": "a b"}], DOCUMENT_SCHEMA)
    write_signatures(source, tmp_path / "keys.npy", tmp_path / "documents.npy", Config())
    expected = [[url_hash("https://a.org"), quality(0, 1), 255], [0, quality(2, 3), 255]]
    assert np.load(tmp_path / "documents.npy").tolist() == expected
    assert np.load(tmp_path / "keys.npy").shape == (2, 14)
    assert quality(1, 5) < quality(0, 10**9) < quality(0, 10)
    write_parquet(source, [{**record, "id": "FF"}], DOCUMENT_SCHEMA)
    with pytest.raises(ArtifactError, match=r"part-00000.parquet: document id 'FF': 16 lower-case hex digits"):
        write_signatures(source, tmp_path / "keys.npy", tmp_path / "documents.npy", Config())
