"""ingestion as a pipeline: WARC, folders, Parquet, JSONL, datasets -> pages."""

from components.data.ingestion.component import ingestion
from pipelines.stages import StagePipeline

pipeline = StagePipeline(ingestion)
