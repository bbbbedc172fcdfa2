"""Config of the filtering stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from components.config import StageConfig, execution

Score = Literal["knowledge_density", "reasoning_depth", "educational_value", "code_share", "math_share"]


class LabelFile(StageConfig):
    """A file of labelled texts."""

    path: str = Field(
        default="", description="TSV, or JSONL as labelling writes it, with the columns of the seed file; empty: that"
    )


class Labels(StageConfig):
    """What the taggers learn from."""

    documents: LabelFile = Field(default=LabelFile(), description="labelled documents, as in seeds/documents.tsv")
    languages: LabelFile = Field(default=LabelFile(), description="language samples, as in seeds/languages.tsv")


class Training(StageConfig):
    """fastText's supervised training."""

    epochs: int = Field(default=100, ge=1, description="passes over the labelled texts")
    learning_rate: float = Field(default=0.4, gt=0, description="first learning rate; falls to 0")
    dimension: int = Field(default=24, ge=2, description="size of word vectors")


class ModelTagger(StageConfig):
    """What gives documents their class and their quality scores."""

    kind: Literal["fasttext", "language_model"] = Field(
        default="fasttext", description="fasttext: trained in the stage; language_model: tuned by the tagger stage"
    )
    path: str = Field(default="", description="language_model: the directory that the tagger stage made")
    url: str = execution(
        "", "language_model: http://host:port of `vllm serve` of that directory; empty: in this process, with torch",
        pattern=r"^(https?://[^\s/?#]+(/[^\s?#]*)?)?$",
    )
    batch: int = execution(32, "language_model: documents at a time", ge=1)

    @model_validator(mode="after")
    def _has_a_model(self) -> ModelTagger:
        if (self.kind == "language_model") != bool(self.path):
            raise ValueError("`path` is where the model lies; kind = 'language_model' needs it, 'fasttext' has none")
        return self


class Rules(StageConfig):
    """Heuristics on prose: they see no formulas, code, tables and headings, and pages of little else pass."""

    minimum_words: int = Field(
        default=30, ge=0, description="least words; 8 characters are one on pages that protected_share names"
    )
    prose_words: int = Field(default=50, ge=1, description="words of prose from which the rules below apply")
    protected_share: float = Field(
        default=0.1, ge=0, le=1, description="share of formulas or of code from which only minimum_words applies"
    )
    minimum_letters: float = Field(default=0.6, ge=0, le=1, description="least share of words with a letter")
    minimum_sentences: float = Field(
        default=0.12, ge=0, le=1, description="least share of prose words in lines that hold the end of a sentence"
    )
    maximum_repeated: float = Field(default=0.3, ge=0, le=1, description="largest share of prose in repeated lines")


class ScoreWeight(StageConfig):
    """A factor on the sampling weight of documents on one side of a score."""

    score: Score = Field(description="which score")
    below: float | None = Field(default=None, ge=0, le=1, description="applies to scores below this")
    above: float | None = Field(default=None, ge=0, le=1, description="applies to scores above this")
    weight: float = Field(ge=0, le=100, description="factor")

    def applies(self, value: float) -> bool:
        return (self.below is None or value < self.below) and (self.above is None or value > self.above)


class Config(StageConfig):
    """Taggers, rules, and what is made of them."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="of the taggers' training")
    tagger: ModelTagger = Field(default=ModelTagger(), description="what judges documents")
    labels: Labels = Field(default=Labels(), description="what fastText learns from")
    training: Training = Field(default=Training(), description="how the domain and quality taggers learn")
    language_training: Training = Field(
        default=Training(epochs=200, learning_rate=1.0), description="how the language tagger learns"
    )
    languages: tuple[str, ...] = Field(default=("en",), description="languages kept; empty: all")
    language_confidence: float = Field(
        default=0.8, ge=0, le=1, description="a document is dropped when another language is at least so likely"
    )
    rules: Rules = Field(default=Rules(), description="heuristics")
    minimum_scores: dict[Score, float] = Field(
        default_factory=dict, description="documents below one of these are dropped, rules.protected_share apart"
    )
    domain_weights: dict[str, float] = Field(
        default={"math": 1.5, "code": 1.5, "science": 1.5, "news": 0.5, "ads": 0.2, "jobs": 0.2, "shallow": 0.2},
        description="sampling weight of a class, 1 where not named; 0 drops it",
    )
    score_weights: tuple[ScoreWeight, ...] = Field(
        default=(
            ScoreWeight(score="knowledge_density", below=0.2, weight=0.5),
            ScoreWeight(score="reasoning_depth", below=0.1, weight=0.7),
            ScoreWeight(score="reasoning_depth", above=0.8, weight=1.5),
        ),
        description="factors on the sampling weight",
    )
    workers: int = execution(2, "processes", ge=1)
