"""decontamination as a pipeline: n-gram overlap with evaluation out."""

from components.data.decontamination.component import decontamination
from pipelines.stages import StagePipeline

pipeline = StagePipeline(decontamination)
