"""Training speed of one GPU: our step against plain transformers, with and without MTP.

    python benchmarks/pretraining.py [--shapes 0.1B 0.36B 1.5B 7B 7B-32k] [--steps 50] [--out DIRECTORY]

Writes `pretraining.md` and `pretraining.jsonl` into the directory (this one, if none is given) after every result.
Each shape is trained by AdamW in bfloat16 (float32 master weights) on random tokens, new ones in every step:
- `plain`        our model without MTP
- `mtp`          with one MTP head; its MFU counts the head's FLOPs, its overhead is compared with their share
- `packed`       with the head, on rows packed from documents of log-normal lengths, as in SFT
- `float8`       as `mtp`, the layers' matrix products in float8; from a billion parameters, where it may pay
- `transformers` Qwen2ForCausalLM with its own loss, torch.compile, autocast and fused AdamW: the peer of `plain`

A step is everything that training does: losses and gradients of all micro-batches, clipping, the update, and reading
loss and gradient norm, which waits for the GPU. Times are medians. Peers compile in processes of their own while our
small shapes are measured; only one of them uses the GPU at a time.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers

from components.model.config import MiMoConfig
from components.model.float8 import use_float8
from components.model.losses import IGNORE, next_token_labels
from components.model.modeling import Checkpointing, MiMoForCausalLM
from components.training.optimizer import Optimizer
from components.training.optimizer_config import OptimizerConfig
from components.training.packing import efficiency, fill, pack

SPEC_PEAK = 989e12  # H100/H200 dense bfloat16, by the data sheet
WARMUP = 3
PEER_STEPS = 12
SMALL_VARIANTS = ("mtp", "plain", "packed")
LARGE_VARIANTS = (*SMALL_VARIANTS, "float8")


@dataclass(frozen=True)
class Shape:
    """A model, the length of its rows, how many a micro-batch holds and how many micro-batches a step takes."""

    config: MiMoConfig
    length: int
    micro_rows: int
    micro_batches: int
    peer_rows: int = 0  # in the peer's micro-batch: it needs more memory. A step takes as many rows as ours. 0: no peer
    variants: tuple[str, ...] = SMALL_VARIANTS
    recompute: Checkpointing = "none"
    most_steps: int = 1_000

    @property
    def rows(self) -> int:
        return self.micro_rows * self.micro_batches


def _config(**values: Any) -> MiMoConfig:
    return MiMoConfig(head_dim=128, num_nextn_predict_layers=1, max_position_embeddings=32_768, **values)


SHAPES = {
    "0.1B": Shape(_config(vocab_size=32_768, hidden_size=768, intermediate_size=2_048, num_hidden_layers=12,
                          num_attention_heads=6, num_key_value_heads=6), 4_096, 16, 1, 8),
    "0.36B": Shape(_config(vocab_size=32_768, hidden_size=1_024, intermediate_size=2_816, num_hidden_layers=24,
                           num_attention_heads=8, num_key_value_heads=8), 8_192, 4, 1, 2),
    "1.5B": Shape(_config(vocab_size=151_936, hidden_size=1_536, intermediate_size=8_960, num_hidden_layers=28,
                          num_attention_heads=12, num_key_value_heads=2), 8_192, 2, 1, 1, LARGE_VARIANTS),
    # as many layers as leave the peer room on an 80 GB GPU
    "7B": Shape(replace(MiMoConfig.mimo_7b(), num_hidden_layers=8), 8_192, 1, 2, 1, LARGE_VARIANTS),
    # what stage 3 does to a layer; too slow for 50 steps beside the others
    "7B-32k": Shape(replace(MiMoConfig.mimo_7b(), num_hidden_layers=8), 32_768, 1, 1, 0, ("mtp",), "full", 8),
    "toy": Shape(replace(_config(vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                                 num_attention_heads=2, num_key_value_heads=1), head_dim=32), 128, 2, 2, 2),
}  # fmt: skip
SMALL = 1e9  # parameters; models below leave room on the GPU for what the peers compile


@dataclass(frozen=True)
class Result:
    shape: str
    variant: str
    parameters: int
    layers: int
    tokens_per_step: int  # padding not counted
    micro_batches: int
    steps: int
    seconds: float  # median step
    gflops_per_token: float
    memory_gb: float  # most ever allocated
    loss: float  # of the last step; random tokens keep it near ln(vocabulary)
    compile_s: float  # first step

    @property
    def tokens_per_s(self) -> float:
        return self.tokens_per_step / self.seconds

    @property
    def flops(self) -> float:
        return self.tokens_per_s * self.gflops_per_token * 1e9


def measure_peak(device: torch.device) -> float:
    """FLOP/s of an 8192³ bfloat16 matrix product on random data: the best of 60."""
    size = 8_192 if device.type == "cuda" else 512
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = []
    for _ in range(60):
        began = _now(device)
        torch.mm(a, b)
        seconds.append(_now(device) - began)
    return 2 * size**3 / min(seconds[10:])


def run_ours(shape: Shape, variant: str, steps: int, device: torch.device) -> dict[str, Any]:
    """Train our model; returns the measured fields of a `Result`."""
    heads = 0 if variant == "plain" else 1
    torch.manual_seed(0)
    with torch.device(device):
        model = MiMoForCausalLM(replace(shape.config, num_nextn_predict_layers=heads))
    if variant == "float8":
        use_float8(model)
    model.checkpoint_activations(shape.recompute)
    if device.type == "cuda":
        model.compile_layers()
    optimizer = Optimizer(model, OptimizerConfig())
    segments, share = (_packed_rows if variant == "packed" else _whole_rows)(shape)
    parts = [torch.from_numpy(part).to(device) for part in np.split(segments, shape.micro_batches)]
    shifts = range(1, heads + 2)
    targets = {
        shift: sum(int((next_token_labels(part, part, shift) != IGNORE).sum()) for part in parts) for shift in shifts
    }
    factors = {shift: (1.0 if shift == 1 else 0.3) / targets[shift] for shift in shifts}

    def step() -> float:
        total = torch.zeros((), device=device)
        for segments_BT in parts:
            tokens_BT = torch.randint_like(segments_BT, shape.config.vocab_size)
            labels = {shift: next_token_labels(tokens_BT, segments_BT, shift) for shift in shifts}
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                loss, sums_L = model.losses(tokens_BT, segments_BT, labels, factors)
            loss.backward()
            total += sums_L[0]
        return _read(total * factors[1], optimizer.step(1e-4))

    return _time(step, steps, device) | {
        "tokens_per_step": int((segments > 0).sum()),
        "micro_batches": shape.micro_batches,
        "parameters": sum(p.numel() for p in model.parameters()),
        # attention inside documents only
        "gflops_per_token": shape.config.flops_per_token(round(shape.length * share), heads) / 1e9,
    }


def run_transformers(
    shape: Shape, steps: int, device: torch.device, wait: Callable[[], Any] = lambda: None
) -> dict[str, Any]:
    """Train the same trunk as transformers users do. `wait` is called before the GPU is used, but for the weights."""
    c = shape.config
    sizes = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
             "num_key_value_heads", "head_dim", "max_position_embeddings")  # fmt: skip
    settings: dict[str, Any] = {name: getattr(c, name) for name in sizes}
    config = transformers.Qwen2Config(
        **settings, use_cache=False, tie_word_embeddings=False, attn_implementation="sdpa"  # type: ignore[call-arg]
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = transformers.Qwen2ForCausalLM(config)
    model.train()
    forward: Callable[..., Any] = model
    micro_batches = shape.rows // shape.peer_rows

    def loss_of_new_tokens() -> torch.Tensor:
        tokens_BT = torch.randint(c.vocab_size, (shape.peer_rows, shape.length), device=device)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            loss: torch.Tensor = forward(input_ids=tokens_BT, labels=tokens_BT).loss / micro_batches
        return loss

    if device.type == "cuda":
        gate = _Gate()
        forward = torch.compile(model, backend=gate.compile)
        try:
            loss_of_new_tokens()
        except _ClosedError:
            gate.open = True
    wait()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)

    def step() -> float:
        total = torch.zeros((), device=device)
        for _ in range(micro_batches):
            loss = loss_of_new_tokens()
            loss.backward()
            total += loss.detach()
        norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return _read(total, norm)

    return _time(step, steps, device) | {
        "tokens_per_step": shape.rows * shape.length,
        "micro_batches": micro_batches,
        "parameters": sum(p.numel() for p in model.parameters()),
        "gflops_per_token": c.flops_per_token(shape.length) / 1e9,
    }


class _ClosedError(Exception):
    """A graph is compiled but may not run yet."""


class _Gate:
    """torch.compile's own backend, whose first graph, forward and backward, is compiled before it may run."""

    def __init__(self) -> None:
        self.open = False

    def compile(self, graph: Any, inputs: list[Any]) -> Callable[..., Any]:
        from torch._inductor.compile_fx import compile_fx

        functorch_config: Any = torch._functorch.config
        with functorch_config.patch(force_non_lazy_backward_lowering=not self.open):
            compiled: Any = compile_fx(graph, inputs)

        def run(*arguments: Any) -> Any:
            if not self.open:
                raise _ClosedError
            return compiled(*arguments)

        return run


class Peer:
    """`run_transformers` in a process of its own, which compiles at once and trains when it is asked to."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--peer", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def result(self) -> dict[str, Any] | None:
        """The measured fields of a `Result`; None if it failed, which its own output explains."""
        output, _ = self._process.communicate("go\n")
        lines = output.splitlines()
        return json.loads(lines[-1]) if self._process.returncode == 0 else None

    @staticmethod
    def serve(name: str) -> None:
        """The process: prints the result as its last line."""
        print(json.dumps(run_transformers(SHAPES[name], PEER_STEPS, _device(), sys.stdin.readline)))


def _time(step: Callable[[], float], steps: int, device: torch.device) -> dict[str, Any]:
    began = _now(device)
    step()
    first = _now(device) - began
    for _ in range(WARMUP - 1):
        step()
    gc.collect()
    gc.disable()  # a collection in the middle of a step is no property of the step
    seconds, loss = [], 0.0
    for _ in range(steps):
        began = _now(device)
        loss = step()
        seconds.append(_now(device) - began)
    gc.enable()
    memory = torch.cuda.max_memory_allocated() / 1e9 if device.type == "cuda" else 0.0
    return {
        "steps": steps, "seconds": float(np.median(seconds)), "loss": loss, "memory_gb": memory, "compile_s": first,
    }  # fmt: skip


def _read(loss: torch.Tensor, norm: torch.Tensor) -> float:
    """The loss, once the GPU has it; the gradient norm must be finite, as in training."""
    value = float(loss)
    assert math.isfinite(float(norm)), "the gradient norm is not finite"
    return value


def _whole_rows(shape: Shape) -> tuple[np.ndarray, float]:
    """Segments [rows, T] of rows of one document each; the share of causal pairs that are visible: all."""
    return np.ones((shape.rows, shape.length), dtype="int64"), 1.0


def _packed_rows(shape: Shape) -> tuple[np.ndarray, float]:
    """Segments of rows packed from documents of log-normal lengths (median T / 8), and the share of visible pairs."""
    generator = np.random.default_rng(0)
    lengths = np.clip(generator.lognormal(np.log(shape.length / 8), 0.8, 64 * shape.rows), 16, shape.length).astype(int)
    packed = pack([int(length) for length in lengths], shape.length)
    chosen = packed[len(packed) // 4 :][: shape.rows]  # neither the longest documents nor the left-over ones
    rows = fill([np.zeros(length, dtype="uint32") for length in lengths], chosen, shape.length, 0)
    assert efficiency(rows) > 0.95
    pairs = sum(float(lengths[index]) ** 2 for row in chosen for index in row)
    tokens = sum(int(lengths[index]) for row in chosen for index in row)
    return rows[:, 1].astype("int64"), pairs / tokens / shape.length


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def _clean(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def measure(names: list[str], steps: int, device: torch.device) -> Iterator[Result]:
    """Our variants of the small shapes while the peers compile, the peers, then the large shapes."""
    peers = [Peer(name) for name in names if SHAPES[name].peer_rows]
    small = [name for name in names if sum(SHAPES[name].config.parameter_count()) < SMALL]
    yield from _measure_ours(small, steps, device)
    for peer in peers:
        found = peer.result()
        if found is not None:
            yield _result(peer.name, "transformers", found)
    yield from _measure_ours([name for name in names if name not in small], steps, device)


def _measure_ours(names: list[str], steps: int, device: torch.device) -> Iterator[Result]:
    for name in names:
        torch._dynamo.reset()
        shape = SHAPES[name]
        for variant in shape.variants:
            _clean(device)
            try:
                yield _result(name, variant, run_ours(shape, variant, min(steps, shape.most_steps), device))
            except torch.OutOfMemoryError as error:
                print(f"{name} {variant}: out of memory: {str(error)[:100]}", flush=True)
    _clean(device)


def _result(name: str, variant: str, found: dict[str, Any]) -> Result:
    return Result(shape=name, variant=variant, layers=SHAPES[name].config.num_hidden_layers, **found)


HEAD = """# Training speed on one GPU

{date} · {device} · torch {torch} · transformers {transformers} · written by `python benchmarks/pretraining.py`

MFU = tokens/s × FLOPs a token ÷ a peak. Measured peak: {peak:.0f} TFLOP/s, the best 8192³ bfloat16 matrix product of
this run; by the data sheet 989. FLOPs a token: 6 a matmul parameter + 6 · heads · head size · length a layer (causal
attention counted once; of `packed` only inside documents); MTP counts its layer and its pass through the output head.
Loss and gradient norm are read in every step. AdamW in float32 updates all weights in every step. 7B-32k recomputes its
layers in the backward pass, which MFU does not count as useful.

- `plain` our model · `mtp` with one MTP head · `packed` with the head, rows packed from documents (median ⅛ of a row)
- `float8` as `mtp` with the layers' products in float8, its MFU against the bfloat16 peak
- `transformers` the trunk as Qwen2ForCausalLM, its own loss, torch.compile of the whole model, fused AdamW, autocast;
  its micro-batches are half as large as ours where the logits of the whole micro-batch leave no room for more
"""


def show(results: list[Result], peak: float) -> str:
    """The report: a table, and the ratios the targets speak of."""
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    lines = [
        HEAD.format(
            date=date.today(), device=device, peak=peak / 1e12, torch=torch.__version__,
            transformers=transformers.__version__,
        ),
        "| shape | variant | parameters | layers | tokens/step | micro-batches | steps | s/step | tokens/s | MFU "
        "(measured peak) | MFU (989) | GB |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    shapes = [name for name in SHAPES if any(r.shape == name for r in results)]
    lines += [
        f"| {r.shape} | {r.variant} | {r.parameters / 1e9:.2f}B | {r.layers} | {r.tokens_per_step:,} | "
        f"{r.micro_batches} | {r.steps} | {r.seconds:.4f} | {r.tokens_per_s:,.0f} | {r.flops / peak:.1%} | "
        f"{r.flops / SPEC_PEAK:.1%} | {r.memory_gb:.1f} |"
        for name in shapes for r in results if r.shape == name
    ]  # fmt: skip
    lines += [
        "", "| shape | MTP's extra time − its FLOP share, points | packed ÷ mtp, tokens/s | plain ÷ transformers, "
        "tokens/s | plain ÷ transformers, memory | float8 ÷ mtp, tokens/s |", "|---|---:|---:|---:|---:|---:|",
    ]  # fmt: skip
    for name in shapes:
        by = {r.variant: r for r in results if r.shape == name}
        lines.append(f"| {name} | {_mtp_cost(by)} | " + " | ".join(
            f"{field(by[a]) / field(by[b]):.2f}" if {a, b} <= by.keys() and field(by[b]) else "–"
            for a, b, field in (
                ("packed", "mtp", lambda r: r.tokens_per_s), ("plain", "transformers", lambda r: r.tokens_per_s),
                ("plain", "transformers", lambda r: r.memory_gb), ("float8", "mtp", lambda r: r.tokens_per_s),
            )
        ) + " |")  # fmt: skip
    return "\n".join(lines) + "\n"


def _mtp_cost(by: dict[str, Result]) -> str:
    if not {"mtp", "plain"} <= by.keys():
        return "–"
    extra = by["mtp"].seconds / by["plain"].seconds - 1
    share = by["mtp"].gflops_per_token / by["plain"].gflops_per_token - 1
    return f"{extra:.1%} − {share:.1%} = {100 * (extra - share):+.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=[name for name in SHAPES if name != "toy"])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    parser.add_argument("--peer", choices=SHAPES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.peer:
        Peer.serve(options.peer)
        return
    device, results = _device(), []
    peak = measure_peak(device)
    for result in measure(options.shapes, options.steps, device):
        results.append(result)
        peak = max(peak, measure_peak(device))  # how fast a GPU runs depends on how warm it is: the best counts
        print(json.dumps({**asdict(result), "mfu": result.flops / peak}), flush=True)
        lines = [json.dumps({**asdict(each), "peak": round(peak)}) for each in results]
        (options.out / "pretraining.jsonl").write_text("\n".join(lines) + "\n")
        (options.out / "pretraining.md").write_text(show(results, peak))
    print(show(results, peak))


if __name__ == "__main__":
    main()
