"""filtering as a pipeline: language, domain and quality taggers; sampling."""

from components.data.filtering.component import filtering
from pipelines.stages import StagePipeline

pipeline = StagePipeline(filtering)
