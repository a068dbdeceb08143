"""What tasks over the rows of one table have in common."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property

from bench.tasks.tables.images import image_loader
from bench.tasks.tables.table import Table
from bench.tasks.task import Sample, prompt_sha256


class Rows(ABC):
    """The part of a `Task` that reads its rows.

    Args:
        table: an `image` column only if `samples` are wanted.
        placeholder: what stands for the image in a prompt.
    """

    def __init__(self, table: Table, placeholder: str) -> None:
        self._table, self._placeholder = table, placeholder

    @abstractmethod
    def _prompts(self) -> Iterable[tuple[int, str]]:
        """Each row's index and what is asked of it."""

    @property
    def indices(self) -> Collection[int]:
        return self._table.rows.keys()

    @property
    def table(self) -> Table:
        return self._table.without("image")

    @cached_property
    def samples(self) -> Sequence[Sample]:
        self._table.require("image")
        samples = []
        for index, text in self._prompts():
            if text.count(self._placeholder) != 1:
                raise self._table.error(
                    f"its text contains {self._placeholder}, which stands for the one image", index
                )
            samples.append(Sample(index, text, image_loader(self._table, index)))
        return samples

    @cached_property
    def data_hash(self) -> str:
        return self._table.sha256()

    @cached_property
    def prompt_hash(self) -> str:
        return prompt_sha256(self.samples)
