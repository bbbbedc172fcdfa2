"""Config of the mixing stage."""

from __future__ import annotations

from pydantic import Field, field_validator

from components.config import StageConfig

SYNTHETIC = "synthetic"   # the source of all synthetic documents
WEB = "web"               # web documents of every class that a stage's weights do not name


class TokenizerConfig(StageConfig):
    """A new byte-level BPE, or an existing tokenizer."""

    path: str = Field(default="", description="directory with tokenizer.json, or a hub name; empty: train a new one")
    vocab_size: int = Field(default=512, ge=300, description="tokens of a new tokenizer, special ones included")
    train_characters: int = Field(
        default=50_000_000, ge=1, description="most characters of web and of synthetic text to train on"
    )
    pad_to_multiple: int = Field(default=128, ge=1, description="embedding rows are the vocabulary padded to this")


class Mixture(StageConfig):
    """One pretraining stage: how many tokens, in what rows, from where."""

    tokens: int = Field(ge=1, description="tokens, padding included; rounded down to whole rows")
    sequence_length: int = Field(ge=16, description="tokens a row")
    weights: dict[str, float] = Field(
        description="share of the stage's tokens by source: a document class, `synthetic`, or `web` (all other classes)"
    )

    maximum_epochs: float = Field(
        default=8.0, gt=0,
        description="most passes over a web source; what it lacks comes from the other web sources. Synthetic "
        "documents may repeat freely [MiMo report, 2.1]",
    )  # fmt: skip

    @field_validator("weights")
    @classmethod
    def _shares_sum_to_one(cls, weights: dict[str, float]) -> dict[str, float]:
        if any(share <= 0 for share in weights.values()) or abs(sum(weights.values()) - 1) > 1e-6:
            raise ValueError(f"shares must be above 0 and sum to 1, these sum to {sum(weights.values()):g}")
        return weights

    @property
    def rows(self) -> int:
        return max(1, self.tokens // self.sequence_length)


class Config(StageConfig):
    """Tokenizer and three mixtures [MiMo report, section 2.1 and 2.3]."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="order of documents within sources, and of rows")
    tokenizer: TokenizerConfig = Field(default=TokenizerConfig(), description="how text becomes tokens")
    stage_1: Mixture = Field(
        default=Mixture(tokens=600_000, sequence_length=256, weights={WEB: 1.0}),
        description="all web documents, by their sampling weights",
    )
    stage_2: Mixture = Field(
        default=Mixture(tokens=400_000, sequence_length=256, weights={"math": 0.35, "code": 0.35, WEB: 0.3}),
        description="math and code raised to about 70 %",
    )
    stage_3: Mixture = Field(
        default=Mixture(
            tokens=800_000,
            sequence_length=512,
            weights={"math": 0.315, "code": 0.315, WEB: 0.27, SYNTHETIC: 0.1},
        ),
        description="as stage 2, with about 10 % synthetic documents and longer rows",
    )
    token_budget: int | None = Field(
        default=None, ge=48, description="tokens of all three stages; they then share it as they share their `tokens`. "
        "Schedules and the batch ramp are stretched over the stages, so this scales the whole of pretraining",
    )  # fmt: skip
    held_out_share: float = Field(
        default=0.02, gt=0, lt=1, description="share of documents, by hash of their id, that no stage sees"
    )
    held_out_tokens: int = Field(default=65_536, ge=1, description="most tokens of them kept to measure losses on")
    shard_rows: int = Field(default=4096, ge=1, description="rows a shard; a finished shard is never redone")

    def mixture(self, name: str) -> Mixture:
        """`stage_1`, `stage_2` or `stage_3`, scaled to the token budget."""
        found: Mixture = getattr(self, name)
        if self.token_budget is None:
            return found
        share = found.tokens / sum(stage.tokens for stage in (self.stage_1, self.stage_2, self.stage_3))
        return found.model_copy(update={"tokens": max(1, round(self.token_budget * share))})
