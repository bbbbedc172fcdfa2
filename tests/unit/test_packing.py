"""Packing: nothing is lost, no row overflows, little is padding, and shards say when they are no rows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.artifacts import ArtifactError
from components.data.extraction import extract
from components.data.ingestion.readers import shipped_pages
from components.training.packing import TokenRows, cut, efficiency, fill, pack, write_rows


@st.composite
def lengths_and_capacity(draw: st.DrawFn) -> tuple[list[int], int]:
    capacity = draw(st.integers(1, 300))
    return draw(st.lists(st.integers(1, capacity), max_size=120)), capacity


@given(lengths_and_capacity())
def test_every_sequence_is_in_one_row_and_no_row_overflows(case: tuple[list[int], int]) -> None:
    lengths, capacity = case
    rows = pack(lengths, capacity)
    assert sorted(index for row in rows for index in row) == list(range(len(lengths)))
    assert all(sum(lengths[index] for index in row) <= capacity for row in rows)
    # best fit leaves no two rows that would fit into one, so fewer than twice the rows that the tokens fill
    loads = sorted(sum(lengths[index] for index in row) for row in rows)
    assert len(loads) < 2 or loads[0] + loads[1] > capacity


@given(lengths_and_capacity())
def test_choices_are_those_of_a_plain_best_fit_search(case: tuple[list[int], int]) -> None:
    lengths, capacity = case
    loads: list[int] = []
    for length in sorted(lengths, reverse=True):
        fitting = [(capacity - load - length, row) for row, load in enumerate(loads) if load + length <= capacity]
        if fitting:
            loads[min(fitting)[1]] += length
        else:
            loads.append(length)
    got = [sum(lengths[index] for index in row) for row in pack(lengths, capacity)]
    assert sorted(got) == sorted(loads)


@given(st.lists(st.lists(st.integers(0, 2**32 - 2), min_size=1, max_size=40), min_size=1, max_size=40))
def test_rows_give_the_sequences_back(sequences: list[list[int]]) -> None:
    rows = fill(sequences, pack([len(sequence) for sequence in sequences], 40), 40, padding=2**32 - 1)
    found = [
        row[0][row[1] == segment].tolist() for row in rows for segment in range(1, int(row[1].max()) + 1)
    ]
    assert sorted(found) == sorted(sequences)
    assert (rows[:, 0][rows[:, 1] == 0] == 2**32 - 1).all()
    assert all((np.diff(row[1][row[1] > 0].astype(int)) >= 0).all() for row in rows), "segments in order"


def efficiency_of(lengths: Iterable[int], capacity: int) -> float:
    """Share of positions that hold tokens when documents of these lengths are cut and packed."""
    pieces = [end - start for length in lengths for start, end in cut(int(length), capacity)]
    return sum(pieces) / (capacity * len(pack(pieces, capacity)))


@pytest.mark.parametrize("capacity", [256, 4_096, 32_768])
def test_web_documents_pack_almost_without_padding(capacity: int) -> None:
    # tokens of web pages: median 400, one in a hundred above 6,500 (lognormal)
    lengths = np.random.default_rng(0).lognormal(6, 1.2, 10_000).astype(int) + 1
    assert efficiency_of(lengths, capacity) > 0.99


@pytest.mark.parametrize("median", [900, 6_000])
def test_reasoning_conversations_pack_almost_without_padding(median: int) -> None:
    lengths = np.random.default_rng(1).lognormal(np.log(median), 0.9, 5_000).astype(int) + 20
    assert efficiency_of(lengths[lengths <= 32_768], 32_768) > 0.98   # whole: those that do not fit are set aside


def test_the_shipped_pages_pack_almost_without_padding() -> None:
    lengths = [len(extract(page.html).text.encode()) + 1 for page in shipped_pages(400_000)[::4]]   # tokens of one byte
    assert len(lengths) > 50 and efficiency_of(lengths, 256) > 0.98 and efficiency_of(lengths, 4_096) > 0.98


@given(st.integers(1, 5000), st.integers(1, 600))
def test_pieces_cover_a_sequence_once(length: int, capacity: int) -> None:
    pieces = cut(length, capacity)
    assert [position for start, end in pieces for position in range(start, end)] == list(range(length))
    assert all(0 < end - start <= capacity for start, end in pieces)


@pytest.mark.parametrize("lengths", [[3, 0], [3, 9]])
def test_a_sequence_that_fits_no_row_is_named(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match=f"sequence 1 has {lengths[1]} tokens"):
        pack(lengths, 8)


def test_shards_read_as_one_and_bad_ones_are_refused(tmp_path: Path) -> None:
    rows = np.random.default_rng(1).integers(0, 99, (7, 2, 16)).astype(np.uint32)
    paths = [write_rows(tmp_path, 0, rows[:4]), write_rows(tmp_path, 1, rows[4:])]
    read = TokenRows(paths)
    assert len(read) == 7 and read.sequence_length == 16
    assert np.array_equal(read.batch([6, 0, 3, 4]), rows[[6, 0, 3, 4]])
    with pytest.raises(IndexError):
        read[7]
    assert 0 <= efficiency(rows) <= 1
    paths.append(write_rows(tmp_path, 2, np.zeros((1, 2, 8), dtype=np.uint32)))
    with pytest.raises(ArtifactError, match=r"rows-00002\.npy: rows of 8 tokens"):
        TokenRows(paths)
    np.save(tmp_path / "rows-00003.npy", np.zeros((2, 16)))
    with pytest.raises(ArtifactError, match=r"rows-00003\.npy: float64"):
        TokenRows([tmp_path / "rows-00003.npy"])
    (tmp_path / "rows-00004.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ArtifactError, match=r"rows-00004\.npy: not an array"):
        TokenRows([tmp_path / "rows-00004.npy"])
