"""evaluation as a pipeline: avg@k and pass@k with bootstrap intervals."""

from components.evaluation.component import evaluation
from pipelines.stages import StagePipeline

pipeline = StagePipeline(evaluation)
