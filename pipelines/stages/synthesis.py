"""synthesis as a pipeline: verified reasoning data by the three routes."""

from components.data.synthesis.component import synthesis
from pipelines.stages import StagePipeline

pipeline = StagePipeline(synthesis)
