"""Config of the deduplication stage."""

from __future__ import annotations

from pydantic import Field

from components.config import StageConfig, execution


class Config(StageConfig):
    """MinHash-LSH over word n-grams; the defaults are FineWeb's: a pair of Jaccard similarity .80 is found with .92."""

    seed: int = Field(default=0, ge=0, lt=2**31, description="choice of hash functions")
    ngram: int = Field(default=5, ge=1, le=64, description="words a shingle")
    bands: int = Field(default=14, ge=1, le=256, description="bands; two texts that agree in all of one are duplicates")
    hashes: int = Field(default=8, ge=1, le=64, description="hash functions a band")
    urls: bool = Field(default=True, description="also drop documents whose normalised URLs are equal")
    workers: int = execution(2, "processes", ge=1)
    memory_mb: int = execution(1024, "memory for rows in each process; what needs more goes through files", ge=1)
    ray: str = execution("", "address of a Ray cluster that does the work instead; `auto` on one of its machines")
