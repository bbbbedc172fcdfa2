"""The language-model tagger in this process and behind `vllm serve`: documents a second, and whether both say the same.

    python benchmarks/model_tagger.py                       0.6B (Qwen3's shape), both; needs a GPU and vLLM
    python benchmarks/model_tagger.py --shape tiny          a model that a CPU can run
    python benchmarks/model_tagger.py --url http://host:8000 --tagger DIR    what is served there, of this directory

The weights are made here: the tagger stage tunes a random model on the seed labels, so what it says is worth nothing;
how fast it says it, and that both say it, does not depend on that. Prints a table, `--write FILE` appends it there.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import Qwen3Config, Qwen3ForCausalLM

from components.artifacts import describe_shard, write_manifest
from components.data.filtering.config import ModelTagger
from components.data.filtering.masking import mask
from components.data.filtering.model_tagger import open_model_tagger
from components.data.mixing.tokenizer import save, train
from components.data.quality.labels import document_labels
from components.runner import execute

SEEDS = Path(__file__).parents[1] / "components/data/filtering/seeds/documents.tsv"
SHAPES: dict[str, dict[str, Any]] = {
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
             "head_dim": 16},
    "0.6b": {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
             "head_dim": 128},
}  # fmt: skip
CHARACTERS = 2500  # of a document; the tagger reads its first 512 tokens
LONGEST_START_S = 300.0
BATCHES = (32, 128)


def make_tagger(shape: str, directory: Path) -> Path:
    """What the tagger stage makes of a random model of `shape` and the seed labels."""
    labels = directory / "labels"
    labels.mkdir()
    (labels / "labels.tsv").write_bytes(SEEDS.read_bytes())
    shards = [describe_shard(labels, labels / "labels.tsv", 1)]
    write_manifest(labels, kind="labels", stage="benchmark", shards=shards, totals={}, config_digest="", parents={})
    base = directory / "base"
    base.mkdir()
    save(train([label.text for label in document_labels(SEEDS)], 2048), base)
    torch.manual_seed(0)
    config = Qwen3Config(**SHAPES[shape], num_key_value_heads=4, vocab_size=2048, tie_word_embeddings=True)
    Qwen3ForCausalLM(config).save_pretrained(base)
    result = execute("tagger", {"base": {"path": str(base)}, "epochs": 2}, {"labels": labels}, directory / "store")
    return result.output("tagger")


def documents(count: int) -> list[str]:
    """`count` documents of sentences from the seed labels."""
    texts = [label.text for label in document_labels(SEEDS)]
    rng = random.Random(0)
    found = []
    for _ in range(count):
        text = ""
        while len(text) < CHARACTERS:
            text += rng.choice(texts) + "\n\n"
        found.append(text)
    return found


@contextmanager
def served(tagger: Path) -> Iterator[str]:
    """`vllm serve` of a tagger on this machine. Yields its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # No --max-model-len of 512: vLLM 0.26 never ends a prompt of just that length that it takes in two chunks.
    command = [sys.executable, "-m", "vllm.entrypoints.cli.main", "serve", str(tagger), "--runner", "pooling",
               "--port", str(port), "--served-model-name", "tagger", "--gpu-memory-utilization", "0.5"]  # fmt: skip
    with tempfile.TemporaryFile("w+") as log:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            started = time.monotonic()
            wait(process, port, log)
            print(f"vllm serve answers after {time.monotonic() - started:.0f} s", file=sys.stderr)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(30)


def wait(process: subprocess.Popen[bytes], port: int, log: IO[str]) -> None:
    """Until the server answers.

    Raises:
        SystemExit: it ends, or takes too long; with the last of what it printed.
    """
    started = time.monotonic()
    while time.monotonic() - started < LONGEST_START_S and process.poll() is None:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2).close()
            return
        except OSError:
            time.sleep(1)
    log.seek(0)
    sys.exit("vllm serve did not start:\n" + log.read()[-6000:])


def measure(config: ModelTagger, texts: list[str]) -> tuple[float, list[str], NDArray[np.float64]]:
    """Documents a second, classes, and scores (N, L), after a warm-up."""
    masked = [mask(text) for text in texts]
    tagger = open_model_tagger(config)
    tagger.judge(texts[:256], masked[:256])
    started = time.perf_counter()
    said = tagger.judge(texts, masked)
    rate = len(texts) / (time.perf_counter() - started)
    print(f"{config.url or 'in this process'}: {rate:,.1f} documents/s", file=sys.stderr)
    return rate, [domain for domain, _ in said], np.array([list(scores.values()) for _, scores in said])


def table(tagger: Path, url: str, texts: list[str]) -> list[str]:
    path = str(tagger)
    own_rate, own_domains, own_scores = measure(ModelTagger(kind="language_model", path=path), texts)
    rows = [f"| in this process, transformers | 32 | {own_rate:,.0f} | 1.00× | – | – |"]
    for batch in BATCHES:
        rate, domains, scores = measure(ModelTagger(kind="language_model", path=path, url=url, batch=batch), texts)
        same = sum(one == other for one, other in zip(domains, own_domains, strict=True)) / len(texts)
        apart = np.abs(scores - own_scores)
        rows.append(
            f"| `vllm serve` | {batch} | {rate:,.0f} | {rate / own_rate:.2f}× | {same:.1%} | "
            f"{np.median(apart):.4f} / {apart.max():.4f} |"
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="0.6b", help="of the model")
    parser.add_argument("--documents", type=int, default=4000, help="how many to tag")
    parser.add_argument("--tagger", type=Path, help="what the tagger stage made; none: one is made here")
    parser.add_argument("--url", default="", help="of a server of it; none: one is started here")
    parser.add_argument("--write", type=Path, help="append the table to this file")
    values = parser.parse_args()
    if values.url and not values.tagger:
        parser.error("--url needs --tagger: the directory that is served there")
    texts = documents(values.documents)
    with tempfile.TemporaryDirectory() as folder:
        tagger = values.tagger or make_tagger(values.shape, Path(folder))
        if values.url:
            rows = table(tagger, values.url, texts)
        else:
            with served(tagger) as url:
                rows = table(tagger, url, texts)
    try:
        vllm = importlib.metadata.version("vllm")
    except importlib.metadata.PackageNotFoundError:
        vllm = "elsewhere"   # the server may have it alone
    what = values.tagger.name if values.tagger else values.shape
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    head = f"{date.today()}, {what}, {len(texts)} documents of {CHARACTERS} characters, {device}, "
    head += f"torch {torch.__version__}, transformers {transformers.__version__}, vLLM {vllm}."
    lines = [head, "", "| tagger | texts a request | documents/s | | same class | scores apart, median / most |",
             "|---|---:|---:|---:|---:|---:|", *rows]  # fmt: skip
    print("\n".join(lines))
    if values.write:
        with values.write.open("a") as file:
            file.write("\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
