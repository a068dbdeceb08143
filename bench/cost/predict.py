"""Counts turned into time: how long a GPU takes for a stage, and what it spends that time on.

Every operator takes the longer of its FLOPs and its bytes at the GPU's full rate, one after the
other (`bench.cost.roofline`). Submitting them goes on beside that and costs so many microseconds
each. A stage takes the longer of the two sums. The rates are ceilings, so this is how fast the code
as it is could run, not how fast it will.
"""

from dataclasses import dataclass

from bench.cost.count import Cost
from bench.cost.gpu import Gpu
from bench.cost.roofline import Wall, seconds_at


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A stage's time on a GPU, in seconds.

    Attributes:
        spent: on the device, by the wall that each operator stands against.
        eager, graphed: to submit all operators, one by one or as a captured graph.
    """

    spent: dict[Wall, float]
    eager: float
    graphed: float

    @property
    def device(self) -> float:
        """All operators, one after the other, never waiting for the host."""
        return sum(self.spent.values())

    def seconds(self, submitting: float) -> float:
        """Of the stage, if submitting its operators takes so long."""
        return max(self.device, submitting)

    def wall(self, submitting: float) -> Wall:
        """What most of that time goes to."""
        if submitting > self.device:
            return Wall.LAUNCHES
        return max(self.spent, key=self.spent.__getitem__)


def predict(cost: Cost, gpu: Gpu) -> Prediction:
    """What `cost` takes on `gpu`."""
    return Prediction(
        spent=seconds_at(cost.works, gpu.ceiling),
        eager=cost.launches * gpu.eager_launch_s,
        graphed=cost.launches * gpu.graphed_launch_s,
    )
