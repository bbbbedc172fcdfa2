"""extraction as a pipeline: HTML -> Markdown with formulas, code and threads."""

from components.data.extraction.component import extraction
from pipelines.stages import StagePipeline

pipeline = StagePipeline(extraction)
