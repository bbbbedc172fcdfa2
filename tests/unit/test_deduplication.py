"""Deduplication: URL spellings, recall of planted copies against exact Jaccard, and which copy stays."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from components.data.deduplication import find_duplicates
from components.data.deduplication.config import Config
from components.data.deduplication.minhash import cluster, shingles, signature_bands
from components.data.deduplication.urls import normalize_url


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("http://Example.com:80/a/", "https://example.com/a"),
        ("https://example.com/a?b=1&a=2&utm_source=x&fbclid=y", "https://example.com/a?a=2&b=1"),
        ("https://example.com/a#part", "https://example.com/a"),
        ("https://example.com/%7Eme/%c3%a9", "https://example.com/~me/é"),
        ("https://example.com/a;jsessionid=12?PHPSESSID=3", "https://example.com/a"),
        ("https://example.com//a//b/", "https://example.com/a/b"),
        ("https://example.com./", "HTTPS://EXAMPLE.COM"),
        ("file:///usr/share/doc/a.html#x", "file:///usr/share/doc/a.html"),
    ],
)
def test_spellings_of_one_address_agree(left: str, right: str) -> None:
    assert normalize_url(left) == normalize_url(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("https://example.com/a?id=1", "https://example.com/a?id=2"),
        ("https://example.com/A", "https://example.com/a"),
        ("https://example.com:8080/a", "https://example.com/a"),
        ("https://example.com/#!/a", "https://example.com/#!/b"),
        ("https://example.com/a%2Fb", "https://example.com/a/b"),
        ("https://example.com/a?q=x%26y=1", "https://example.com/a?q=x&y=1"),
        ("https://a.example.com/", "https://b.example.com/"),
    ],
)
def test_different_addresses_stay_apart(left: str, right: str) -> None:
    assert normalize_url(left) != normalize_url(right)


@given(st.one_of(st.text(), st.text().map("http://x/".__add__), st.text(alphabet="%/?#&=;:.[]@a1é").map("//".__add__)))
def test_normalising_takes_any_string_and_is_stable_for_addresses(url: str) -> None:
    once = normalize_url(url)
    if url.startswith("http://x/"):
        assert normalize_url("http://" + once) == once


@given(st.from_regex(r"https?://[A-Za-z0-9.-]{1,12}[A-Za-z0-9._~/-]{0,20}", fullmatch=True))
def test_plain_addresses_take_no_other_way_than_the_rest(url: str) -> None:
    assert normalize_url(url) == normalize_url(url + "#part")  # which is not plain


def _planted(pairs: int, seed: int) -> tuple[list[str], list[float]]:
    """Texts and near-copies of them (text i and text pairs + i), with the exact Jaccard similarity of each pair."""
    generator = random.Random(seed)
    words = [f"word{number}" for number in range(5000)]
    originals, copies = [], []
    for _ in range(pairs):
        text = generator.choices(words, k=generator.randint(80, 300))
        copy = list(text)
        for _ in range(generator.randint(0, len(text) // 8)):
            copy[generator.randrange(len(copy))] = generator.choice(words)
        originals.append(" ".join(text))
        copies.append(", ".join(copy).upper())
    sets = [set(shingles(text, 5).tolist()) for text in originals + copies]
    exact = [len(a & b) / len(a | b) for a, b in zip(sets[:pairs], sets[pairs:], strict=True)]
    return originals + copies, exact


def test_recall_follows_the_curve_of_bands_and_hashes() -> None:
    texts, exact = _planted(600, seed=0)
    clusters = find_duplicates(texts, Config())
    found = np.array([clusters[600 + index] == index for index in range(600)])
    similarity = np.array(exact)
    expected = 1 - (1 - similarity**8) ** 14
    assert found[similarity >= 0.9].all()
    assert abs(found.sum() - expected.sum()) < 4 * np.sqrt((expected * (1 - expected)).sum()) + 1
    unrelated = [cluster for index, cluster in enumerate(clusters[:600]) if cluster != index]
    assert not unrelated, "different texts never meet"


def test_shingles_are_exact_sets_of_word_ngrams() -> None:
    text = "The cat: sat on the mat. The cat sat on the MAT again"
    words = text.replace(":", "").replace(".", "").lower().split()
    assert len(shingles(text, 3)) == len({tuple(words[i : i + 3]) for i in range(len(words) - 2)})
    assert len(shingles("only two", 5)) == 1 and len(shingles("…", 5)) == 0
    assert find_duplicates(["", "…", "one two", "One, two!"]) == [0, 1, 2, 2]


@given(st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=3), max_size=30))
def test_clusters_are_the_connected_components(rows: list[list[int]]) -> None:
    keys = np.array(rows, dtype=np.uint64).reshape(-1, 3)
    expected = list(range(len(rows)))
    for _ in rows:  # spread the smallest label along edges until nothing changes
        for i, left in enumerate(rows):
            for j, right in enumerate(rows):
                if (set(left) & set(right)) - {0}:
                    expected[i] = expected[j] = min(expected[i], expected[j])
    assert cluster(keys).tolist() == expected


def test_signatures_are_the_same_in_every_process() -> None:
    program = (
        "from components.data.deduplication.minhash import signature_bands as s;"
        "from components.data.deduplication.config import Config; print(s(['a b c d e f', 'é'], Config()).tolist())"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(signature_bands(["a b c d e f", "é"], Config()).tolist())
