"""Tasks: rows of a data file -> prompts -> answers -> a score."""

from bench.tasks.load import load_task
from bench.tasks.matchers import DEFAULT_MATCHER, MATCHERS
from bench.tasks.rescore import read_predictions, score_file
from bench.tasks.task import Metric, Sample, Score, Task, standard_error

__all__ = [
    "DEFAULT_MATCHER",
    "MATCHERS",
    "Metric",
    "Sample",
    "Score",
    "Task",
    "load_task",
    "read_predictions",
    "score_file",
    "standard_error",
]
