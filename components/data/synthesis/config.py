"""Config of the synthesis stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from components.config import StageConfig
from components.data.endpoint_config import Endpoint
from components.reward.config import RewardConfig


class Analysis(StageConfig):
    """Route 1: documents of high reasoning depth, analysed."""

    documents: int = Field(default=0, ge=0, description="analyses that become synthetic documents")
    conversations: int = Field(default=0, ge=0, description="analyses that become conversations, of other documents")
    score: str = Field(default="reasoning_depth", description="which tagger score ranks the documents")
    minimum: float = Field(default=0.0, ge=0, le=1, description="least score of a document that is used")
    characters: int = Field(default=4000, ge=100, description="longest excerpt shown to the teacher")


class Problems(StageConfig):
    """Route 2: problems, solved with a visible thought and verified."""

    documents: int = Field(default=0, ge=0, description="problems whose solutions become synthetic documents")
    conversations: int = Field(default=0, ge=0, description="further problems whose solutions become conversations")
    attempts: int = Field(default=1, ge=1, le=64, description="solutions asked for per problem")
    keep: int = Field(default=8, ge=1, description="most right solutions kept per problem [MiMo report, 3.1]")


class General(StageConfig):
    """Route 3: general queries."""

    documents: int = Field(default=0, ge=0, description="answers that become synthetic documents")
    conversations: int = Field(default=0, ge=0, description="answers that become conversations")
    queries: str = Field(default="", description="a text file, one query a line; empty: summaries of the documents")
    characters: int = Field(default=1000, ge=100, description="longest excerpt in a query made from a document")


class Config(StageConfig):
    """Three routes from one teacher; everything that a rule can check is checked."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="order of the output, and sampling seeds of the endpoint")
    teacher: Literal["solver", "endpoint"] = Field(
        default="solver", description="solver: programs of this project; endpoint: a model behind an OpenAI-style API"
    )
    endpoint: Endpoint | None = Field(default=None, description="where the teacher is, for teacher = endpoint")
    analysis: Analysis = Field(default=Analysis(), description="route 1")
    problems: Problems = Field(default=Problems(), description="route 2")
    general: General = Field(default=General(), description="route 3")
    near_duplicate: float = Field(
        default=0.8, gt=0, le=1, description="Jaccard similarity of word 5-grams from which two answers are the same"
    )
    mixing: float = Field(
        default=0.05, ge=0, le=1, description="largest share of letters outside the answer's main script"
    )
    reward: RewardConfig = Field(default=RewardConfig(), description="how solutions are verified")
    shard_requests: int = Field(default=2000, ge=1, description="requests a shard; a finished shard is never redone")

    @model_validator(mode="after")
    def _teacher_is_reachable(self) -> Config:
        if self.teacher == "endpoint" and self.endpoint is None:
            raise ValueError("teacher = 'endpoint' needs a table `endpoint` with url and model")
        if self.teacher == "solver" and self.endpoint is not None:
            raise ValueError("`endpoint` is set but teacher = 'solver' does not use it")
        return self
