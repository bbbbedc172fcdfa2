"""The language-model tagger: the tagger stage's model, in this process or behind `vllm serve`.

    vllm serve DIRECTORY --runner pooling --port 8000

One GPU then serves any number of filtering pods, which need no torch.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from components.artifacts import open_artifact
from components.config import ConfigError
from components.data.endpoint import EndpointClient, RefusedError, open_endpoint
from components.data.endpoint_config import Endpoint
from components.data.filtering.config import ModelTagger
from components.data.filtering.masking import Masked
from components.data.filtering.taggers import DocumentTagger
from components.data.quality.classifier import Card, Classifier

CONCURRENCY = 8  # requests of one process at the server at the same time: it batches over all of them
_PROBE = ("We prove the claim by induction.", "Buy now and save 50 percent!", "import os", "He was born in 1743.")


def open_model_tagger(config: ModelTagger) -> DocumentTagger:
    """The tagger that `config` names.

    Raises:
        ArtifactError: `path` holds no whole tagger.
        ConfigError: the server at `url` cannot be used, or serves something else.
    """
    directory = open_artifact(config.path, "tagger").directory
    if config.url:
        return ServedTagger(Card.load(directory), config.url, config.batch)
    from components.training.device import pick_device

    return OwnTagger(Classifier(directory, str(pick_device()), config.batch))


class OwnTagger:
    """The model in this process; a `DocumentTagger`."""

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier

    def judge(self, texts: Sequence[str], masked: Sequence[Masked]) -> list[tuple[str, dict[str, float]]]:
        """See `DocumentTagger.judge`."""
        return self._classifier.card.read(self._classifier.sigmoids(texts))


class ServedTagger:
    """The model behind a server that speaks vLLM's /classify; a `DocumentTagger`."""

    def __init__(self, card: Card, url: str, batch: int) -> None:
        self._card, self._url, self._batch = card, url, batch
        probe = asyncio.run(self._ask(_PROBE))
        if np.abs(probe.sum(1) - 1).max() < 1e-3:
            raise ConfigError(
                f"filtering.tagger.url: {url} gives shares that sum to 1 instead of one probability an output; serve "
                "the directory that the tagger stage made, with a vLLM that heeds its problem_type"
            )

    def judge(self, texts: Sequence[str], masked: Sequence[Masked]) -> list[tuple[str, dict[str, float]]]:
        """See `DocumentTagger.judge`.

        Raises:
            TeacherError: the server fails; the stage can be resumed.
        """
        return self._card.read(asyncio.run(self._ask(texts)))

    async def _ask(self, texts: Sequence[str]) -> NDArray[np.float64]:
        endpoint = Endpoint(url=self._url, model="tagger", concurrency=CONCURRENCY)
        async with open_endpoint(endpoint) as client:
            parts = [texts[start : start + self._batch] for start in range(0, len(texts), self._batch)]
            return np.concatenate(await asyncio.gather(*(self._part(client, part) for part in parts)))

    async def _part(self, client: EndpointClient, texts: Sequence[str]) -> NDArray[np.float64]:
        body = {
            "input": [self._card.shortened(text) for text in texts],
            "truncate_prompt_tokens": self._card.max_tokens,
            "truncation_side": "right",
        }
        async with client.free:
            try:
                found = await client.post("classify", body, lambda answer: read_probabilities(answer, len(texts)))
            except RefusedError as error:
                raise ConfigError(f"filtering.tagger.url: {self._url} refuses documents: {error}") from None
        if found.shape[1] != self._card.outputs:
            raise ConfigError(
                f"filtering.tagger.url: {self._url} gives {found.shape[1]} values a document, the tagger has "
                f"{self._card.outputs} outputs: another model is served there"
            )
        return found


def read_probabilities(answer: bytes, count: int) -> NDArray[np.float64]:
    """(count, outputs): vLLM's answer to /classify, in the order of what was asked.

    Raises:
        ValueError: it is none, or not about `count` documents.
    """
    rows: list[Any] = [None] * count
    try:
        for item in json.loads(answer)["data"]:
            rows[item["index"]] = [float(value) for value in item["probs"]]
        found = np.array(rows, dtype=np.float64)
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__} {error} in {answer[:300]!r}") from None
    if found.ndim != 2:
        raise ValueError(f"not a row of probabilities for each of {count} documents: {answer[:300]!r}")
    return found
