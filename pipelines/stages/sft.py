"""sft as a pipeline: supervised fine-tuning on conversations."""

from components.training.sft.component import sft
from pipelines.stages import StagePipeline

pipeline = StagePipeline(sft)
