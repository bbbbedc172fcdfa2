"""mixing as a pipeline: tokenizer and packed token rows for the three stages."""

from components.data.mixing.component import mixing
from pipelines.stages import StagePipeline

pipeline = StagePipeline(mixing)
