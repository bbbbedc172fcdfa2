"""Training speed of one GPU: our step against plain transformers, with and without MTP.

    python benchmarks/pretraining.py [--shapes 0.1B 0.36B 1.5B 7B] [--steps 50] [--out results.json]

Each shape is trained for some steps of AdamW in bfloat16 (float32 master weights) on random tokens:
- `plain`        our model without MTP
- `mtp`          with one MTP head; its MFU counts the head's FLOPs, its overhead is compared with their share
- `packed`       with the head, on rows packed from documents of 1 to T tokens, as in SFT
- `transformers` Qwen2ForCausalLM with its own loss, torch.compile, autocast and fused AdamW: the peer of `plain`

MFU = tokens/s × FLOPs a token ÷ the rate of an 8192³ bfloat16 matrix product on this GPU in this run. FLOPs a token:
`MiMoConfig.flops_per_token` (6 a matmul parameter; causal attention counted once; of `packed` only pairs inside a
document). Times are medians of steps that wait for the GPU and read loss and gradient norm, as training does.
"""

from __future__ import annotations

import argparse
import gc
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from components.model import MiMoConfig, MiMoForCausalLM
from components.model.losses import IGNORE, next_token_labels
from components.training.optimizer import Optimizer
from components.training.optimizer_config import OptimizerConfig
from components.training.packing import fill, pack

SPEC_PEAK = 989e12   # H100/H200 dense bfloat16, by the data sheet


@dataclass(frozen=True)
class Shape:
    """A model, the length of its rows and how many of them a step takes."""

    config: MiMoConfig
    length: int
    rows: int


def _config(**values: Any) -> MiMoConfig:
    return MiMoConfig(head_dim=128, num_nextn_predict_layers=1, max_position_embeddings=32_768, **values)


SHAPES = {
    "0.1B": Shape(_config(vocab_size=32_768, hidden_size=768, intermediate_size=2_048, num_hidden_layers=12,
                          num_attention_heads=6, num_key_value_heads=6), 4_096, 16),
    "0.36B": Shape(_config(vocab_size=32_768, hidden_size=1_024, intermediate_size=2_816, num_hidden_layers=24,
                           num_attention_heads=8, num_key_value_heads=8), 8_192, 4),
    "1.5B": Shape(_config(vocab_size=151_936, hidden_size=1_536, intermediate_size=8_960, num_hidden_layers=28,
                          num_attention_heads=12, num_key_value_heads=2), 8_192, 2),
    "7B": Shape(replace(MiMoConfig.mimo_7b(), num_hidden_layers=8), 8_192, 2),
    "toy": Shape(replace(_config(vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                                 num_attention_heads=2, num_key_value_heads=1), head_dim=32), 128, 2),
}  # fmt: skip


@dataclass(frozen=True)
class Result:
    shape: str
    variant: str
    parameters: int
    layers: int
    tokens_per_step: int
    steps: int
    seconds: float           # median step
    tokens_per_s: float      # padding not counted
    gflops_per_token: float
    mfu: float               # of the measured peak
    mfu_spec: float          # of the data sheet's
    memory_gb: float         # most ever allocated
    loss: float              # of the last step: finite, and near ln(vocabulary) on random tokens
    compile_s: float         # first step


def measure_peak(device: torch.device) -> float:
    """FLOP/s of a large bfloat16 matrix product on random data."""
    size = 8_192 if device.type == "cuda" else 512
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(30):
        began = _now(device)
        torch.mm(a, b)
        seconds.append(_now(device) - began)
    return 2 * size**3 / float(np.median(seconds[10:]))


def run_ours(name: str, shape: Shape, variant: str, steps: int, warmup: int, device: torch.device) -> dict[str, Any]:
    """Train our model; returns the measured fields of a `Result`."""
    heads = 0 if variant == "plain" else 1
    torch.manual_seed(0)
    with torch.device(device):
        model = MiMoForCausalLM(replace(shape.config, num_nextn_predict_layers=heads))
    if device.type == "cuda":
        model.compile_layers()
    optimizer = Optimizer(model, OptimizerConfig())
    rows, share = (_packed_rows if variant == "packed" else _whole_rows)(shape)
    tokens_BT, segments_BT = (torch.from_numpy(rows[:, part].astype("int64")).to(device) for part in (0, 1))
    labels = {ahead: next_token_labels(tokens_BT, segments_BT, ahead) for ahead in range(1, heads + 2)}
    weights = {1: 1.0, 2: 0.3}
    factors = {ahead: weights[ahead] / int((label != IGNORE).sum()) for ahead, label in labels.items()}

    def step() -> float:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            total, sums_L = model.losses(tokens_BT, segments_BT, labels, factors)
        total.backward()
        norm = optimizer.step(1e-4)
        return float(sums_L[0]) * factors[1] + 0 * float(norm)

    real = int((segments_BT > 0).sum())
    return _time(step, steps, warmup, device) | {
        "tokens_per_step": real,
        "parameters": sum(p.numel() for p in model.parameters()),
        # attention inside documents only
        "gflops_per_token": shape.config.flops_per_token(round(shape.length * share), heads) / 1e9,
    }


def run_transformers(shape: Shape, steps: int, warmup: int, device: torch.device) -> dict[str, Any]:
    """Train the same trunk as transformers users do, in the largest micro-batch that fits."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    c = shape.config
    config = Qwen2Config(
        vocab_size=c.vocab_size, hidden_size=c.hidden_size, intermediate_size=c.intermediate_size,
        num_hidden_layers=c.num_hidden_layers, num_attention_heads=c.num_attention_heads,
        num_key_value_heads=c.num_key_value_heads, head_dim=c.head_dim, use_cache=False, tie_word_embeddings=False,
        max_position_embeddings=c.max_position_embeddings, attn_implementation="sdpa",
    )  # fmt: skip
    torch.manual_seed(0)
    with torch.device(device):
        model = Qwen2ForCausalLM(config)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    forward = torch.compile(model) if device.type == "cuda" else model
    tokens_BT = torch.from_numpy(_whole_rows(shape)[0][:, 0].astype("int64")).to(device)

    def step_with(micro_rows: int) -> Callable[[], float]:
        def step() -> float:
            loss = 0.0
            for part in tokens_BT.split(micro_rows):
                with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                    found = forward(input_ids=part, labels=part).loss * (len(part) / len(tokens_BT))
                found.backward()
                loss += float(found.detach())
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
            return loss + 0 * float(norm)

        return step

    micro_rows = shape.rows
    while True:
        try:
            measured = _time(step_with(micro_rows), steps, warmup, device)
            break
        except torch.OutOfMemoryError:
            if micro_rows == 1:
                raise
            micro_rows = (micro_rows + 1) // 2
        optimizer.zero_grad()
        _clean(device)
    return measured | {
        "tokens_per_step": tokens_BT.numel(),
        "parameters": sum(p.numel() for p in model.parameters()),
        "gflops_per_token": c.flops_per_token(shape.length) / 1e9,
        "micro_rows": micro_rows,
    }


def _time(step: Callable[[], float], steps: int, warmup: int, device: torch.device) -> dict[str, Any]:
    began = _now(device)
    step()
    first = _now(device) - began
    for _ in range(warmup - 1):
        step()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    gc.collect()
    gc.disable()   # a collection in the middle of a step is no property of the step
    seconds, loss = [], 0.0
    for _ in range(steps):
        began = _now(device)
        loss = step()
        seconds.append(_now(device) - began)
    gc.enable()
    memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else 0.0
    return {"seconds": float(np.median(seconds)), "loss": loss, "memory_gb": memory, "compile_s": first}


def _whole_rows(shape: Shape) -> tuple[np.ndarray, float]:
    """Random rows of one document each [rows, 2, T]; the share of causal pairs that are visible: all."""
    tokens = np.random.default_rng(0).integers(0, shape.config.vocab_size, (shape.rows, shape.length))
    return np.stack([tokens, np.ones_like(tokens)], 1), 1.0


def _packed_rows(shape: Shape) -> tuple[np.ndarray, float]:
    """Rows packed from many documents of log-normal lengths (median T / 8), and the share of visible pairs."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(np.log(shape.length / 8), 0.8, 64 * shape.rows), 16, shape.length).astype(int)
    packed = pack([int(length) for length in lengths], shape.length)
    chosen = packed[len(packed) // 4 :][: shape.rows]   # neither the longest documents nor the left-over ones
    documents = [generator.integers(0, shape.config.vocab_size, length) for length in lengths]
    rows = fill(documents, chosen, shape.length, 0)
    pairs = sum(float(lengths[index]) ** 2 for row in chosen for index in row)
    tokens = sum(int(lengths[index]) for row in chosen for index in row)
    return rows, pairs / tokens / shape.length


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _clean(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def measure(names: list[str], steps: int, peer_steps: int, warmup: int) -> Iterator[Result]:
    """Every variant of every shape, one after the other, peaks measured at the start."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    peak = measure_peak(device)
    print(f"{torch.cuda.get_device_name() if device.type == 'cuda' else 'CPU'}, torch {torch.__version__}, "
          f"matrix product {peak / 1e12:.0f} TFLOP/s", flush=True)  # fmt: skip
    for name in names:
        shape = SHAPES[name]
        for variant in ("mtp", "plain", "packed", "transformers"):
            count = peer_steps if variant == "transformers" else steps
            if not count:
                continue
            try:
                if variant == "transformers":
                    found = run_transformers(shape, count, warmup, device)
                else:
                    found = run_ours(name, shape, variant, count, warmup, device)
            except torch.OutOfMemoryError as error:
                print(f"{name} {variant}: out of memory: {str(error)[:100]}", flush=True)
                continue
            finally:
                _clean(device)
            found.pop("micro_rows", None)
            speed = found["tokens_per_step"] / found["seconds"]
            flops = speed * found["gflops_per_token"] * 1e9
            yield Result(
                shape=name, variant=variant, layers=shape.config.num_hidden_layers, steps=count, tokens_per_s=speed,
                mfu=flops / peak, mfu_spec=flops / SPEC_PEAK, **found,
            )  # fmt: skip
        torch._dynamo.reset()


def show(results: list[Result]) -> str:
    """A Markdown table, and the ratios the targets speak of."""
    lines = [
        "| shape | variant | parameters | tokens/step | steps | s/step | tokens/s | MFU (measured) | MFU (989) | GB |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {r.shape} | {r.variant} | {r.parameters / 1e9:.2f}B | {r.tokens_per_step:,} | {r.steps} | "
        f"{r.seconds:.4f} | {r.tokens_per_s:,.0f} | {r.mfu:.1%} | {r.mfu_spec:.1%} | {r.memory_gb:.1f} |"
        for r in results
    ]
    lines += ["", "| shape | MTP time − FLOP share, points | packed ÷ mtp, tokens/s | plain ÷ transformers |",
              "|---|---:|---:|---:|"]  # fmt: skip
    for shape in dict.fromkeys(r.shape for r in results):
        by = {r.variant: r for r in results if r.shape == shape}
        cells = []
        if {"mtp", "plain"} <= by.keys():
            extra = by["mtp"].seconds / by["plain"].seconds - 1
            share = by["mtp"].gflops_per_token / by["plain"].gflops_per_token - 1
            cells.append(f"{extra:+.1%} − {share:.1%} = {100 * (extra - share):+.1f}")
        else:
            cells.append("–")
        for a, b in (("packed", "mtp"), ("plain", "transformers")):
            cells.append(f"{by[a].tokens_per_s / by[b].tokens_per_s:.2f}" if {a, b} <= by.keys() else "–")
        lines.append(f"| {shape} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=["0.1B", "0.36B", "1.5B", "7B"])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--peer-steps", type=int, default=15, help="0: no peer")
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--out", type=Path, help="JSON lines of results, written as they come")
    options = parser.parse_args()
    results = []
    for result in measure(options.shapes, options.steps, options.peer_steps, options.warmup):
        results.append(result)
        print(json.dumps(asdict(result)), flush=True)
        if options.out:
            options.out.write_text("".join(json.dumps(asdict(r)) + "\n" for r in results))
    print(show(results))


if __name__ == "__main__":
    main()
