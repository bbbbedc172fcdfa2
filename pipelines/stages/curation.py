"""curation as a pipeline: clean, verify and measure the RL problems."""

from components.training.curation.component import curation
from pipelines.stages import StagePipeline

pipeline = StagePipeline(curation)
