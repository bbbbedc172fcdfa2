"""What a release consists of: its checkpoints, what each one is, and the check that the inputs belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from components.artifacts import Artifact, ArtifactError

RELEASE = "release.json"
CARD = "README.md"


@dataclass(frozen=True)
class Variant:
    """One published checkpoint. `lineage`: the inputs it was trained through, itself last; `parent` made it."""

    directory: str
    checkpoint: str
    what: str
    parent: str = ""
    lineage: tuple[str, ...] = ()

    @property
    def results(self) -> str:
        """The input with its evaluation; the checkpoint with extra heads has none, its main model is Base's."""
        return "" if self.checkpoint == "mtp" else f"{self.checkpoint}_results"


VARIANTS = (
    Variant("Base", "base", "the pretrained model: three mixture stages with next-token and multi-token-prediction "
            "loss", lineage=("base",)),
    Variant("SFT", "sft", "Base after supervised fine-tuning on verified conversations", "base", ("base", "sft")),
    Variant("RL-Zero", "rl_zero", "Base after reinforcement learning with rule-based math and code rewards, without "
            "fine-tuning in between", "base", ("base", "rl_zero")),
    Variant("RL", "rl", "SFT after reinforcement learning with rule-based math and code rewards", "sft",
            ("base", "sft", "rl")),
    Variant("MTPs", "mtp", "Base with further multi-token-prediction heads, tuned on a frozen main model for "
            "speculative decoding", "base", ("base", "mtp")),
)  # fmt: skip


def variants(inputs: Mapping[str, Artifact]) -> list[Variant]:
    """The checkpoints that were given."""
    return [variant for variant in VARIANTS if variant.checkpoint in inputs]


def check_lineage(inputs: Mapping[str, Artifact]) -> None:
    """A card must not quote results of another checkpoint, or a decision about other results.

    Raises:
        ArtifactError: an input was not made from the one it is published with; names both.
    """
    wanted = [(variant.checkpoint, "model", variant.parent) for variant in variants(inputs) if variant.parent]
    wanted += [(variant.results, "model", variant.checkpoint) for variant in variants(inputs) if variant.results]
    wanted += [("decision", variant.checkpoint, variant.results) for variant in variants(inputs) if variant.results]
    for child, key, parent in wanted:
        if inputs[child].manifest.parents.get(key) != inputs[parent].fingerprint:
            raise ArtifactError(
                f"{inputs[child].directory}: input {child!r} was not made from input {parent!r} "
                f"({inputs[parent].directory}); publish artifacts of one run"
            )
