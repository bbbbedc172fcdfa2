"""Filtering: documents a second on one core, beside single fastText classifiers as web pipelines use them.

Ours masks formulas and code, tells the language, gives a class and three calibrated scores, measures rules and decides:
five classifiers. The peers are one classifier each on the raw text with word pairs, as DCLM's and FineWeb's fastText
filters are: one predicts all texts in one call, the other one text at a time. Training is not counted.

    python benchmarks/filtering.py [--seconds 5] [--passes 3]        writes benchmarks/filtering.md
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import fasttext

from components.artifacts import open_artifact
from components.data.documents import Record, read_documents
from components.data.filtering.config import Config, ModelTagger
from components.data.filtering.masking import features, language_words, mask
from components.data.filtering.rules import measure
from components.data.filtering.stage import filter_shard
from components.data.filtering.taggers import Taggers, train_all
from components.runner import execute
from pipelines.profile import load_profile

PIECE = 3800  # characters of a document: the mean of the published measurement this is compared with
BATCH = 1000


def documents(store: Path) -> list[Record]:
    """Documents of the shipped sample, cut into pieces of about `PIECE` characters at line breaks."""
    configs = load_profile("smoke", nodes=["ingestion", "extraction"]).configs
    pages = execute("ingestion", configs["ingestion"], {}, store).output("pages")
    made = execute("extraction", configs["extraction"], {"pages": pages}, store).output("documents")
    pieces: list[Record] = []
    for record in read_documents(open_artifact(made)):
        lines, size = [], 0
        for line in record["text"].split("\n"):
            lines.append(line)
            size += len(line) + 1
            if size >= PIECE:
                pieces.append(record | {"id": f"{record['id']}/{len(pieces)}", "text": "\n".join(lines)})
                lines, size = [], 0
    random.Random(0).shuffle(pieces)
    return pieces[:BATCH]


def peer(texts: list[str], directory: Path) -> fasttext.FastText._FastText:
    """A classifier of two labels with word pairs, as such filters are trained."""
    lines = directory / "peer.txt"
    plain = [text.replace("\n", " ") for text in texts]
    lines.write_text("".join(f"__label__{number % 2} {text}\n" for number, text in enumerate(plain)))
    return fasttext.train_supervised(str(lines), dim=100, wordNgrams=2, bucket=200_000, epoch=1, thread=1, verbose=0)


def rate(work: Callable[[], object], count: int, seconds: float) -> float:
    """Documents a second of CPU time."""
    started, done = time.process_time(), 0
    while (used := time.process_time() - started) < seconds:
        work()
        done += count
    return done / used


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seconds", type=float, default=5.0)
    arguments.add_argument("--passes", type=int, default=3)
    arguments.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        records = documents(Path(folder) / "store")
        texts = [record["text"] for record in records]
        plain = [text.replace("\n", " ") for text in texts]
        config, models = Config(), Path(folder) / "taggers"
        started = time.process_time()
        train_all(config, models)
        training = time.process_time() - started
        taggers, other = Taggers(models, ModelTagger()), peer(texts, Path(folder))
        masked = [mask(text) for text in texts]
        work: dict[str, Callable[[], object]] = {
            "the stage: everything below, and the decision": lambda: filter_shard(records, config, models),
            "  tagging: five classifiers, mask, tokens": lambda: taggers.tag(texts),
            "  mask": lambda: [mask(text) for text in texts],
            "  tokens": lambda: [(features(one), language_words(one)) for one in masked],
            "  rules": lambda: [measure(text, one, config.rules) for text, one in zip(texts, masked, strict=True)],
            "one fastText classifier, all texts in a call": lambda: other.predict(plain),
            "one fastText classifier, text by text": lambda: [other.predict([text]) for text in plain],
        }
        # in turn, the best of the passes: other work on the machine only ever slows
        best = {
            name: max(rate(one, len(texts), options.seconds / options.passes) for _ in range(options.passes))
            for name, one in work.items()
        }
    size = sum(len(text.encode()) for text in texts) / len(texts)
    first = next(iter(best.values()))
    lines = [
        f"# Filtering: documents a second of one core ({date.today()})", "",
        f"`python benchmarks/filtering.py --seconds {options.seconds:g} --passes {options.passes}`: {len(texts)} "
        f"pieces of the shipped sample's documents, {size / 1e3:.1f} kB each on average; CPU time, best of the passes. "
        f"Training the taggers, calibration included, took {training:.1f} s of CPU time.", "",
        f"{platform.machine()}, {os.cpu_count()} cores (shared), Linux {platform.release()}, Python "
        f"{platform.python_version()}, fasttext-numpy2 {version('fasttext-numpy2')}", "",
        "| what | documents/s | MB/s | times the stage's time |", "|---|---:|---:|---:|",
        *[f"| {name} | {value:,.0f} | {value * size / 1e6:.1f} | {first / value:.2f} |"
          for name, value in best.items()],
    ]  # fmt: skip
    print("\n".join(lines))
    options.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
