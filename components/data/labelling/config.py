"""Config of the labelling stage."""

from __future__ import annotations

from pydantic import Field

from components.config import StageConfig
from components.data.endpoint_config import Endpoint


class Reference(StageConfig):
    """Labels to compare the teacher with."""

    path: str = Field(default="", description="TSV or JSONL, as labels.jsonl, labelled by people; empty: none")


class Config(StageConfig):
    """A teacher rates a sample of documents by a rubric."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="which documents, and sampling seeds of the endpoint")
    endpoint: Endpoint = Field(description="the teacher")
    documents: int = Field(default=20_000, ge=1, description="documents to label, drawn evenly from all")
    characters: int = Field(default=6000, ge=100, description="of the beginning of a document that the teacher reads")
    answers: int = Field(default=2, ge=1, le=16, description="ratings of each document; two show how steady they are")
    reference: Reference = Field(default=Reference(), description="what people said of some documents")
