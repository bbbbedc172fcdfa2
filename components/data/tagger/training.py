"""Fine-tuning of a classifier with one logit a class and one a quality. Pure torch and transformers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from components.config import ConfigError
from components.data.quality.classifier import Card
from components.data.quality.labels import DocumentLabel
from components.data.quality.taxonomy import QUALITIES
from components.data.tagger.config import Config

WARM_UP = 0.1
CLIP = 1.0
Progress = Callable[[int, int, float], None]


def fine_tune(
    config: Config,
    card: Card,
    labels: Sequence[DocumentLabel],
    directory: Path,
    device: torch.device,
    progress: Progress,
) -> list[float]:
    """Train on `labels` and save model and tokenizer in `directory`; returns the loss of every step.

    The loss is the cross-entropy of the class plus the mean binary cross-entropy of the qualities, whose labels are
    soft: both over the texts whose label is known.

    Raises:
        ConfigError: `base` is no model that transformers can classify with.
    """
    torch.manual_seed(config.seed)
    model, tokenizer = _load(config, card)
    model.to(device).train()
    decayed = [p for p in model.parameters() if p.ndim > 1]
    others = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": config.weight_decay}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate)
    steps = config.epochs * math.ceil(len(labels) / config.batch)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _rate(step, steps))
    losses: list[float] = []
    for epoch in range(config.epochs):
        order = random.Random(f"{config.seed}/{epoch}").sample(range(len(labels)), len(labels))
        for start in range(0, len(order), config.batch):
            batch = [labels[place] for place in order[start : start + config.batch]]
            inputs = tokenizer(
                [card.shortened(label.text) for label in batch], truncation=True, max_length=card.max_tokens,
                padding=True, return_tensors="pt",
            )  # fmt: skip
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                logits = model(**inputs.to(device)).logits
            loss = loss_of(logits.float(), batch, card.domains)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
            progress(len(losses), steps, losses[-1])
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return losses


def _rate(step: int, steps: int) -> float:
    warm = max(1, round(WARM_UP * steps))
    return min((step + 1) / warm, max(0.0, (steps - step) / max(1, steps - warm)))


def loss_of(logits_BL: torch.Tensor, batch: Sequence[DocumentLabel], domains: Sequence[str]) -> torch.Tensor:
    """Class and qualities, each over the B texts whose label is known; L outputs, classes first."""
    classes = [domains.index(label.domain) if label.domain else -100 for label in batch]
    total = logits_BL.sum() * 0.0  # a batch without any label has a gradient, too: none
    if any(place >= 0 for place in classes):
        targets = torch.tensor(classes, device=logits_BL.device)
        total = total + functional.cross_entropy(logits_BL[:, : len(domains)], targets)
    known = [
        (row, len(domains) + place, label.qualities[name])
        for row, label in enumerate(batch)
        for place, name in enumerate(QUALITIES)
        if name in label.qualities
    ]
    if known:
        rows, columns, values = zip(*known, strict=True)
        targets = torch.tensor(values, device=logits_BL.device)
        total = total + functional.binary_cross_entropy_with_logits(logits_BL[list(rows), list(columns)], targets)
    return total


def _load(config: Config, card: Card) -> tuple[Any, Any]:
    path = config.base.path
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        names = card.names
        values = AutoConfig.from_pretrained(
            path, local_files_only=True, num_labels=len(names), id2label=names,
            label2id={name: place for place, name in names.items()}, problem_type="multi_label_classification",
        )  # fmt: skip
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        values.pad_token_id = tokenizer.pad_token_id  # a decoder is read at its last token that is no padding
        model = AutoModelForSequenceClassification.from_pretrained(
            path, config=values, dtype=torch.float32, local_files_only=True
        )
    except (OSError, ValueError) as error:
        raise ConfigError(f"tagger.base.path: {path} cannot be fine-tuned as a classifier: {error}") from None
    if tokenizer.pad_token_id is None:
        raise ConfigError(f"tagger.base.path: the tokenizer of {path} has neither a padding nor an end token")
    return model, tokenizer
