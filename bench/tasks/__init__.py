"""What is asked, and what is it worth? Rows of a data file -> prompts -> answers -> a score."""

from bench.tasks.captions.tokenise import DEFAULT_TOKENISER, TOKENISERS
from bench.tasks.load import load_task
from bench.tasks.matchers import DEFAULT_MATCHER, MATCHERS
from bench.tasks.prompts import DEFAULT_PROMPT
from bench.tasks.rescore import read_predictions, score_file
from bench.tasks.task import Metric, Sample, Score, Task, comparable, standard_error

__all__ = [
    "DEFAULT_MATCHER",
    "DEFAULT_PROMPT",
    "DEFAULT_TOKENISER",
    "MATCHERS",
    "TOKENISERS",
    "Metric",
    "Sample",
    "Score",
    "Task",
    "comparable",
    "load_task",
    "read_predictions",
    "score_file",
    "standard_error",
]
