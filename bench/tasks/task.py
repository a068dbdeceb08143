"""What an inference loop and a gate need to know of a task: its samples and its score."""

import hashlib
import math
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from PIL import Image

from bench.base.errors import UserError
from bench.tasks.tables.table import Table

Kind = Literal["mmbench", "coco"]
NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Sample:
    """One prompt about one image; `image()` decodes it and raises `UserError` if it is damaged."""

    index: int
    prompt: str
    image: Callable[[], Image.Image]


@dataclass(frozen=True)
class Metric:
    """A mean over `count` questions, rows or images; without a standard error where the metric
    is no mean of independent values (METEOR) or there is only one."""

    value: float
    standard_error: float | None
    count: int


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a set of predictions is worth, and by which recipe that was found.

    `metrics` are fractions, CIDEr on its own scale of 10. `values` has one value for each
    question (1.0: right in every rotation, else 0.0) or image (its CIDEr); their mean is the
    headline, and two runs are paired by them. `unreadable` counts answers from which the matcher
    read nothing (captions: empty ones); they are wrong, never guessed.
    """

    task: str
    kind: Kind
    headline: str
    metrics: Mapping[str, Metric]
    categories: Mapping[str, Mapping[str, Metric]]
    values: Mapping[int, float]
    samples: int
    unreadable: int
    recipe: Mapping[str, str]

    @property
    def value(self) -> float:
        return self.metrics[self.headline].value

    @property
    def standard_error(self) -> float | None:
        return self.metrics[self.headline].standard_error

    @property
    def hits(self) -> dict[int, bool]:
        """For each question, whether it was answered rightly in every rotation.

        Raises:
            ValueError: captions have no right or wrong.
        """
        if self.kind != "mmbench":
            raise ValueError(f"{self.task}: captions have values, not hits")
        return {question: value == 1.0 for question, value in self.values.items()}

    def to_json(self) -> dict[str, object]:
        def row(metric: Metric) -> dict[str, object]:
            return {
                "value": metric.value,
                "standard_error": metric.standard_error,
                "count": metric.count,
            }

        return {
            "task": self.task,
            "kind": self.kind,
            "headline": self.headline,
            "value": self.value,
            "standard_error": self.standard_error,
            "metrics": {name: row(metric) for name, metric in self.metrics.items()},
            "categories": {
                level: {name: row(metric) for name, metric in table.items()}
                for level, table in self.categories.items()
            },
            "samples": self.samples,
            "unreadable": self.unreadable,
            "recipe": dict(self.recipe),
            "values": {str(key): value for key, value in self.values.items()},
        }


class Task(Protocol):
    """A data set with its prompt and its way of scoring."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def recipe(self) -> Mapping[str, str]:
        """Prompt, matcher or tokeniser: two scores compare only if these agree."""
        ...

    @property
    def indices(self) -> Collection[int]:
        """The rows to predict, in file order."""
        ...

    @property
    def table(self) -> Table:
        """The rows, without their images."""
        ...

    @property
    def samples(self) -> Sequence[Sample]:
        """One for each of `indices`; raises `UserError` if the data has no image column."""
        ...

    @property
    def data_hash(self) -> str:
        """sha256 of the selected rows' indices and cells, images included."""
        ...

    @property
    def prompt_hash(self) -> str:
        """sha256 of every sample's index and prompt."""
        ...

    def group_key(self, index: int) -> int:
        """The question (MMBench) or image (COCO) that row `index` belongs to."""
        ...

    def score(self, predictions: Mapping[int, str]) -> Score:
        """Raises `UserError` unless exactly this task's indices are predicted."""
        ...

    def write_official(
        self, folder: Path, stem: str, predictions: Mapping[int, str], score: Score
    ) -> Sequence[Path]:
        """Writes the files that VLMEvalKit would have written; returns their paths."""
        ...


def comparable(a: Score, b: Score) -> None:
    """Raises `UserError` unless the two scores were found by the same recipe."""
    if a.kind != b.kind or a.recipe != b.recipe:
        first, second = (
            f"{score.task} ({', '.join(f'{k} {v}' for k, v in score.recipe.items())})"
            for score in (a, b)
        )
        raise UserError(
            f"{first} does not compare with {second}; score both with the same prompt, matcher and"
            " tokeniser"
        )


def standard_error(
    values: Sequence[float], clusters: Sequence[Hashable] | None = None
) -> float | None:
    """Standard error of the mean of `values`, where values of one cluster are not independent.

    With each value its own cluster (the default) this is the sample deviation over root n. See
    Miller 2024, https://arxiv.org/abs/2411.00640, equation 4; here with the small-sample factor
    g / (g - 1) for g clusters. None for fewer than two clusters.
    """
    mean = math.fsum(values) / len(values)
    sums: dict[Hashable, float] = {}
    for cluster, value in zip(clusters or range(len(values)), values, strict=True):
        sums[cluster] = sums.get(cluster, 0.0) + (value - mean)
    groups = len(sums)
    if groups < 2:
        return None
    spread = math.fsum(total * total for total in sums.values())
    return math.sqrt(spread * groups / (groups - 1)) / len(values)


def mean_metric(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Metric:
    return Metric(sum(values) / len(values), standard_error(values, clusters), len(values))


def prompt_sha256(samples: Iterable[Sample]) -> str:
    total = hashlib.sha256()
    for sample in samples:
        total.update(f"{sample.index}\0{sample.prompt}\0".encode())
    return total.hexdigest()


def check_predictions(source: str, wanted: Collection[int], predicted: Collection[int]) -> None:
    """Raises `UserError` unless exactly the wanted indices are predicted."""
    missing = [index for index in wanted if index not in predicted]
    if missing:
        raise UserError(
            f"{source}: {len(missing)} of {len(wanted)} rows have no prediction, the first is"
            f" index {missing[0]}; finish the run before scoring it"
        )
    unknown = sorted(set(predicted) - set(wanted))
    if unknown:
        raise UserError(
            f"{source}: {len(unknown)} predictions are for rows that the data doesn't have, the"
            f" first is index {unknown[0]}; they belong to other data"
        )
