"""deduplication as a pipeline: global URL and MinHash deduplication."""

from components.data.deduplication.component import deduplication
from pipelines.stages import StagePipeline

pipeline = StagePipeline(deduplication)
