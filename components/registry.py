"""Every stage by name: what it takes, what it gives, where its code is. Imports nothing heavy.

The pipeline, the command line, the documentation and the tests all read this table. Two stages are no part of the
recipe: labelling and tagger are run once, and what they make is named in the config of filtering.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

from components.config import StageConfig


@dataclass(frozen=True)
class Stage:
    """One stage. `inputs` and `outputs` map a name to an artifact kind; a kind ending in `?` is optional.

    A `shared` stage's jobs can be done by many processes (`runner.execute_part`). A `distributed` stage is run by one
    process a GPU, all of them together (`launch.launch`).
    """

    name: str
    package: str
    image: str
    summary: str
    outputs: dict[str, str]
    inputs: dict[str, str] = field(default_factory=dict)
    shared: bool = False
    distributed: bool = False

    @property
    def config_type(self) -> type[StageConfig]:
        """The class `Config` of `<package>/config.py`."""
        return importlib.import_module(f"{self.package}.config").Config

    @property
    def run(self) -> Callable[..., None]:
        """The function `run(config, inputs, outputs)` of `<package>/stage.py`."""
        return importlib.import_module(f"{self.package}.stage").run


_STAGES = [
    Stage("ingestion", "components.data.ingestion", "data", "WARC, folders, Parquet, JSONL, datasets -> pages",
          outputs={"pages": "pages"}, shared=True),
    Stage("extraction", "components.data.extraction", "data", "HTML -> Markdown with formulas, code and threads",
          inputs={"pages": "pages"}, outputs={"documents": "documents"}, shared=True),
    Stage("deduplication", "components.data.deduplication", "data", "global URL and MinHash deduplication",
          inputs={"documents": "documents", "index": "deduplication_index?"},
          outputs={"documents": "documents", "index": "deduplication_index"}, shared=True),
    Stage("filtering", "components.data.filtering", "data", "language, domain and quality taggers; sampling",
          inputs={"documents": "documents"}, outputs={"documents": "documents"}, shared=True),
    Stage("labelling", "components.data.labelling", "data", "a teacher rates documents by a rubric, for the taggers",
          inputs={"documents": "documents"}, outputs={"labels": "labels"}),
    Stage("tagger", "components.data.tagger", "train", "a small language model learns from labels to judge documents",
          inputs={"labels": "labels"}, outputs={"tagger": "tagger"}),
    Stage("problems", "components.data.problems", "data", "math and code problems, train and evaluation disjoint",
          outputs={"train": "problems", "evaluation": "problems"}),
    Stage("decontamination", "components.data.decontamination", "data", "n-gram overlap with evaluation out",
          inputs={"documents": "documents", "evaluation": "problems"}, outputs={"documents": "documents"},
          shared=True),
    Stage("synthesis", "components.data.synthesis", "data", "verified reasoning data by the three routes",
          inputs={"documents": "documents", "problems": "problems"},
          outputs={"documents": "documents", "conversations": "conversations"}, shared=True),
    Stage("mixing", "components.data.mixing", "data", "tokenizer and packed token rows for the three stages",
          inputs={"documents": "documents", "synthetic": "documents"},
          outputs={"tokenizer": "tokenizer", "stage_1": "tokens", "stage_2": "tokens", "stage_3": "tokens",
                   "held_out": "tokens"}),
    Stage("pretraining", "components.training.pretraining", "train", "next-token and MTP loss on one mixture stage",
          inputs={"tokens": "tokens", "held_out": "tokens", "tokenizer": "tokenizer?", "model": "checkpoint?"},
          outputs={"model": "checkpoint"}, distributed=True),
    Stage("mtp_tuning", "components.training.mtp_tuning", "train", "two more MTP heads for speculative decoding",
          inputs={"model": "checkpoint", "tokens": "tokens", "held_out": "tokens"}, outputs={"model": "checkpoint"},
          distributed=True),
    Stage("sft", "components.training.sft", "train", "supervised fine-tuning on conversations",
          inputs={"model": "checkpoint", "conversations": "conversations", "evaluation": "problems"},
          outputs={"model": "checkpoint"}, distributed=True),
    Stage("curation", "components.training.curation", "train", "clean, verify and measure the RL problems",
          inputs={"model": "checkpoint", "problems": "problems", "evaluation": "problems"},
          outputs={"problems": "problems"}),
    Stage("rl", "components.training.rl", "train", "modified GRPO on the seamless rollout engine",
          inputs={"model": "checkpoint", "problems": "problems"}, outputs={"model": "checkpoint"}),
    Stage("evaluation", "components.evaluation", "train", "avg@k and pass@k with bootstrap intervals",
          inputs={"model": "checkpoint", "problems": "problems"}, outputs={"results": "evaluation"}),
    Stage("gate", "components.evaluation.gate", "data", "paired comparison with a baseline: promote or not",
          inputs={"base": "evaluation", "sft": "evaluation", "rl_zero": "evaluation", "rl": "evaluation",
                  "baseline": "evaluation?"},
          outputs={"decision": "decision"}),
    Stage("publishing", "components.publishing", "train", "four Hugging Face directories with model cards",
          inputs={"base": "checkpoint", "sft": "checkpoint", "rl_zero": "checkpoint", "rl": "checkpoint",
                  "mtp": "checkpoint?", "base_results": "evaluation", "sft_results": "evaluation",
                  "rl_zero_results": "evaluation", "rl_results": "evaluation", "decision": "decision"},
          outputs={"release": "release"}),
]

STAGES: dict[str, Stage] = {stage.name: stage for stage in _STAGES}
