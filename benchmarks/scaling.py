"""Memory and step time of the full recipe on paper, from what one GPU measured.

    python benchmarks/scaling.py

Reads `pretraining.jsonl` (written by `pretraining.py`), fits the rates of a layer's matrix products and of the output
head to the 7B shape at 8k, checks the model against all other measurements, and writes `scaling.md`: MiMo-7B with one
MTP head, 23.8T tokens, on 256 and 2,048 GPUs.

Symbols: D hidden, H query heads, K key/value heads, E head size, I intermediate, V vocabulary, T row length.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from pretraining import SHAPES

from components.model.config import MiMoConfig

HERE = Path(__file__).parent
STAGES_8K, STAGE_32K = 21.784e12, 2.0e12  # tokens (report, section 2.3)
BATCH = 20_971_520  # tokens a step: 2,560 rows of 8k, 640 rows of 32k
# FLOP/s of cuDNN's attention in a profile of the 7B shape on an H100: forward, backward
ATTENTION, ATTENTION_BACK = 540e12, 355e12
BANDWIDTH = 2.6e12  # bytes/s of the device memory that elementwise kernels reach
HARDWARE = re.compile(r"^\S+ · (.+?) · written", re.MULTILINE)  # in pretraining.md
TOUCHED = 5  # times a layer's activations pass through memory beside its products: 2 forward, 3 backward
GPUS = (256, 640, 1_280, 2_048)
NODE = 8  # GPUs that share NVLink
NVLINK, NETWORK = 300e9, 40e9  # bytes/s a GPU gets in collectives: inside a node; across (400 Gbit/s a GPU, 80 %)
CHUNK = 5 << 28  # logits held at a time (components.model.losses), once more as their gradient


@dataclass(frozen=True)
class Rates:
    """FLOP/s of the layers' matrix products, and of the output head with its loss."""

    layer: float
    head: float


@dataclass(frozen=True)
class Work:
    """One GPU's micro-batch: a model, its MTP heads, rows of T tokens, and what the backward pass computes again."""

    config: MiMoConfig
    heads: int
    tokens: int
    length: int
    recompute: str = "none"

    @property
    def layers(self) -> int:
        return self.config.num_hidden_layers + self.heads

    @property
    def parameters(self) -> int:
        main, mtp = self.config.parameter_count()
        return main + self.heads * mtp

    @property
    def head_parameters(self) -> int:
        return self.config.vocab_size * self.config.hidden_size

    def layer_flops(self) -> float:
        """Forward and backward of all layers, attention apart: 6 a parameter and token."""
        return 6.0 * (self.parameters - 2 * self.head_parameters) * self.tokens

    def attention_flops(self) -> float:
        """6 · H · E · T a token and layer: causal pairs counted once."""
        c = self.config
        return 6.0 * c.num_attention_heads * c.head_dim * self.length * self.tokens * self.layers

    def head_flops(self) -> float:
        return 6.0 * self.head_parameters * self.tokens * (1 + self.heads)

    def useful_flops(self) -> float:
        return self.layer_flops() + self.attention_flops() + self.head_flops()

    def attention_seconds(self, backward: bool) -> float:
        forward = self.attention_flops() / 3
        return forward / ATTENTION + (2 * forward / ATTENTION_BACK if backward else 0.0)

    def seconds(self, rates: Rates) -> float:
        """Time of the micro-batch without the optimizer."""
        products, moved = self.layer_flops() / rates.layer, self.activation_bytes() / BANDWIDTH
        seconds = products + TOUCHED * moved + self.attention_seconds(True) + self.head_flops() / rates.head
        if self.recompute == "full":  # the forward pass again, a third; but nobody asks for what leaves the layer
            down = self.layers * self.config.hidden_size * self.config.intermediate_size
            share = (1 - down / (self.parameters - 2 * self.head_parameters)) / 3
            seconds += share * products + 2 * moved + self.attention_seconds(False)
        return seconds

    def activation_bytes(self) -> float:
        """What the layers' forward pass makes and the backward pass needs, bfloat16."""
        c, mtp = self.config, 2 * 5 * self.config.hidden_size  # both norms, their concatenation, the final norm
        return self.tokens * (self.layers * _layer_bytes(c) + self.heads * mtp)

    def kept_bytes(self) -> float:
        """What of it is kept: all; or each layer's inputs and the one layer that is being computed again."""
        if self.recompute == "none":
            return self.activation_bytes()
        return self.tokens * (2 * self.config.hidden_size * (self.layers + 2 * self.heads) + _layer_bytes(self.config))

    def loss_bytes(self) -> float:
        """A chunk of logits and its gradient, the head in bfloat16, the sum of its gradient, those of its inputs."""
        rows = min(self.tokens, CHUNK // self.config.vocab_size)
        logits = 2 * 2 * rows * self.config.vocab_size
        return logits + (2 + 4) * self.head_parameters + 4 * self.tokens * self.config.hidden_size * (1 + self.heads)

    def peak_bytes(self, accumulates: bool) -> float:
        """Of one GPU that trains the whole model: at the losses, or at the end of the backward pass.

        Master weights and moments take 12 bytes a parameter, gradients 4 once they exist. Beside them lie the layers'
        weights in bfloat16, which the backward pass needs again, and at the end one gradient of the whole embedding
        for each time it was looked up.
        """
        kept = self.kept_bytes() + 2 * (self.parameters - 2 * self.head_parameters) * (self.recompute == "none")
        at_losses = (16 if accumulates else 12) * self.parameters + kept + self.loss_bytes()
        at_end = 16 * self.parameters + 4 * self.head_parameters * (1 + self.heads)
        return max(at_losses, at_end)


def _layer_bytes(c: MiMoConfig) -> float:
    """A token's activations in one layer: inputs of both halves and their norms; queries, keys, values; attention's
    output and its sums; gate, up and their product."""
    query, key_value = c.num_attention_heads * c.head_dim, c.num_key_value_heads * c.head_dim
    width = 4 * c.hidden_size + 2 * query + 2 * key_value + 3 * c.intermediate_size
    return 2.0 * width + 4.0 * c.num_attention_heads


def optimizer_seconds(parameters: float) -> float:
    """AdamW reads 16 and writes 12 bytes a parameter; clipping reads 4 for the norm, then reads and writes 8."""
    return 40 * parameters / BANDWIDTH


def fit(plain: dict[str, Any], mtp: dict[str, Any], length: int, config: MiMoConfig) -> Rates:
    """Rates at which the model gives the times of two measurements, without and with one MTP head."""
    rows = []
    for heads, found in enumerate((plain, mtp)):
        work = Work(config, heads, found["tokens_per_step"] // found["micro_batches"], length)
        rest = found["seconds"] - optimizer_seconds(work.parameters)
        rest -= found["micro_batches"] * work.attention_seconds(True)
        rest -= found["micro_batches"] * TOUCHED * work.activation_bytes() / BANDWIDTH
        rows.append((found["micro_batches"] * work.layer_flops(), found["micro_batches"] * work.head_flops(), rest))
    (a, b, e), (c, d, f) = rows
    determinant = a * d - b * c
    return Rates(layer=determinant / (e * d - b * f), head=determinant / (a * f - e * c))


@dataclass(frozen=True)
class Plan:
    """A stage on a number of GPUs: FSDP over all of them, whole rows a GPU."""

    gpus: int
    work: Work  # of a micro-batch
    tokens: float  # of the stage

    @property
    def micro_batches(self) -> int:
        """A step lasts as long as that of the GPU with the most rows."""
        return math.ceil(BATCH / self.gpus / self.work.tokens)

    @property
    def busy(self) -> float:
        """Share of the GPUs' time that has rows."""
        return BATCH / (self.gpus * self.micro_batches * self.work.tokens)

    def communication(self) -> float:
        """Seconds a micro-batch sends: weights gathered twice in bfloat16, gradients reduced once in float32."""
        sent = (2 * 2 + 4) * self.work.parameters
        # all nodes' network cards work at once: what a node's GPUs share comes in once
        return sent / (NODE * NETWORK) + sent / NVLINK

    def step_seconds(self, rates: Rates) -> float:
        """Communication runs beside the computation; what is longer counts."""
        micro = max(self.work.seconds(rates), self.communication())
        return self.micro_batches * micro + optimizer_seconds(self.work.parameters / self.gpus)

    def days(self, rates: Rates) -> float:
        return self.tokens / BATCH * self.step_seconds(rates) / 86_400

    def memory(self) -> dict[str, float]:
        """Bytes on a GPU, by what they are for."""
        c, work = self.work.config, self.work
        layer = (work.parameters - 2 * work.head_parameters) / work.layers
        gathered = 2 * (2 * work.head_parameters + 2 * layer)  # embedding, head, and two layers, one being fetched
        gradients = 2 * 2 * work.head_parameters + 4 * 2 * layer  # before they are reduced
        return {
            "states": 16 * work.parameters / self.gpus, "gathered": gathered + gradients,
            # and the gradients of gate, up and product in the layer at work
            "activations": work.kept_bytes() + 2 * work.tokens * 3 * c.intermediate_size, "losses": work.loss_bytes(),
        }  # fmt: skip


def read_measurements(path: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Results of `pretraining.py` by shape and variant."""
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return {(result["shape"], result["variant"]): result for result in found}


def check(measured: dict[tuple[str, str], dict[str, Any]], rates: Rates) -> list[str]:
    """Model against measurement: time and memory of every unpacked result of ours."""
    lines = [
        "| shape | variant | s/step, measured | model | error | GB, measured | model | error |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (name, variant), found in measured.items():
        if variant not in ("plain", "mtp"):
            continue
        shape = SHAPES[name]
        tokens = found["tokens_per_step"] // found["micro_batches"]
        work = Work(shape.config, int(variant == "mtp"), tokens, shape.length, shape.recompute)
        seconds = found["micro_batches"] * work.seconds(rates) + optimizer_seconds(work.parameters)
        memory = work.peak_bytes(found["micro_batches"] > 1) / 1e9
        lines.append(
            f"| {name} | {variant} | {found['seconds']:.3f} | {seconds:.3f} | {seconds / found['seconds'] - 1:+.0%} | "
            f"{found['memory_gb']:.1f} | {memory:.1f} | {memory / found['memory_gb'] - 1:+.0%} |"
        )
    return lines


def plans() -> list[Plan]:
    """Stages 1 and 2 without recomputing, stage 3 with, on both numbers of GPUs; rows of one micro-batch."""
    config = MiMoConfig.mimo_7b()
    short, long = Work(config, 1, 8_192, 8_192), Work(config, 1, 32_768, 32_768, "full")
    return [Plan(gpus, work, tokens) for gpus in GPUS for work, tokens in ((short, STAGES_8K), (long, STAGE_32K))]


def tables(rates: Rates, peak: float) -> list[str]:
    lines = [
        "| GPUs | row | recompute | micro-batches/step | busy | compute, s | communication, s | s/step | "
        "tokens/s/GPU | MFU | days |",
        "|---:|---:|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for plan in plans():
        work, step = plan.work, plan.step_seconds(rates)
        speed = BATCH / plan.gpus / step
        useful = work.useful_flops() / work.tokens * speed / peak
        lines.append(
            f"| {plan.gpus:,} | {work.length:,} | {work.recompute} | {plan.micro_batches} | {plan.busy:.0%} | "
            f"{work.seconds(rates):.2f} | {plan.communication():.2f} | {step:.2f} | {speed:,.0f} | {useful:.0%} | "
            f"{plan.days(rates):.0f} |"
        )
    lines += ["", "| GPUs | row | states | gathered weights and gradients | activations | losses | GB a GPU |",
              "|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    for plan in plans():
        parts = plan.memory()
        cells = " | ".join(f"{value / 1e9:.1f}" for value in parts.values())
        lines.append(f"| {plan.gpus:,} | {plan.work.length:,} | {cells} | **{sum(parts.values()) / 1e9:.1f}** |")
    return lines


HEAD = """# The full recipe on paper

{date} · written by `python benchmarks/scaling.py` from the single-GPU measurements in `pretraining.jsonl` ({hardware})

## The model

Time of a micro-batch = layers' matrix products ÷ {layer:.0f} TFLOP/s + output head and losses ÷ {head:.0f} TFLOP/s +
attention (cuDNN: 540 TFLOP/s forward, 355 backward) + {touched} × activations ÷ 2.6 TB/s. The first two rates are
fitted to `7B plain` and `7B mtp`; everything else below is prediction. The optimizer moves 40 bytes a parameter.
Memory = float32 weights, gradients and moments + activations that the backward pass needs + the layers' weights in
bfloat16 + a chunk of logits with its gradient and the sums beside it.

## Checked on one GPU

"""

PLANS = """
## MiMo-7B with one MTP head, 23.8T tokens

21.8T tokens in rows of 8,192 without recomputing, 2T in rows of 32,768 with every layer recomputed; 20,971,520 tokens
a step in both, as in the report. FSDP over all GPUs, one row a micro-batch, nodes of {node} GPUs. Assumed and not
measured: collectives reach {nvlink:.0f} GB/s a GPU inside a node and {network:.0f} GB/s across (400 Gbit/s a GPU), run
beside the computation and slow it by nothing; a step lasts as long as the GPU with the most rows needs; no failures.
`busy` is the share of GPU time for which there are rows; days count it.

"""

FINDINGS = """
## What follows

- Memory is no obstacle: with the states split, an 80 GB GPU holds a row of 8k without recomputing, and one of 32k with.
- Communication hides behind one row of 8k ({micro:.2f} s of computation, {sent:.2f} s of communication); half a row is
  where it begins to show.
- 256 GPUs divide 2,560 rows of 8k, but not 640 rows of 32k: 2.5 rows a GPU. 512 rows, or 640 GPUs, leave none idle.
- 2,048 GPUs do not divide either batch: 1.25 rows of 8k, and in stage 3 two GPUs of three have no row at all. They pay
  with batches of 2,048 or 4,096 rows of 8k, or as 1,280 GPUs. Beyond 640 GPUs stage 3 needs a row split over GPUs
  (context parallelism), which this code does not do, or larger batches than the report's.
"""


def main() -> None:
    path = HERE / "pretraining.jsonl"
    measured = read_measurements(path)
    shape = SHAPES["7B"]
    rates = fit(measured["7B", "plain"], measured["7B", "mtp"], shape.length, shape.config)
    peak = max(result["peak"] for result in measured.values())
    first = plans()[0]
    hardware = HARDWARE.search((HERE / "pretraining.md").read_text())
    assert hardware, "pretraining.md does not say what it was measured on"
    text = HEAD.format(
        date=date.today(), hardware=hardware[1], layer=rates.layer / 1e12,
        head=rates.head / 1e12, touched=TOUCHED,
    )  # fmt: skip
    text += "\n".join(check(measured, rates)) + "\n"
    text += PLANS.format(node=NODE, nvlink=NVLINK / 1e9, network=NETWORK / 1e9)
    text += "\n".join(tables(rates, peak)) + "\n"
    text += FINDINGS.format(micro=first.work.seconds(rates), sent=first.communication())
    (HERE / "scaling.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
