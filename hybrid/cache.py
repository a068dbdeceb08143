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

    def start(self, layer: int, key: Tensor, value: Tensor) -> None:
        """Store a prompt's key and value [B, G, R, C]; its own length R sizes the buffers."""
        shape = (*key.shape[:2], key.shape[2] + self._new_tokens, key.shape[3])
        # Zeros and not empty memory: slots to come are masked, but 0 * NaN would still be NaN.
        buffers = key.new_zeros(shape), value.new_zeros(shape)
        buffers[0][:, :, : key.shape[2]] = key
        buffers[1][:, :, : key.shape[2]] = value
        self._buffers[layer] = buffers

    def append(self, layer: int, slot: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Write one token's key and value [B, G, 1, C] at `slot` [1]; returns the whole buffers."""
        buffers = self._buffers[layer]
        if buffers is None:
            raise ValueError(f"layer {layer} has no prompt in its cache: prefill comes first")
        buffers[0].index_copy_(2, slot, key)
        buffers[1].index_copy_(2, slot, value)
        return buffers

    def prompt_length(self, layer: int) -> int:
        """Tokens of the prompt that this layer holds."""
        buffers = self._buffers[layer]
        return 0 if buffers is None else buffers[0].shape[2] - self._new_tokens

    def buffers(self) -> list[Tensor]:
        """Keys and values of all layers that have a prompt."""
        return [tensor for pair in self._buffers if pair is not None for tensor in pair]

    def nbytes(self) -> int:
        """Bytes held by all buffers."""
        return sum(tensor.nbytes for tensor in self.buffers())
