"""What an example is, and the tensors it gets."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch

MARK = "# waits"


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """Tensors that a model has on its device."""

    x: torch.Tensor  # [4, 6] float32
    square: torch.Tensor  # [4, 4] float32, symmetric, positive definite
    mask: torch.Tensor  # [4, 6] bool, neither all true nor all false
    rows: torch.Tensor  # [3] int64 in 0..3
    counts: torch.Tensor  # [4] int64, positive
    one: torch.Tensor  # [] int64, equal to 1
    flag: torch.Tensor  # [] bool, true

    @staticmethod
    def on(device: str | torch.device) -> Inputs:
        """The same values on any device, without a random stream."""
        x = (torch.arange(24.0) % 7 - 3).reshape(4, 6)
        inputs = Inputs(
            x=x,
            square=4 * torch.eye(4) + torch.ones(4, 4),
            mask=x > 0,
            rows=torch.tensor([2, 0, 2]),
            counts=torch.tensor([1, 3, 2, 1]),
            one=torch.tensor(1),
            flag=torch.tensor(True),
        )
        return Inputs(**{name: tensor.to(device) for name, tensor in vars(inputs).items()})


@dataclass(frozen=True, kw_only=True)
class Example:
    """A function to run on `Inputs`; `operator` is what the detector calls the wait, if any."""

    run: Callable[[Inputs], object]
    operator: str = ""
    times: int = 1

    @property
    def name(self) -> str:
        return self.run.__name__

    def marked_lines(self) -> list[int]:
        """The lines, as numbered in the file, that end in the mark."""
        lines, first = inspect.getsourcelines(self.run)
        return [first + offset for offset, line in enumerate(lines) if line.rstrip().endswith(MARK)]


class Examples(list[Example]):
    """A module's examples, in the order of the file."""

    def waits(
        self, operator: str, *, times: int = 1
    ) -> Callable[[Callable[[Inputs], object]], Callable[[Inputs], object]]:
        def add(run: Callable[[Inputs], object]) -> Callable[[Inputs], object]:
            self.append(Example(run=run, operator=operator, times=times))
            return run

        return add

    def clean(self, run: Callable[[Inputs], object]) -> Callable[[Inputs], object]:
        self.append(Example(run=run))
        return run
