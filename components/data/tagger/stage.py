"""The tagger stage: a small language model learns from labels what documents are about and what they are worth.

A fifth of the texts are never learned from: the scores are calibrated on them, and what the tagger is worth is measured
on them, each part with the calibration of the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from components.artifacts import Artifact, ArtifactError, describe_shard
from components.data.quality.agreement import kappa
from components.data.quality.calibration import Calibration, fit, measured
from components.data.quality.classifier import Card, Classifier
from components.data.quality.labels import DocumentLabel, document_labels, folds_of
from components.data.quality.taxonomy import QUALITIES
from components.data.tagger.config import Config
from components.data.tagger.training import fine_tune
from components.runner import Outputs
from components.training.device import pick_device

FOLDS = 5
LEAST = 10  # held-out texts without which nothing can be calibrated


def run(config: Config, inputs: dict[str, Artifact], outputs: Outputs) -> None:
    """Make the output `tagger`: a Hugging Face directory with `tagger.json`.

    Raises:
        ConfigError: a label that is none, or a base model that cannot be used.
        ArtifactError: too few labelled texts.
    """
    labels = [label for path in inputs["labels"].paths() for label in document_labels(path)]
    folds = folds_of(list(range(len(labels))), FOLDS)
    learned = [label for label, fold in zip(labels, folds, strict=True) if fold]
    held_out = [label for label, fold in zip(labels, folds, strict=True) if not fold]
    if len(held_out) < LEAST:
        raise ArtifactError(f"tagger: {len(labels)} labelled texts are too few; {LEAST * FOLDS} are the least")
    domains = tuple(sorted({label.domain for label in labels} - {""}))
    card = Card(domains, config.max_tokens)
    directory, device = outputs.directory("tagger"), pick_device()

    def progress(step: int, steps: int, loss: float) -> None:
        outputs.progress.update(step, steps, f"step {step} of {steps}, loss {loss:.3f}")

    losses = fine_tune(config, card, learned, directory, device, progress)
    card.write(directory)
    card = measure(card, Classifier(directory, str(device), config.evaluation_batch), held_out)
    card.write(directory)
    flat = {f"{name}_{key}": value for name, row in card.measured.items() for key, value in row.items()}
    outputs.metrics.update({key: value for key, value in flat.items() if math.isfinite(value)})
    _report(config, card, losses, len(learned), outputs)
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    shards = [describe_shard(directory, Path(path)) for path in files]
    outputs.finish("tagger", "tagger", shards, {"texts": len(learned), "held_out": len(held_out)})


def measure(card: Card, classifier: Classifier, held_out: Sequence[DocumentLabel]) -> Card:
    """`card` with calibrations fitted on `held_out` and with what was measured there."""
    raw = card.read(classifier.sigmoids([label.text for label in held_out]))
    calibrations: dict[str, Calibration] = {}
    found: dict[str, dict[str, float]] = {}
    classes = [(said, label.domain) for (said, _), label in zip(raw, held_out, strict=True) if label.domain]
    if classes:
        right = sum(one == other for one, other in classes) / len(classes)
        agreement = kappa([one for one, _ in classes], [other for _, other in classes])
        found["domain"] = {"texts": float(len(classes)), "accuracy": right, "kappa": agreement}
    for name in QUALITIES:
        values = [(scores[name], label.qualities[name])
                  for (_, scores), label in zip(raw, held_out, strict=True) if name in label.qualities]  # fmt: skip
        if len(values) >= LEAST:
            said, right_ones = [one for one, _ in values], [other for _, other in values]
            calibrations[name] = fit(said, right_ones)
            found[name] = measured(said, right_ones, folds_of(list(range(len(values))), FOLDS))
    return replace(card, calibrations=calibrations, measured=found)


def _report(config: Config, card: Card, losses: Sequence[float], learned: int, outputs: Outputs) -> None:
    report = outputs.report
    report.text(
        "What was learned from what",
        f"{config.base.path} learned from {learned} labelled texts; the table is of texts it did not learn from. "
        "kappa: agreement with the labels beyond chance, quadratically weighted for levels. Errors: how far scores are "
        "from the mean label (expected calibration error), before and after calibration.",
    )
    columns = ("texts", "accuracy", "kappa", "error", "calibrated_error")
    rows = [[name, *(row.get(key) if math.isfinite(row.get(key, 0.0)) else None for key in columns)]
            for name, row in card.measured.items()]  # fmt: skip
    report.table("Held-out texts", ["", *(name.replace("_", " ") for name in columns)], rows)
    report.lines("Loss", {"loss": [(float(step), loss) for step, loss in enumerate(losses, 1)]}, "step", "loss")
