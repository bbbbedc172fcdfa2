"""Do the MTP loss and the stage mixtures help? Small models on the sample pages, several seeds, error bars.

    python benchmarks/ablations.py                    two CPU cores: under 20 minutes
    python benchmarks/ablations.py --parallel 12      twelve models at a time, a thread each

The data stages of the smoke profile turn the shipped pages into documents; a share of them, the same for all runs, is
held out and measured by class. Each seed has its own weights and its own order of the data, and trains four arms:

    recipe        three stages: web text · 70 % math and code · as before with 10 % synthetic, MTP loss 0.3 then 0.1
    web only      the same tokens, steps and rates on the first stage's mixture alone
    no MTP        as web only, without the MTP head
    no MTP, long  as no MTP, with as many more tokens as the head costs FLOPs

A head trained afterwards on the frozen trunk of `no MTP`, on the tokens of all three stages, shows what training along
is worth to acceptance. Differences are paired by seed; intervals are 95 % (Student's t). Writes
benchmarks/ablations.md, ablations_gpu.md where there is a GPU. What lies in --work is not computed again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch

from components.artifacts import open_artifact
from components.data.documents import read_documents
from components.data.mixing.config import SYNTHETIC
from components.model.chat_template import END_OF_TEXT
from components.model.checkpoint import load_model, load_tokenizer
from components.model.config import MiMoConfig
from components.runner import Result, execute
from components.training.device import pick_device
from components.training.held_out import measure_held_out
from components.training.packing import TokenRows, cut, fill, pack, write_rows
from pipelines.dag import NODES
from pipelines.profile import load_profile

HERE = Path(__file__).parent
ARMS = ("recipe", "web only", "no MTP", "no MTP, long")
DATA = ("ingestion", "extraction", "deduplication", "filtering", "problems", "decontamination", "synthesis")
CLASSES = ("math", "code", "other", "synthetic")
STAGES = ("stage_1", "stage_2", "stage_3")
SHARES = (0.5, 0.25, 0.25)   # of the tokens, by stage
WEB_ONLY = {"web": 1.0}
T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}


@dataclass(frozen=True)
class World:
    """What all arms share."""

    store: Path
    inputs: dict[str, str]   # of mixing
    held_out: dict[str, Path]   # class -> shard of rows
    tokens: int
    threads: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="at least two")
    parser.add_argument("--tokens", type=int, default=1_200_000, help="an arm's training tokens")
    parser.add_argument("--parallel", type=int, default=2, help="models at a time; each gets its share of the cores")
    parser.add_argument("--work", type=Path, default=Path("runs/ablations"), help="where results lie")
    arguments = parser.parse_args()
    began = time.monotonic()
    threads = max(1, (os.cpu_count() or 1) // arguments.parallel)
    world = prepare(arguments.work / "store", arguments.tokens, threads)
    jobs = [(world, seed, arm) for seed in arguments.seeds for arm in ARMS]
    with ProcessPoolExecutor(arguments.parallel, multiprocessing.get_context("spawn")) as pool:
        measured = list(pool.map(run_arm, *zip(*jobs, strict=True)))
    results = {(seed, arm): values for (_, seed, arm), values in zip(jobs, measured, strict=True)}
    text = render(results, world, arguments, time.monotonic() - began)
    name = "ablations_gpu.md" if torch.cuda.is_available() else "ablations.md"
    (HERE / name).write_text(text, encoding="utf-8")
    print(text)


# Data


def prepare(store: Path, tokens: int, threads: int) -> World:
    """Documents of the smoke profile, and the held-out ones as rows by class."""
    torch.set_num_threads(threads)
    profile = load_profile("smoke", nodes=DATA)
    made: dict[str, Result] = {}
    for name in DATA:
        say(f"data: {name}")
        inputs = {key: artifact(made, edge) for key, edge in NODES[name].inputs.items()}
        made[name] = execute(name, profile.configs[name], inputs, store)
    inputs = {key: artifact(made, edge) for key, edge in NODES["mixing"].inputs.items()}
    mixed = mix(store, inputs, tokens, 0, recipe=True)
    return World(store, inputs, hold_out(store, inputs, mixed), tokens, threads)


def artifact(made: Mapping[str, Result], edge: str) -> str:
    node, _, output = edge.partition(".")
    return str(made[node].output(output))


def mix(store: Path, inputs: Mapping[str, str], tokens: int, seed: int, *, recipe: bool) -> Result:
    """Token rows of the three stages: the recipe's mixtures, or web text in all of them."""
    config: dict[str, Any] = load_profile("smoke", nodes=["mixing"]).configs["mixing"].model_dump()
    for stage, share in zip(STAGES, SHARES, strict=True):
        config[stage]["tokens"] = round(tokens * share)
        config[stage]["maximum_epochs"] = 1000.0   # with so few pages, shares matter more than repetition
        if not recipe:
            config[stage]["weights"] = WEB_ONLY
    config["stage_3"]["weights"] |= {"math": 0.315, "code": 0.315, "synthetic": 0.1} if recipe else {}
    return execute(
        "mixing", {**config, "seed": seed, "held_out_share": 0.15, "held_out_tokens": 1_000_000}, inputs, store
    )


def hold_out(store: Path, inputs: Mapping[str, str], mixed: Result) -> dict[str, Path]:
    """The documents that mixing held out, tokenised and packed by class."""
    listed = set((mixed.output("held_out") / "documents.txt").read_text().split())
    tokenizer = load_tokenizer(mixed.output("tokenizer"))
    end = tokenizer.convert_tokens_to_ids(END_OF_TEXT)
    length = int(open_artifact(mixed.output("held_out")).manifest.totals["sequence_length"])
    texts: dict[str, list[str]] = {name: [] for name in CLASSES}
    for source, path in inputs.items():
        for document in read_documents(open_artifact(path)):
            name = SYNTHETIC if source == SYNTHETIC else document["domain"]
            if document["id"] in listed:
                texts[name if name in CLASSES else "other"].append(document["text"])
    shards = {}
    for name, found in texts.items():
        sequences = [ids[start:stop] for text in found for ids in [[*tokenizer(text)["input_ids"], end]]
                     for start, stop in cut(len(ids), length)]  # fmt: skip
        folder = store / "held_out" / name
        folder.mkdir(parents=True, exist_ok=True)
        shards[name] = write_rows(folder, 0, fill(sequences, pack([len(s) for s in sequences], length), length, end))
    return shards


# Training


def run_arm(world: World, seed: int, arm: str) -> dict[str, float]:
    """Train one arm of one seed; its held-out losses by class, acceptance and costs."""
    torch.set_num_threads(world.threads)
    tokens = round(world.tokens * (mtp_cost(world) if arm == "no MTP, long" else 1))
    mixed = mix(world.store, world.inputs, tokens, seed, recipe=arm == "recipe")
    base, seconds = pretrain(world, mixed, seed, mtp=arm in ("recipe", "web only"))
    found = {"seconds": seconds, "tokens": float(tokens), **measure(world, base)}
    if arm == "no MTP":
        found |= {f"afterwards_{name}": value for name, value in add_head(world, mixed, base, seed).items()}
    say(f"seed {seed}, {arm}: loss {found['loss_all']:.3f}, {seconds:.0f} s")
    return found


def pretrain(world: World, mixed: Result, seed: int, *, mtp: bool) -> tuple[Path, float]:
    profile = load_profile("smoke", nodes=["pretraining_1", "pretraining_2", "pretraining_3"])
    held_out = str(mixed.output("held_out"))
    given = {"tokenizer": str(mixed.output("tokenizer"))}
    seconds = 0.0
    model = Path()
    for number in (1, 2, 3):
        config: dict[str, Any] = profile.configs[f"pretraining_{number}"].model_dump()
        config["seed"] = seed
        config["shape"]["num_nextn_predict_layers"] = int(mtp)
        inputs = {"tokens": str(mixed.output(f"stage_{number}")), "held_out": held_out, **given}
        result = execute("pretraining", config, inputs, world.store)
        seconds += result.metrics["tokens"] / result.metrics["tokens_per_s"]
        model = result.output("model")
        given = {"model": str(model)}
    return model, seconds


def add_head(world: World, mixed: Result, base: Path, seed: int) -> dict[str, float]:
    """Acceptance of a head that is trained on the frozen trunk, on all three stages' rows."""
    long = round(world.tokens / SHARES[0])   # its first stage is as long as all three together
    rows = mix(world.store, world.inputs, long, seed, recipe=False)
    config: dict[str, Any] = load_profile("smoke", nodes=["mtp_tuning"]).configs["mtp_tuning"].model_dump()
    inputs = {"model": str(base), "tokens": str(rows.output("stage_1")), "held_out": str(mixed.output("held_out"))}
    tuned = execute("mtp_tuning", {**config, "seed": seed, "heads": 1, "tokens": world.tokens}, inputs, world.store)
    return {
        name: value for name, value in measure(world, tuned.output("model")).items() if name in ("greedy", "sampled")
    }


def measure(world: World, directory: Path) -> dict[str, float]:
    """Loss by class and over all web text; acceptance of the head over all web text."""
    model = load_model(directory).to(pick_device())
    found: dict[str, float] = {}
    sizes: dict[str, float] = {}
    accepted: dict[str, list[tuple[float, float]]] = {"greedy": [], "sampled": []}
    for name, shard in world.held_out.items():
        rows = TokenRows([shard])
        values = measure_held_out(model, rows, 1_000_000)
        found[f"loss_{name}"] = values["loss"]
        if name == SYNTHETIC:
            continue
        sizes[name] = float((rows.batch(range(len(rows)))[:, 1] > 0).sum())
        for kind, pairs in accepted.items():
            if f"mtp_1_{kind}" in values:
                pairs.append((sizes[name], values[f"mtp_1_{kind}"]))
    found["loss_all"] = sum(size * found[f"loss_{name}"] for name, size in sizes.items()) / sum(sizes.values())
    for kind, pairs in accepted.items():
        if pairs:
            found[kind] = sum(size * value for size, value in pairs) / sum(size for size, _ in pairs)
    return found


def mtp_cost(world: World) -> float:
    """FLOPs a token with one MTP head, over those without."""
    first: dict[str, Any] = load_profile("smoke", nodes=["pretraining_1"]).configs["pretraining_1"].model_dump()
    mixed = mix(world.store, world.inputs, world.tokens, 0, recipe=True)
    totals = open_artifact(mixed.output("tokenizer")).manifest.totals
    shape = MiMoConfig(vocab_size=int(totals["padded_vocab_size"]), **first["shape"])
    return shape.flops_per_token(128, 1) / shape.flops_per_token(128)


# Report


MTP = (   # what, its two sides (arm, measure)
    ("loss on web text, equal tokens: MTP − no MTP", ("web only", "loss_all"), ("no MTP", "loss_all")),
    ("loss on web text, equal FLOPs: MTP − no MTP", ("web only", "loss_all"), ("no MTP, long", "loss_all")),
    ("greedy acceptance: trained along − afterwards", ("web only", "greedy"), ("no MTP", "afterwards_greedy")),
    ("sampled acceptance: trained along − afterwards", ("web only", "sampled"), ("no MTP", "afterwards_sampled")),
)
MIXTURES = tuple(
    (f"loss on {name}: recipe − web only", ("recipe", f"loss_{name}"), ("web only", f"loss_{name}")) for name in CLASSES
)
LOSSES = tuple(f"loss_{name}" for name in (*CLASSES, "all"))
COLUMNS = (*LOSSES, "greedy", "sampled", "afterwards_greedy", "afterwards_sampled")
HEAD = ["| difference | by seed | mean | 95 % interval | effect |", "|---|---|---:|---:|---|"]
Results = Mapping[tuple[int, str], Mapping[str, float]]


def render(results: Results, world: World, arguments: argparse.Namespace, seconds: float) -> str:
    sizes = {name: TokenRows([shard]) for name, shard in world.held_out.items()}
    held_out = ", ".join(f"{name} {len(rows) * rows.sequence_length:,}" for name, rows in sizes.items())
    seeds = " ".join(map(str, arguments.seeds))
    lines = [
        f"# Ablations at a third of a million parameters ({date.today().isoformat()})",
        "",
        f"`python benchmarks/ablations.py --seeds {seeds} --tokens {arguments.tokens} --parallel "
        f"{arguments.parallel}`: {seconds / 60:.1f} minutes. {machine()}",
        "",
        "The program's text says what the arms are. Losses are nats a token on documents that no run trains on "
        f"({held_out} tokens; `all` is the web text among them); acceptance is that of the first MTP head's drafts "
        "there, in percent, `afterwards` that of a head trained on the frozen trunk.",
        "",
        f"{share(sizes):.0%} of the held-out web text is math and code already, because the pages are documentation: "
        "the mixtures of stages 2 and 3 have less to shift here than on the open web.",
        "",
        "## Every run",
        "",
        f"| seed | arm | tokens | {' | '.join(name.replace('_', ' ') for name in COLUMNS)} | seconds |",
        "|---:|---|---:|" + "---:|" * (len(COLUMNS) + 1),
    ]
    for (seed, arm), values in results.items():
        cells = " | ".join(number(name, values[name]) if name in values else "–" for name in COLUMNS)
        lines.append(f"| {seed} | {arm} | {values['tokens']:,.0f} | {cells} | {values['seconds']:.0f} |")
    for heading, comparisons in (
        ("Does the MTP loss help?", MTP), ("Do the mixtures of stages 2 and 3 help?", MIXTURES),
    ):  # fmt: skip
        lines += ["", f"## {heading}", "", *HEAD]
        lines += [difference(*comparison, results, arguments.seeds) for comparison in comparisons]
    lines += ["", "**Bold**: the interval excludes zero. It speaks of seeds (weights and order of the data), not of "
              "other pages or larger models.", ""]  # fmt: skip
    return "\n".join(lines)


def share(sizes: Mapping[str, TokenRows]) -> float:
    """Of math and code, in the held-out web text."""
    rows = {name: len(each) for name, each in sizes.items() if name != SYNTHETIC}
    return (rows["math"] + rows["code"]) / sum(rows.values())


def number(name: str, value: float) -> str:
    return f"{value:.3f}" if name.startswith("loss") else f"{100 * value:.1f}"


def difference(
    text: str, left: tuple[str, str], right: tuple[str, str], results: Results, seeds: Sequence[int]
) -> str:
    """A row: the difference of two measures, paired by seed, with Student's interval of its mean."""
    is_loss = left[1].startswith("loss")
    scale = 1 if is_loss else 100
    values = [scale * (results[seed, left[0]][left[1]] - results[seed, right[0]][right[1]]) for seed in seeds]
    mean = statistics.mean(values)
    half = T_95[len(values)] * statistics.stdev(values) / len(values) ** 0.5
    each = ", ".join(f"{value:+.3f}" for value in values)
    if abs(mean) <= half:
        return f"| {text} | {each} | {mean:+.3f} | [{mean - half:+.3f}, {mean + half:+.3f}] | none beyond the noise |"
    effect = "helps" if (mean < 0) == is_loss else "hurts"
    return f"| {text} | {each} | **{mean:+.3f}** | [{mean - half:+.3f}, {mean + half:+.3f}] | {effect} |"


def machine() -> str:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"{os.cpu_count()} CPU cores"
    return f"{platform.machine()}, {device}, Python {platform.python_version()}, torch {torch.__version__}."


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
