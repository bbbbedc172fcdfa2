"""Publishing: Hugging Face directories with model cards, verified by loading, and delivered if the gate promotes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from components.artifacts import Artifact, Shard, describe_shard, write_json, write_text
from components.config import digest
from components.evaluation.results import KINDS
from components.model.chat_template import CHAT_TEMPLATE
from components.model.checkpoint import HF_FILES, load_config
from components.publishing.card import Scores, read_scores, write_card
from components.publishing.config import Config
from components.publishing.delivery import check_destination, copy_file, copy_release, push_to_hub
from components.publishing.release import CARD, RELEASE, Variant, check_lineage, variants
from components.publishing.verify import verify
from components.runner import Outputs

TEMPLATE = "chat_template.jinja"
UPSTREAM_CARD = "README.original.md"   # of a model that the run started from


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Write, verify and deliver the release.

    Raises:
        ConfigError: a destination that cannot be opened.
        ArtifactError: inputs of different runs, or a checkpoint that transformers computes differently.
    """
    if config.destination:
        check_destination(config.destination)
    check_lineage(inputs)
    decision = json.loads(inputs["decision"].paths()[0].read_bytes())
    members = variants(inputs)
    release = outputs.directory("release")
    scores = read_scores(inputs, members)
    steps = 2 * len(members) + 1
    shards: list[Shard] = []
    for number, variant in enumerate(members):
        outputs.progress.update(number, steps, f"writing {variant.directory}")
        shards += _write_checkpoint(inputs[variant.checkpoint], release / variant.directory, release)
        card = release / variant.directory / CARD
        shape = load_config(card.parent)
        write_text(card, write_card(config, variant, members, inputs, scores, shape, decision["promote"]))
        shards.append(describe_shard(release, card, role="card"))
    findings = []
    for found in verify([release / variant.directory for variant in members], config.verify_tokens, outputs.work):
        findings.append(found)
        outputs.progress.update(len(members) + len(findings), steps, f"verified {members[len(findings) - 1].directory}")
    write_json(release / RELEASE, _summary(config, members, inputs, decision, shards))
    shards.append(describe_shard(release, release / RELEASE, role="release"))
    delivered = _deliver(config, members, decision["promote"], release, shards)
    _report(members, findings, scores, release, decision, delivered, outputs)
    totals = {
        "checkpoints": len(members),
        "bytes": sum(shard.bytes for shard in shards),
        "promote": int(decision["promote"]),
    }
    outputs.finish("release", "release", shards, totals)


def _write_checkpoint(artifact: Artifact, directory: Path, release: Path) -> list[Shard]:
    """Copy a checkpoint's files. Code is always ours: what a model brings along that a run started from is left out."""
    config = json.loads((artifact.directory / "config.json").read_bytes())
    ours = config["model_type"] == "mimo"
    paths = []
    for shard in artifact.manifest.shards:
        name = Path(shard.path)
        if shard.role != "data" or name.suffix == ".py":
            continue
        target = directory / (UPSTREAM_CARD if shard.path == CARD else name)
        if shard.path == "config.json":
            _write_config(config, ours, artifact.directory / name, shard.sha256, target)
        else:
            copy_file(artifact.directory / name, target, shard.sha256)
        paths.append(target)
    for source in sorted(HF_FILES.glob("*.py")) if ours else ():
        write_text(directory / source.name, source.read_text(encoding="utf-8"))
        paths.append(directory / source.name)
    if not _has_chat_template(directory):   # as where the model was evaluated (components/rollout/chat.py)
        write_text(directory / TEMPLATE, CHAT_TEMPLATE)
        paths.append(directory / TEMPLATE)
    return [describe_shard(release, path) for path in paths]


def _write_config(config: Mapping[str, Any], ours: bool, source: Path, sha256: str, target: Path) -> None:
    code = {
        "AutoConfig": "configuration_mimo.MiMoConfig",
        "AutoModelForCausalLM": "modeling_mimo.MiMoForCausalLM",
    } if ours else None  # fmt: skip
    if config.get("auto_map") == code:
        copy_file(source, target, sha256)
        return
    rest = {key: value for key, value in config.items() if key != "auto_map"}
    target.parent.mkdir(parents=True, exist_ok=True)
    write_json(target, {**rest, "auto_map": code} if code else rest)


def _has_chat_template(directory: Path) -> bool:
    settings = directory / "tokenizer_config.json"
    return (directory / TEMPLATE).is_file() or (
        settings.is_file() and bool(json.loads(settings.read_bytes()).get("chat_template"))
    )


def _summary(
    config: Config, members: Sequence[Variant], inputs: Mapping[str, Artifact], decision: Mapping[str, Any],
    shards: Sequence[Shard],
) -> dict[str, Any]:  # fmt: skip
    checkpoints = {}
    for variant in members:
        source = inputs[variant.checkpoint].manifest
        checkpoints[variant.directory] = {
            "name": f"{config.name}-{variant.directory}",
            "stage": source.stage,
            "fingerprint": source.fingerprint,
            "evaluation": inputs[variant.results].fingerprint if variant.results else None,
        }
    files = [[shard.path, shard.sha256] for shard in shards]
    return {
        "name": config.name,
        "release": digest([checkpoints, decision, sorted(files)])[:16],
        "checkpoints": checkpoints,
        "decision": decision,
    }


def _deliver(
    config: Config, members: Sequence[Variant], promote: bool, release: Path, shards: Sequence[Shard]
) -> list[str]:
    """Copy and push as configured; returns what was done, one line each."""
    if not (config.destination or config.hub_namespace):
        return ["nowhere: neither a destination nor a Hub namespace is configured"]
    if config.require_promotion and not promote:
        return ["nowhere: the gate does not promote, and require_promotion is set"]
    identity = json.loads((release / RELEASE).read_bytes())["release"]
    done = []
    if config.destination:
        done.append(copy_release(release, [shard.path for shard in shards], config.destination, identity))
    if config.hub_namespace:
        for variant in members:
            repository = f"{config.hub_namespace}/{config.name}-{variant.directory}"
            done.append(push_to_hub(release / variant.directory, repository, config.hub_private, f"Release {identity}"))
    return done


def _report(
    members: Sequence[Variant], findings: Sequence[Mapping[str, Any]], scores: Mapping[str, Scores],
    release: Path, decision: Mapping[str, Any], delivered: Sequence[str], outputs: Outputs,
) -> None:  # fmt: skip
    rows = []
    for variant, found in zip(members, findings, strict=True):
        widest = max(found["gaps"].values())
        main, head = load_config(release / variant.directory).parameter_count()
        rows.append([variant.directory, main + found["heads"] * head, found["heads"], widest])
        outputs.metrics[f"{variant.checkpoint}_logit_difference"] = widest
    outputs.report.text("Where it went", "\n\n".join(delivered))
    outcome = "Promoted: " if decision["promote"] else "Not promoted: "
    outputs.report.text("Gate", outcome + "; ".join(decision["reasons"]))
    columns = ["checkpoint", "parameters", "MTP heads", "largest difference of logits from the trainer's"]
    outputs.report.table("Loaded in transformers", columns, rows)
    for kind in KINDS:
        averages = [(each.directory, scores[each.checkpoint].average) for each in members if each.results]
        shown = {name: average[kind] for name, average in averages if kind in average}
        if shown:
            values = {name: (gap.value, gap.low, gap.high) for name, gap in shown.items()}
            outputs.report.intervals(f"Held-out {kind} problems", values, "avg@k with 95 % interval")
    names = [variant.directory for variant in members]
    cards = [(name, (release / name / CARD).read_text(encoding="utf-8")) for name in names]
    outputs.report.samples("Model cards", cards)
    outputs.metrics["promote"] = float(decision["promote"])
    outputs.metrics["checkpoints"] = float(len(members))
