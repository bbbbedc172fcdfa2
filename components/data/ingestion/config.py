"""Config of the ingestion stage."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from components.config import StageConfig, execution

SAMPLE = "sample:"  # path prefix of the pages shipped with this package


class Columns(StageConfig):
    """Which columns of a Parquet file, JSON line or dataset hold what."""

    html: str = Field(default="html", min_length=1, description="column of the page, as text or bytes")
    url: str = Field(default="url", description="column of the URL; empty: the file's name and the row's number are it")
    content_type: str = Field(default="", description="column of the HTTP Content-Type; empty: none")


class Source(StageConfig):
    """One input."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$", description="what its pages are called by in all later stages")
    format: Literal["warc", "html_folder", "parquet", "jsonl", "huggingface"] = Field(description="how to read it")
    path: str = Field(
        min_length=1,
        description="a file, folder or glob, local or at any fsspec URL; for huggingface a local folder or a hub name; "
        "sample:pages.warc.gz for the shipped pages",
    )
    columns: Columns = Field(default=Columns(), description="for parquet, jsonl and huggingface: where things are")
    split: str = Field(default="train", min_length=1, description="for huggingface: split to read")
    url_prefix: str = Field(default="", description="for html_folder: a page's URL is this and its path in the folder")
    limit: int | None = Field(default=None, ge=1, description="most pages taken, from the first file on; none: all")


class Config(StageConfig):
    """Where pages come from, and which are taken."""

    sources: tuple[Source, ...] = Field(
        default=(Source(name="sample", format="warc", path="sample:pages.warc.gz"),),
        min_length=1,
        description="inputs; their pages follow each other in this order",
    )
    pages_per_shard: int = Field(default=1000, ge=1, le=100_000, description="most pages in one output shard")
    shard_bytes: int = Field(default=256_000_000, ge=1, description="HTML bytes from which a shard is full")
    page_bytes: int = Field(default=10_000_000, ge=1, description="largest page, in bytes; larger ones are set aside")
    content_types: tuple[str, ...] = Field(
        default=("text/html", "application/xhtml+xml"),
        min_length=1,
        description="HTTP content types taken from WARC responses, without parameters; the text of WET files always is",
    )
    robots: tuple[str, ...] = Field(
        default=("noindex", "none", "noai"),
        description="directives in X-Robots-Tag or meta robots that set a WARC response aside; none: all taken",
    )
    workers: int = execution(1, "processes; each reads one input file at a time", ge=1, le=512)

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        names = [source.name for source in sources]
        if len(set(names)) < len(names):
            raise ValueError(f"two sources have the same name: {', '.join(names)}")
        return sources
