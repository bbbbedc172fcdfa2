"""publishing as a pipeline: four Hugging Face directories with model cards."""

from components.publishing.component import publishing
from pipelines.stages import StagePipeline

pipeline = StagePipeline(publishing)
