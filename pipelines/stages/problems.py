"""problems as a pipeline: math and code problems, train and evaluation disjoint."""

from components.data.problems.component import problems
from pipelines.stages import StagePipeline

pipeline = StagePipeline(problems)
