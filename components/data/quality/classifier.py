"""A small language model as a tagger: transformers' sequence classification, one logit a class and one a quality.

It lies in a Hugging Face directory with `tagger.json` beside the weights, which says what the logits mean, how much of
a text it reads and how its scores are calibrated. `problem_type` is `multi_label_classification`, so a server (vLLM's
/classify) gives the sigmoid of every logit: a quality's raw score as it is, and the order of the classes.

- `Card`         what `tagger.json` says
- `Classifier`   the model in this process; needs torch and transformers
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.artifacts import ArtifactError, write_json
from components.data.quality.calibration import Calibration
from components.data.quality.taxonomy import QUALITIES

CARD = "tagger.json"
_CHARACTERS_A_TOKEN = 8  # more than this a token is hardly ever worth


@dataclass(frozen=True)
class Card:
    """What a tagger's outputs mean.

    Attributes:
        domains: classes, in the order of the first outputs; the qualities follow, in the order of `QUALITIES`.
        max_tokens: of the beginning of a text that it reads.
        calibrations: by quality.
        measured: by `domain` and quality, on texts it had not learned from.
    """

    domains: tuple[str, ...]
    max_tokens: int
    calibrations: Mapping[str, Calibration] = field(default_factory=dict)
    measured: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def outputs(self) -> int:
        return len(self.domains) + len(QUALITIES)

    @property
    def names(self) -> dict[int, str]:
        """transformers' `id2label`."""
        return dict(enumerate([*(f"domain:{name}" for name in self.domains), *QUALITIES]))

    def shortened(self, text: str) -> str:
        """No more of a text than can be read, so that no tokenizer is fed a megabyte; never empty."""
        return text[: self.max_tokens * _CHARACTERS_A_TOKEN] or " "

    def read(self, sigmoids_NL: NDArray[np.floating[Any]]) -> list[tuple[str, dict[str, float]]]:
        """The class and the calibrated scores of each of N documents.

        Args:
            sigmoids_NL: of the L outputs for each document.
        """
        sigmoids = np.asarray(sigmoids_NL, dtype=np.float64)
        if sigmoids.ndim != 2 or sigmoids.shape[1] != self.outputs or not np.isfinite(sigmoids).all():
            raise ValueError(f"the tagger gave {sigmoids.shape} values, {self.outputs} numbers a document are needed")
        classes = sigmoids[:, : len(self.domains)].argmax(1)
        scores = {
            name: self.calibrations.get(name, Calibration())(sigmoids[:, len(self.domains) + place])
            for place, name in enumerate(QUALITIES)
        }
        return [
            (self.domains[best], {name: float(scores[name][row]) for name in QUALITIES})
            for row, best in enumerate(classes)
        ]

    def write(self, directory: Path) -> None:
        calibrations = {name: one.as_dict() for name, one in self.calibrations.items()}
        values = {"domains": self.domains, "max_tokens": self.max_tokens, "calibrations": calibrations}
        write_json(directory / CARD, values | {"measured": self.measured})

    @classmethod
    def load(cls, directory: Path) -> Card:
        """Raises:
        ArtifactError: there is none, or it says something else.
        """
        path = directory / CARD
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            points = {name: Calibration.from_dict(one) for name, one in values["calibrations"].items()}
            return cls(tuple(values["domains"]), int(values["max_tokens"]), points, values["measured"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtifactError(f"{path}: not the card of a tagger that the tagger stage made: {error!r}") from None


class Classifier:
    """The model of a directory, on `device`."""

    def __init__(self, directory: Path, device: str, batch: int) -> None:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        self.card, self._device, self._batch = Card.load(directory), device, batch
        self._tokenizer = AutoTokenizer.from_pretrained(directory)
        self._model = AutoModelForSequenceClassification.from_pretrained(directory).to(device).eval()
        if device.startswith("cuda"):
            self._model = self._model.bfloat16()

    def sigmoids(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(N, L): sigmoids of all outputs, batched by length so that little is padded."""
        import torch

        shortened = [self.card.shortened(text) for text in texts]
        found = np.zeros((len(texts), self.card.outputs), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda place: len(shortened[place]))
        for start in range(0, len(order), self._batch):
            places = order[start : start + self._batch]
            inputs = self._tokenizer(
                [shortened[place] for place in places], truncation=True, max_length=self.card.max_tokens,
                padding=True, return_tensors="pt",
            )  # fmt: skip
            with torch.inference_mode():
                logits = self._model(**inputs.to(self._device)).logits
            found[places] = logits.float().sigmoid().cpu().numpy()
        return found
