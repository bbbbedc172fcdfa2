"""Model cards: what a checkpoint is, what it was trained on, how it does beside its siblings, how to load it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from components.artifacts import Artifact
from components.evaluation.metrics import Interval
from components.evaluation.results import KINDS
from components.model.config import MiMoConfig
from components.publishing.config import Config
from components.publishing.release import VARIANTS, Variant

TOY_PARAMETERS = 100_000_000   # below this nothing useful can be expected of a language model
STAGES = {"base": "pretraining", "sft": "SFT", "rl_zero": "RL", "rl": "RL", "mtp": "MTP tuning"}


@dataclass(frozen=True)
class Scores:
    """What an evaluation found: kind of problem -> number of problems, average, pass@k by k; and how it sampled."""

    problems: dict[str, int]
    average: dict[str, Interval]
    pass_at: dict[str, dict[int, Interval]]
    sampling: dict[str, Any]

    @property
    def metric(self) -> str:
        return f"avg@{self.sampling['samples']}"


def read_scores(inputs: Mapping[str, Artifact], members: Sequence[Variant]) -> dict[str, Scores]:
    """Checkpoint -> what its evaluation found, for those that were evaluated."""
    evaluated = [variant for variant in members if variant.results]
    return {variant.checkpoint: _read(inputs[variant.results].paths("summary")[0]) for variant in evaluated}


def _read(path: Path) -> Scores:
    summary = json.loads(path.read_bytes())
    kinds = {kind: summary["kinds"][kind] for kind in KINDS if kind in summary["kinds"]}
    return Scores(
        problems={kind: each["problems"] for kind, each in kinds.items()},
        average={kind: Interval(**each["avg"]) for kind, each in kinds.items()},
        pass_at={kind: {int(k): Interval(**value) for k, value in each["pass_at"].items()}
                 for kind, each in kinds.items()},
        sampling=summary["sampling"],
    )  # fmt: skip


def write_card(
    config: Config, variant: Variant, members: Sequence[Variant], inputs: Mapping[str, Artifact],
    scores: Mapping[str, Scores], shape: MiMoConfig, promote: bool,
) -> str:  # fmt: skip
    """The text of `README.md`: YAML front matter and Markdown."""
    title = f"{config.name}-{variant.directory}"
    main, head = shape.parameter_count()
    heads = shape.num_nextn_predict_layers
    parts = [
        f"---\n{_front_matter(config, variant, title, scores.get(variant.checkpoint))}\n---\n",
        f"# {title}\n\n{variant.what[0].upper()}{variant.what[1:]}. One of the checkpoints "
        f"{', '.join(f'**{each.directory}**' if each == variant else each.directory for each in members)} of one run "
        "of the MiMo-7B recipe (arXiv 2505.07608).\n",
        "## Model\n\n" + _table(["", ""], [
            ["architecture", "MiMo: a Qwen2 decoder and multi-token-prediction (MTP) heads" if heads
             else "MiMo / Qwen2 decoder, without MTP heads"],
            ["parameters", f"{main:,}" + (f", and {head:,} in each MTP head ({heads})" if heads else "")],
            ["layers, hidden size", f"{shape.num_hidden_layers}, {shape.hidden_size}"],
            ["vocabulary", f"{shape.vocab_size:,}"],
            ["context", f"{shape.max_position_embeddings:,} tokens"],
        ]),
        "## Training\n\n" + _training(variant, inputs),
        "## Evaluation\n\n" + _evaluation(variant, members, scores, promote),
        "## Use\n\n" + _use(heads),
        "## Limits\n\n" + "".join(f"- {line}\n" for line in _limits(main)),
        "## Licence\n\n" + _licence(config, inputs["base"].manifest.stage) + "\n",
    ]  # fmt: skip
    return "\n".join(parts)


def _front_matter(config: Config, variant: Variant, title: str, scores: Scores | None) -> str:
    results = [
        EvalResult(
            task_type="text-generation", dataset_type=f"held-out-{kind}", dataset_name=f"held-out {kind} problems",
            metric_type=scores.metric, metric_value=round(100 * average.value, 2),
        )
        for kind, average in scores.average.items()
    ] if scores else []  # fmt: skip
    parent = next((each.directory for each in VARIANTS if each.checkpoint == variant.parent), None)
    data = ModelCardData(
        license=config.license or None,
        library_name="transformers",
        pipeline_tag="text-generation",
        tags=["mimo", "reasoning", "math", "code"],
        base_model=f"{config.hub_namespace}/{config.name}-{parent}" if parent and config.hub_namespace else None,
        model_name=title,
        eval_results=results or None,
    )
    return data.to_yaml()


def _training(variant: Variant, inputs: Mapping[str, Artifact]) -> str:
    rows = []
    for name in variant.lineage:
        manifest = inputs[name].manifest
        if name == "base" and manifest.stage != "pretraining":
            rows.append(["start", "a model that existed before this run", ""])
            continue
        totals = {key: value for key, value in manifest.totals.items() if key != "parameters"}
        numbers = ", ".join(f"{key.replace('_', ' ')} {_number(value)}" for key, value in totals.items())
        rows.append([STAGES[name], numbers, f"`{manifest.fingerprint[:12]}`"])
    note = "\n`tokens` of pretraining counts its last stage, `tokens in all` the three.\n"
    pretrained = inputs["base"].manifest.stage == "pretraining"
    return _table(["stage", "data", "fingerprint"], rows) + (note if pretrained else "")


def _evaluation(variant: Variant, members: Sequence[Variant], scores: Mapping[str, Scores], promote: bool) -> str:
    shown = [member for member in members if member.checkpoint in scores]
    first = scores[shown[0].checkpoint]
    highest = max((k for each in first.pass_at.values() for k in each), default=1)
    columns = ["checkpoint"]
    for kind in first.average:
        columns += [f"{kind}, {first.metric}", f"{kind}, pass@{highest}", f"{kind} problems"]
    rows = []
    for member in shown:
        row = [f"**{member.directory}**" if member == variant else member.directory]
        for kind in first.average:
            found = scores[member.checkpoint]
            best = found.pass_at.get(kind, {}).get(highest)
            row += [_shown(found.average.get(kind)), _shown(best), f"{found.problems.get(kind, 0):,}"]
        rows.append(row)
    sampling = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in first.sampling.items())
    lines = [
        "In percent, with 95 % bootstrap intervals over problems. The problems are held out: the run's documents and "
        f"conversations were cleaned of them, and its rewards never saw them. Sampling: {sampling}.",
        _table(columns, rows),
        f"The gate {'promotes' if promote else 'does not promote'} the RL checkpoint of this run.",
    ]
    if not variant.results:
        lines.append(f"{variant.directory} was not evaluated by itself: its main model is Base's.")
    return "\n\n".join(line.rstrip("\n") for line in lines) + "\n"


def _shown(interval: Interval | None) -> str:
    return str(interval) if interval else "–"


def _use(heads: int) -> str:
    draft = (
        "\nWith the first MTP head drafting (speculative decoding):\n\n"
        "```sh\nvllm serve PATH --trust-remote-code "
        "--speculative-config '{\"method\": \"mtp\", \"num_speculative_tokens\": 1}'\n```\n"
    )
    return (
        "transformers (`PATH` is this directory or repository):\n\n"
        "```python\n"
        "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
        "tokenizer = AutoTokenizer.from_pretrained(PATH, trust_remote_code=True)\n"
        "model = AutoModelForCausalLM.from_pretrained(PATH, trust_remote_code=True)\n"
        'messages = [{"role": "user", "content": "What is 12 + 30?"}]\n'
        "inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors=\"pt\", "
        "return_dict=True)\n"
        "output = model.generate(**inputs, max_new_tokens=128)\n"
        "print(tokenizer.decode(output[0]))\n"
        "```\n\n"
        "`Qwen2ForCausalLM` loads the main model without any remote code; it leaves the MTP heads aside.\n\n"
        "vLLM:\n\n```sh\nvllm serve PATH --trust-remote-code\n```\n"
    ) + (draft if heads else "")  # fmt: skip


def _limits(parameters: int) -> list[str]:
    lines = []
    if parameters < TOY_PARAMETERS:
        lines.append(
            f"**A toy.** With {parameters:,} parameters it shows that the recipe learns the kinds of problems it was "
            "trained on. It can do nothing else, and vLLM may have no kernel for its head size."
        )
    return [
        *lines,
        "Trained for mathematics and programs with answers that a rule can check; nothing was done for safety, "
        "honesty or other languages than its data's.",
        "Programs that it writes are untrusted: run them in a sandbox only.",
        "The publishing stage loads every checkpoint in transformers and compares its logits with the trainer's; "
        "it does not load them in vLLM.",
    ]


def _licence(config: Config, base_stage: str) -> str:
    stated = f"{config.license}." if config.license else "The publisher of this checkpoint states none."
    started = " The terms of the model that this run started from hold as well." if base_stage != "pretraining" else ""
    return stated + started


def _number(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
