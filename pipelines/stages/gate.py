"""gate as a pipeline: paired comparison with a baseline: promote or not."""

from components.evaluation.gate.component import gate
from pipelines.stages import StagePipeline

pipeline = StagePipeline(gate)
