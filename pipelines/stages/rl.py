"""rl as a pipeline: modified GRPO on the seamless rollout engine."""

from components.training.rl.component import rl
from pipelines.stages import StagePipeline

pipeline = StagePipeline(rl)
