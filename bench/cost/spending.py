"""What an arm spends on a prompt, in numbers that compare wherever its tokens end.

"64 tokens" is one thing in the tower, another between tower and language model, and a third behind
its eighth layer. The tokens that a layer gets on average, FLOPs, and bytes of keys and values are
the same thing everywhere.
"""

from dataclasses import dataclass

COLUMNS = ("tokens", "a layer", "FLOPs", "cache")


@dataclass(frozen=True)
class Budget:
    """Of a prompt of 64 words and one image.

    Attributes:
        tokens: visual tokens that the last layer of the language model gets.
        average: visual tokens that a layer gets.
        flops: of reading the prompt, tower and projector included, counted; None for a method that
            asks for values, so that it cannot be counted without any.
        cache_bytes: of all layers' keys and values behind the prompt.
    """

    tokens: int
    average: float
    flops: int | None
    cache_bytes: int

    @property
    def cells(self) -> list[str]:
        """In the order of COLUMNS."""
        flops = "not counted" if self.flops is None else scaled(self.flops)
        return [str(self.tokens), f"{self.average:.1f}", flops, f"{scaled(self.cache_bytes)}B"]


def scaled(number: float) -> str:
    """Three digits and a prefix: 76_300_000 is `76.3 M`."""
    for prefix in ("", "k", "M", "G", "T"):
        if number < 999.5:
            return f"{number:.3g} {prefix}"
        number /= 1000
    return f"{number:.3g} P"
