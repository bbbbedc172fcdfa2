"""The taggers of the stage: language, class, and three quality scores.

- `DocumentTagger`   what gives a class and scores: fastText classifiers trained here, or a fine-tuned language model
- `train_all`        trains what the config has trained here
- `Taggers`          loads all of them and tags documents
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

from components.data.filtering import fasttext_tagger
from components.data.filtering.config import Config, ModelTagger
from components.data.filtering.masking import Masked, language_words, mask, word_tokens
from components.data.filtering.tagger import Tagger, WordPanel
from components.data.quality.labels import read_labels

LANGUAGE = "language.bin"
LANGUAGE_WORDS = 20  # less prose than this says nothing about the language


class DocumentTagger(Protocol):
    """Says of documents what they are about and what they are worth."""

    def judge(self, texts: Sequence[str], masked: Sequence[Masked]) -> list[tuple[str, dict[str, float]]]:
        """The class and the calibrated quality scores, in [0, 1], of each document.

        Args:
            texts: Markdown; at least one.
            masked: the same, `mask`ed.
        """


@dataclass(frozen=True)
class Tags:
    """What the taggers say of one document. `language` is empty if there is too little prose to tell."""

    masked: Masked
    language: str
    language_confidence: float
    domain: str
    scores: dict[str, float]


def train_all(config: Config, directory: Path) -> dict[str, dict[str, float]]:
    """Train every tagger that `directory` does not hold yet.

    Returns: by tagger, what was measured; nothing of a language model, which was measured where it was tuned.

    Raises:
        ConfigError: a label file that cannot be used.
    """
    directory.mkdir(exist_ok=True)
    language = directory / LANGUAGE
    if not language.exists():
        samples = read_labels(
            Path(config.labels.languages.path or fasttext_tagger.SEEDS / "languages.tsv"), ("language", "text")
        )
        pairs = [
            (sample.labels["language"], [t for word in language_words(mask(sample.text)) for t in word_tokens(word)])
            for sample in samples
        ]
        Tagger.train(pairs, config.language_training, config.seed, directory).save(language)
    return {} if config.tagger.kind == "language_model" else fasttext_tagger.train(config, directory)


class Taggers:
    """The language tagger of a directory, and the document tagger of a config."""

    def __init__(self, directory: Path, tagger: ModelTagger) -> None:
        self._language = WordPanel(Tagger.load(directory / LANGUAGE), word_tokens)
        self._documents = _open(directory, tagger)

    def tag(self, texts: Sequence[str]) -> list[Tags]:
        """Tags of each text."""
        if not texts:
            return []
        masked = [mask(text) for text in texts]
        prose = [language_words(one) for one in masked]
        shares = self._language.judge(prose)
        languages = fasttext_tagger.top(self._language.labels, shares)
        confidences = shares.max(axis=1).tolist()
        tags = []
        for number, (domain, scores) in enumerate(self._documents.judge(texts, masked)):
            one = masked[number]
            told = len(prose[number]) >= LANGUAGE_WORDS
            language, confidence = (languages[number], confidences[number]) if told else ("", 0.0)
            content = {"math_share": min(1.0, one.math), "code_share": min(1.0, one.code)}
            tags.append(Tags(one, language, confidence, domain, scores | content))
        return tags


def _open(directory: Path, tagger: ModelTagger) -> DocumentTagger:
    if tagger.kind == "fasttext":
        return fasttext_tagger.FastTextTagger(directory)
    from components.data.filtering.model_tagger import open_model_tagger  # needs torch, or a server and httpx

    return open_model_tagger(tagger)


@lru_cache(maxsize=1)
def load_taggers(directory: Path, tagger: ModelTagger) -> Taggers:
    """The taggers of `directory`, loaded once in a process."""
    return Taggers(directory, tagger)
