"""mtp_tuning as a pipeline: two more MTP heads for speculative decoding."""

from components.training.mtp_tuning.component import mtp_tuning
from pipelines.stages import StagePipeline

pipeline = StagePipeline(mtp_tuning)
