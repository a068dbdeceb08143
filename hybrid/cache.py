"""Keys and values of each layer, in buffers made once: long up to the aggregation layer."""

from torch import Tensor


class KVCache:
    """One buffer a layer, as long as that layer's own prompt plus the tokens to come.

    Args:
        layers: layers of the language model.
        new_tokens: room for tokens behind the prompt.
    """

    def __init__(self, layers: int, new_tokens: int) -> None:
        self._new_tokens = new_tokens
        self._buffers: list[tuple[Tensor, Tensor] | None] = [None] * layers
        self._lengths = [0] * layers

    def length(self, layer: int) -> int:
        """Tokens stored for this layer."""
        return self._lengths[layer]

    def update(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Append key and value [B, G, R, C]; returns all that is stored so far.

        The first call makes the buffers: the prompt's own length decides how long they are.
        """
        start = self._lengths[layer]
        stop = start + key.shape[2]
        buffers = self._buffers[layer]
        if buffers is None:
            shape = (*key.shape[:2], stop + self._new_tokens, key.shape[3])
            buffers = (key.new_empty(shape), value.new_empty(shape))
            self._buffers[layer] = buffers
        buffers[0][:, :, start:stop] = key
        buffers[1][:, :, start:stop] = value
        self._lengths[layer] = stop
        return buffers[0][:, :, :stop], buffers[1][:, :, :stop]

    def nbytes(self) -> int:
        """Bytes held by all buffers."""
        return sum(t.nbytes for pair in self._buffers if pair is not None for t in pair)
