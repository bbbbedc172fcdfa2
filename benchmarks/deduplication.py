"""Near-duplicates: speed and recall beside other libraries, and what the stage costs at scale.

    pip install -e .[peers]                       other libraries; one that is not installed is left out
    python benchmarks/deduplication.py            prints, and writes benchmarks/deduplication.md
    python benchmarks/deduplication.py --quick    smaller sizes, prints only

Everything is CPU time in one process. The texts are made here, from a seed: words by Zipf's law, lengths log-normal.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import json
import math
import os
import platform
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from machine import processor

from components.data.deduplication import find_duplicates
from components.data.deduplication import stage as stage_module
from components.data.deduplication.config import Config
from components.data.deduplication.minhash import shingles
from components.data.deduplication.plan import ROW_ROOM, Plan
from components.data.deduplication.shuffle import Shuffle
from components.data.documents import DOCUMENT_SCHEMA, run_parallel, write_parquet

RESULTS = Path(__file__).with_suffix(".md")
MEDIAN_WORDS, SIGMA, SHORTEST, LONGEST = 300, 0.8, 20, 5000
_WORD = re.compile(r"\w+")
FUNCTIONS, BANDS, NGRAM = 112, 14, 5


class Texts:
    """A stream of made documents."""

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)
        letters = random.Random(seed)
        self.words = np.array(
            ["".join(letters.choices("etaoinshrdlucmfwypvbgkqjxzé", k=letters.randint(1, 11))) for _ in range(60_000)],
            dtype=object,
        )

    def make(self, count: int) -> list[str]:
        lengths = np.exp(self.generator.normal(math.log(MEDIAN_WORDS), SIGMA, count)).clip(SHORTEST, LONGEST)
        return [self._text(int(length)) for length in lengths]

    def _text(self, length: int) -> str:
        ranks = (len(self.words) ** self.generator.random(length)).astype(np.int64) - 1  # P(rank) ~ 1 / rank
        words = self.words[ranks].tolist()
        for place in range(11, length, 12):
            words[place] += random.choice([".", ",", " –", ";", "”", "?"])
        return " ".join(words)

    def copy(self, text: str) -> str:
        """The text with up to 1 % of its words replaced, in other case, with other punctuation."""
        words = text.split()
        for _ in range(int(self.generator.integers(0, len(words) // 100 + 1))):
            words[int(self.generator.integers(len(words)))] = "changed"
        return " ".join(words).upper().replace(".", "!").replace(",", " ,")


def ngrams(text: str) -> list[str]:
    """What the peers are given: their libraries leave words to the caller."""
    words = _WORD.findall(text.lower())
    return [" ".join(words[start : start + NGRAM]) for start in range(max(1, len(words) - NGRAM + 1))]


def first_of(found: Sequence[Sequence[int]]) -> list[int]:
    return [min(one) for one in found]


def ours(texts: list[str]) -> list[int]:
    return find_duplicates(texts, Config())


def by_rensa(texts: list[str]) -> list[int]:
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(0.8, FUNCTIONS, BANDS)
    signatures = RMinHash.from_token_sets((ngrams(text) for text in texts), FUNCTIONS, 0)
    index.insert_many(signatures)
    return first_of(index.query_all(signatures))


def by_rensa_one_by_one(texts: list[str]) -> list[int]:
    from rensa import RMinHash, RMinHashLSH

    index, signatures = RMinHashLSH(0.8, FUNCTIONS, BANDS), []
    for number, text in enumerate(texts):
        signature = RMinHash(FUNCTIONS, 0)
        signature.update(ngrams(text))
        index.insert(number, signature)
        signatures.append(signature)
    return first_of([index.query(signature) for signature in signatures])


def by_datasketch(texts: list[str]) -> list[int]:
    from datasketch import MinHash, MinHashLSH

    index, signatures = MinHashLSH(num_perm=FUNCTIONS, params=(BANDS, FUNCTIONS // BANDS)), []
    for number, text in enumerate(texts):
        signature = MinHash(num_perm=FUNCTIONS)
        signature.update_batch([ngram.encode() for ngram in set(ngrams(text))])
        index.insert(number, signature)
        signatures.append(signature)
    return first_of([index.query(signature) for signature in signatures])


PEERS: dict[str, tuple[str, Callable[[list[str]], list[int]]]] = {
    "this project": ("mimo-pipeline", ours),
    "rensa, batches": ("rensa", by_rensa),
    "rensa, one by one": ("rensa", by_rensa_one_by_one),
    "datasketch": ("datasketch", by_datasketch),
}


def compare(documents: int, planted: int, repeats: int) -> str:
    texts = Texts(seed=0)
    originals = texts.make(documents - planted)
    copies = [texts.copy(text) for text in originals[:planted]]
    everything = originals + copies
    exact = []
    for original, copy in zip(originals, copies, strict=False):
        one, other = (set(shingles(text, NGRAM).tolist()) for text in (original, copy))
        exact.append(len(one & other) / len(one | other))
    expected = np.mean([1 - (1 - similarity ** (FUNCTIONS // BANDS)) ** BANDS for similarity in exact])
    rows, best = [], 0.0
    for name, (package, function) in PEERS.items():
        try:
            version = "" if name == "this project" else f" {importlib.metadata.version(package)}"
        except importlib.metadata.PackageNotFoundError:
            rows.append(f"| {name} | not installed | | | |")
            continue
        function(everything[:20])  # imports and caches
        seconds = math.inf
        for _ in range(repeats):
            start = time.process_time()
            clusters = function(everything)
            seconds = min(seconds, time.process_time() - start)
        best = best or seconds
        first = len(originals)
        recall = sum(clusters[first + number] in (number, clusters[number]) for number in range(planted)) / planted
        false = sum(clusters[number] != number for number in range(first))
        rows.append(f"| {name}{version} | {len(everything) / seconds:,.0f} | {seconds / best:.1f}× | {recall:.3f} | "
                    f"{false} |")  # fmt: skip
    words = [len(text.split()) for text in everything]
    sizes = [len(text.encode()) for text in everything]
    return "\n".join([
        f"{len(everything):,} documents, {planted} of them planted near-copies (up to 1 % of the words replaced, other "
        f"case and punctuation; Jaccard similarity {min(exact):.2f} to 1, mean {np.mean(exact):.3f}: 14 bands of 8 "
        f"find {expected:.4f} of such). Words a document: log-normal, median {np.median(words):.0f}, mean "
        f"{np.mean(words):.0f}, 5 % under {np.percentile(words, 5):.0f}, 5 % over {np.percentile(words, 95):.0f}; "
        f"{np.mean(sizes) / 1000:.1f} kB on average; all have some characters beyond ASCII.", "",
        "| | documents/s a core, end to end | our speed is | planted recall | false |", "|---|---:|---:|---:|---:|",
        *rows,
    ])  # fmt: skip


@dataclass
class Cost:
    """CPU microseconds and bytes a document of each step, of a run over `documents`."""

    documents: int
    sign: float
    shuffle: float
    write: float
    read_bytes: float
    written_bytes: float
    memory_mb: float
    before_mb: float
    parts: int
    kept: int


def make_shards(directory: Path, documents: int, shard: int) -> list[Path]:
    """Shards in which one document in four is a near-copy of an earlier one of its shard or of shard 0."""
    texts, paths = Texts(seed=1), []
    first: list[str] = []
    for number in range(documents // shard):
        made = texts.make(shard * 3 // 4)
        first = first or made
        made += [texts.copy((made, first)[place % 2][place % len(made)]) for place in range(shard - len(made))]
        paths.append(directory / f"part-{number:05d}.parquet")
        write_parquet(paths[-1], [
            {"id": f"{number * shard + place:016x}", "url": f"https://site-{place % 97}.example/{number}/{place}",
             "source": "", "title": "", "text": text, "formulas": 0, "code_blocks": 0, "thread": False,
             "language": "", "domain": "", "scores": {}}
            for place, text in enumerate(made)
        ], DOCUMENT_SCHEMA)  # fmt: skip
    return paths


def _io() -> tuple[int, int]:
    fields = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(fields["rchar"]), int(fields["wchar"])


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cost(directory: Path, documents: int, shard: int, memory_mb: int) -> Cost:
    """One worker does it all; in a process of its own, so that its peak of memory is its own."""
    sources = sorted((directory / "in").glob("*.parquet"))
    work, out, index = directory / "work", directory / "out", directory / "index"
    for path in (work, out, index):
        path.mkdir()
    config = Config(memory_mb=memory_mb)
    plan = Plan(work, index, config, (shard,) * len(sources), None)
    stage_module.write_signatures(sources[0], directory / "keys", directory / "documents", config)  # imports, caches
    times = [time.process_time()]
    for job in enumerate(sources):
        stage_module._sign(job, plan=plan)
    times.append(time.process_time())
    peak, between = _peak_mb(), _io()
    Shuffle(plan, lambda function, jobs: run_parallel(function, list(jobs), 1), lambda *_: None).run()
    shuffle_peak, after = _peak_mb(), _io()
    times.append(time.process_time())
    for job in enumerate(sources):
        stage_module._write(job, plan=plan, directory=out)
    times.append(time.process_time())
    kept = sum(json.loads(stage_module._marker(plan, n).read_text())["rows"] for n in range(len(sources)))
    sign, shuffle, write = (1e6 * (end - start) / documents for start, end in itertools.pairwise(times))
    read, written = ((late - early) / documents for early, late in zip(between, after, strict=True))
    return Cost(documents, sign, shuffle, write, read, written, shuffle_peak, peak, plan.parts, kept)


def measure(documents: int, shard: int, memory_mb: int) -> Cost:
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "in").mkdir()
        make_shards(directory / "in", documents, shard)
        call = [sys.executable, __file__, "--cost", name, str(documents), str(shard), str(memory_mb)]
        return Cost(**json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout))


def model(small: Cost, large: Cost) -> str:
    """The shuffle sorts: its time a document is a + b · log2(documents); everything else is a constant a document."""
    log = lambda documents: math.log2(documents)  # noqa: E731
    # of the shuffle's time at the small size, the share of comparisons that grow with the logarithm: all of it, at most
    grow = small.shuffle / log(small.documents)
    predicted = small.sign + small.write + grow * log(large.documents)
    measured = large.sign + large.write + large.shuffle
    lines = ["| documents | signatures | shuffle | writing | all, µs a document | shuffle's bytes read, written | "
             "parts | peak memory, MB |", "|---:|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for one in (small, large):
        lines.append(f"| {one.documents:,} | {one.sign:.1f} | {one.shuffle:.1f} | {one.write:.1f} | "
                     f"{one.sign + one.shuffle + one.write:.1f} | {one.read_bytes:.0f}, {one.written_bytes:.0f} | "
                     f"{one.parts} | {one.memory_mb:.0f} ({one.before_mb:.0f} before the shuffle) |")  # fmt: skip
    lines += [
        "",
        f"The model, from the smaller size alone: N documents take N · ({small.sign:.1f} + {small.write:.1f} + "
        f"{grow:.2f} · log2 N) µs of CPU; only the shuffle sorts. For {large.documents:,} it says {predicted:.1f} µs "
        f"a document; measured {measured:.1f}: {100 * (predicted / measured - 1):+.0f} %. Kept: {small.kept:,} and "
        f"{large.kept:,}.",
        "",
        f"All steps are shared by the workers: a step has a task a shard, or one for every `memory_mb` that N · "
        f"{BANDS * ROW_ROOM} bytes need. What the model leaves out: the wait for the slowest task of each of about 20 "
        "steps, and the time to open files, the square of the number of parts (at most 4,096 here) in each step.",
        "",
        "| documents | workers | CPU hours | hours, computing | hours, disks at 100 MB/s a worker | memory a worker | "
        "written by the shuffle, with the index |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    traffic = large.read_bytes + large.written_bytes
    for exponent in (9, 10, 11):
        documents = 10**exponent
        seconds = documents * (large.sign + large.write + grow * log(documents)) / 1e6
        memory = math.ceil(max(1, documents * BANDS * ROW_ROOM / 4096 / 2**30))
        for workers in (64, 1024):
            lines.append(f"| 10^{exponent} | {workers:,} | {seconds / 3600:,.0f} | {seconds / 3600 / workers:,.2f} | "
                         f"{documents * traffic / 1e8 / 3600 / workers:,.2f} | {memory} GiB | "
                         f"{documents * large.written_bytes / 1e12:,.1f} TB |")  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--cost", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cost:
        found = cost(Path(arguments.cost[0]), *map(int, arguments.cost[1:]))
        print(json.dumps(vars(found)))
        return
    first = compare(500, 60, 1) if arguments.quick else compare(2500, 300, 3)
    sizes = (4_000, 16_000) if arguments.quick else (20_000, 160_000)
    small, large = (measure(size, 2_000, 16) for size in sizes)
    text = (
        f"{datetime.now(UTC):%Y-%m-%d}, {processor()}, {os.cpu_count()} cores (shared), Python "
        f"{platform.python_version()}, numpy {np.__version__}, pyarrow {importlib.metadata.version('pyarrow')}."
        f"\n\n## Beside other libraries\n\n{first}\n\n## What the stage costs\n\n{COSTS}\n\n{model(small, large)}"
    )
    print(text)
    if not arguments.quick:
        RESULTS.write_text(f"# Deduplication: speed, recall, cost\n\n{NOTES}\n\n{text}\n")


NOTES = """\
`python benchmarks/deduplication.py` gives this page again. All of them compare word 5-grams by 112 hash functions in 14
bands of 8, in one process; seconds are CPU time, the best of three passes, from texts to the cluster of each. The peers
get their n-grams from Python, as their libraries ask. *false*: originals put together with another; they share words,
not sentences, so each one is an error. Compare rows, not absolutes."""

COSTS = """\
The stage on made shards, one worker, `memory_mb = 16` so that the shuffle has to go through files in many parts:
Parquet in, URLs and texts compared, Parquet and index out; a quarter of the documents are near-copies."""


if __name__ == "__main__":
    main()
