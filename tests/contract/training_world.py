"""A world of a few hundred sentences, configs that train on it in seconds, and what their tests look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from components.artifacts import describe_shard, write_manifest
from components.data.documents import CONVERSATION_SCHEMA, write_parquet
from components.data.mixing.tokenizer import save, sizes
from components.data.mixing.tokenizer import train as train_tokenizer
from components.problems import MathProblem, write_problems
from components.training.packing import fill, pack, write_rows

MEASURED = ("tokens_per_s", "tflops", "memory_gib")
PRETRAINING = {
    "shape": {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
              "num_key_value_heads": 1, "head_dim": 16},
    "max_position_embeddings": 64, "batch_tokens": 512, "micro_batch_tokens": 256,
    "first_batch_tokens": 256, "ramp_share": 0.2,
    "learning_rate": [{"tokens": 1, "start": 0, "end": 5e-3, "shape": "linear"},
                      {"tokens": 2, "start": 5e-3, "end": 5e-3},
                      {"tokens": 1, "start": 5e-3, "end": 1e-3, "shape": "cosine"}],
}  # fmt: skip
MTP_TUNING = {
    "tokens": 4096, "batch_tokens": 512, "micro_batch_tokens": 512,
    "learning_rate": [{"tokens": 1, "start": 5e-3, "end": 5e-3}],
}  # fmt: skip
SFT = {"sequence_length": 64, "rows_per_step": 4, "micro_rows": 4, "epochs": 2.5, "learning_rate": 3e-3,
       "optimizer": {"name": "muon"}}  # fmt: skip
CONFIGS: dict[str, dict[str, Any]] = {"pretraining": PRETRAINING, "mtp_tuning": MTP_TUNING, "sft": SFT}


def artifact(directory: Path, kind: str, files: list[Path], **totals: int) -> str:
    shards = [describe_shard(directory, file, 1) for file in files]
    write_manifest(directory, kind=kind, stage="test", shards=shards, totals=totals, config_digest="", parents={})
    return str(directory)


def make_world(root: Path) -> dict[str, str]:
    """A tokenizer, token rows, conversations and evaluation problems below `root`."""
    folders = {name: root / name for name in ("tokenizer", "tokens", "held_out", "conversations", "evaluation")}
    for folder in folders.values():
        folder.mkdir()
    texts = [f"The sum of {n} and {n + 7} is {2 * n + 7}. A row of {n} dots: {'.' * (n % 9)}\n" for n in range(300)]
    tokenizer = train_tokenizer(texts, 300)
    used, padded = sizes(tokenizer, 8)
    given = {"tokenizer": artifact(folders["tokenizer"], "tokenizer", save(tokenizer, folders["tokenizer"]),
                                   padded_vocab_size=padded)}  # fmt: skip
    for name, part in (("tokens", texts[:260]), ("held_out", texts[260:])):
        sequences = [tokenizer.encode(text, add_special_tokens=False).ids[:64] for text in part]
        rows = fill(sequences, pack([len(ids) for ids in sequences], 64), 64, 0)
        given[name] = artifact(folders[name], "tokens", [write_rows(folders[name], 0, rows)], vocab_size=used)
    records: list[dict[str, Any]] = [
        {"id": f"c{n}", "source": "sums", "problem_id": "", "messages": [
            {"role": "user", "content": f"What is the sum of {n} and {n}?"},
            {"role": "assistant", "content": f"<think>\n2*{n}\n</think>\n{2 * n}" if n % 10 else "<think>\nwell"},
        ]}
        for n in range(60)
    ]  # fmt: skip
    records[5]["messages"][1]["content"] += " so" * 100
    write_parquet(folders["conversations"] / "part-00000.parquet", records, CONVERSATION_SCHEMA)
    problem = MathProblem(id="e", source="s", prompt="What is the sum of 7 and 7?", answer="14")
    write_problems(folders["evaluation"] / "part-00000.jsonl", [problem])
    given["conversations"] = artifact(
        folders["conversations"], "conversations", [folders["conversations"] / "part-00000.parquet"]
    )
    given["evaluation"] = artifact(folders["evaluation"], "problems", [folders["evaluation"] / "part-00000.jsonl"])
    return given


def curve(root: Path) -> list[dict[str, float]]:
    """The metrics of every step but those that measure time."""
    lines = [json.loads(line) for line in (root / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in MEASURED} for line in lines]
