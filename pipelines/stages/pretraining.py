"""pretraining as a pipeline: next-token and MTP loss on one mixture stage."""

from components.training.pretraining.component import pretraining
from pipelines.stages import StagePipeline

pipeline = StagePipeline(pretraining)
