"""A whole LLaVA by those rules: what it sees, how it lays it out, what it reads and answers."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from math import inf, log
from typing import Any

import torch
from torch import Tensor
from transformers import LlavaForConditionalGeneration

from hybrid.config import HybridConfig
from hybrid.reference.papers import Step, Token, keep_best, merge_step, rotate, softmax_attention


@dataclass(frozen=True)
class Seen:
    """An image after the tower: tokens in raster order of their representatives, and the steps.

    forced: how many pairs merged below their block's threshold, for the schedule.
    """

    tokens: list[Token]
    steps: list[Step]
    forced: int = 0


@dataclass(frozen=True)
class Prompt:
    """The reduced sequence: text before | visual tokens | text after.

    Attributes:
        hidden: [n, D], the embeddings.
        groups: the positions each token stands at: one, or all of its patches'.
        visual: which tokens are visual.
        next_position: of the first token of the answer.
    """

    hidden: Tensor
    groups: list[list[int]]
    visual: range
    next_position: int


@dataclass(frozen=True)
class Reading:
    """A prompt and what FastV decided on it, once and for the whole answer.

    Attributes:
        scores: the last prompt token's attention on each visual token; none without pruning.
        kept: which visual tokens stay, ascending.
        margin: how far each score may be off before another token is kept.
    """

    seen: Seen
    prompt: Prompt
    scores: list[float]
    kept: list[int]
    margin: float


class Oracle:
    """A LLaVA-1.5 reduced as `config` says. `prune` does not matter here: hidden is dropped.

    Args:
        llava: transformers' model; its weights are copied to the CPU.
        config: what to reduce; `rank="random"` has no oracle, one draw is as right as another.
        dtype: what everything is computed in.
    """

    def __init__(
        self,
        llava: LlavaForConditionalGeneration,
        config: HybridConfig,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        source: Any = llava
        copy = deepcopy(source).to(device="cpu", dtype=dtype)
        self.tower = copy.model.vision_tower
        self.projector = copy.model.multi_modal_projector
        self.language = copy.model.language_model
        self.lm_head = copy.lm_head
        self.llava_config: Any = llava.config
        ends = llava.generation_config.eos_token_id
        self.ends = ends if isinstance(ends, list) else [ends]
        self.config = config
        self.dtype = dtype

    @torch.inference_mode()
    def see(self, pixel_values: Tensor) -> Seen:
        """The CLIP tower with DToMe on one image: pixel_values [3, height, width]."""
        embedded = self.tower.embeddings(pixel_values[None].to(self.dtype))
        hidden = self.tower.pre_layrnorm(embedded)[0]  # [1 + P, D]
        tokens = [Token(hidden[0], ())]
        tokens += [Token(feature, (p,)) for p, feature in enumerate(hidden[1:])]
        blocks, heads = self.tower.encoder.layers, self.tower.config.num_attention_heads
        layer = self.llava_config.vision_feature_layer  # -1: the last block's output; 0: no block
        steps = []
        for i, block in enumerate(blocks[: layer if layer >= 0 else len(blocks) + 1 + layer]):
            hidden = torch.stack([t.feature for t in tokens])  # [n, D]
            query, key, value = _heads(block.self_attn, block.layer_norm1(hidden), heads, heads)
            # Proportional attention (ToMe section 3): log of the key's size, before the softmax.
            bias = torch.tensor([log(t.size) for t in tokens], dtype=self.dtype)
            attended, _ = softmax_attention(query, key, value, bias)
            tokens = _update(tokens, hidden + block.self_attn.out_proj(attended))
            if self.config.thresholds is not None:
                # With a schedule, no more than these and CLS are left behind this block.
                sizes = self.config.schedule
                room = None if sizes is None else 1 + sizes[i]
                threshold = self.config.thresholds[i]
                steps.append(merge_step(tokens, key.mean(dim=0), threshold, room))
                tokens = steps[-1].tokens
            hidden = torch.stack([t.feature for t in tokens])
            tokens = _update(tokens, hidden + block.mlp(block.layer_norm2(hidden)))
        forced = sum(step.forced for step in steps)
        capacity = self.config.capacity
        while capacity is not None and len(tokens) - 1 > capacity:
            features = torch.stack([t.feature for t in tokens])
            steps.append(merge_step(tokens, features, inf, capacity + 1))
            tokens = steps[-1].tokens
        return Seen(sorted(tokens[1:], key=lambda t: t.patches[0]), steps, forced)

    @torch.inference_mode()
    def lay_out(self, input_ids: Sequence[int], seen: Seen, rope: str) -> Prompt:
        """Put the visual tokens where the S unpadded ids have their run of image placeholders.

        rope: with `logical` each token stands where it, or its representative, stood among all S;
        with `virtual` a visual token stands at all of its patches; `compact` numbers 0..n-1.
        """
        places = [i for i, t in enumerate(input_ids) if t == self.llava_config.image_token_id]
        first, behind = places[0], places[-1] + 1
        image = self.projector(torch.stack([t.feature for t in seen.tokens]))
        hidden = torch.cat([self._embed(input_ids[:first]), image, self._embed(input_ids[behind:])])
        groups = [[i] for i in range(first)]
        for token in seen.tokens:
            patches = token.patches if rope == "virtual" else token.patches[:1]
            groups.append([first + p for p in patches])
        groups += [[i] for i in range(behind, len(input_ids))]
        next_position = len(input_ids)
        if rope == "compact":
            groups, next_position = [[i] for i in range(len(groups))], len(groups)
        return Prompt(hidden, groups, range(first, first + len(seen.tokens)), next_position)

    def attention(self, layer: int, x: Tensor, groups: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Causal attention in which a token stands at several positions (DyMU section 3.2).

        Queries, keys and values are made once a token, copied to each of its positions, rotated
        there, attend to every position up to there, and are averaged back over the token's
        positions. With one position a token this is plain attention.

        x [n, D] comes from the layer's first norm; groups hold m positions. Returns [n, D] and
        the attention matrix [H, m, m] over the positions in ascending order.
        """
        module, config = self.language.layers[layer].self_attn, self.language.config
        standing = sorted((p, token) for token, places in enumerate(groups) for p in places)
        positions, tokens = [p for p, _ in standing], [t for _, t in standing]
        heads, theta = config.num_attention_heads, config.rope_parameters["rope_theta"]
        query, key, value = _heads(module, x, heads, config.num_key_value_heads)
        query = rotate(query[:, tokens], positions, theta)
        key = rotate(key[:, tokens], positions, theta)
        causal = x.new_full((len(positions), len(positions)), -inf).triu(diagonal=1)
        attended, weights = softmax_attention(query, key, value[:, tokens], causal)
        unmerge = torch.eye(len(groups), dtype=x.dtype)[tokens]  # M [m, n]: one-hot rows
        merged = unmerge.T @ attended / unmerge.sum(dim=0)[:, None]  # (M'M)^-1 M' f
        return module.o_proj(merged), weights

    @torch.inference_mode()
    def run(self, layers: range, hidden: Tensor, groups: list[list[int]]) -> tuple[Tensor, Tensor]:
        """Llama layers on hidden [n, D]; also the last one's attention matrix [H, m, m]."""
        weights = hidden.new_zeros(0)
        for i in layers:
            layer = self.language.layers[i]
            attended, weights = self.attention(i, _rms(hidden, layer.input_layernorm), groups)
            hidden = hidden + attended
            hidden = hidden + layer.mlp(_rms(hidden, layer.post_attention_layernorm))
        return hidden, weights

    def read(self, input_ids: Sequence[int], pixel_values: Tensor) -> Reading:
        """Read one unpadded prompt [S] with its image [3, height, width]; decide what to keep."""
        seen = self.see(pixel_values)
        prompt = self.lay_out(input_ids, seen, self.config.rope)
        if not self.config.budget.prunes:
            return Reading(seen, prompt, [], list(range(len(seen.tokens))), inf)
        layers = range(self.config.aggregation_layer + 1)
        _, weights = self.run(layers, prompt.hidden, prompt.groups)
        row = weights.mean(dim=0)[-1].tolist()  # mean over heads, the last token's row
        scores = [row[i] for i in prompt.visual]
        rank = {"attention": scores, "lowest": [-s for s in scores]}[self.config.rank]
        kept = keep_best(rank, self.config.budget)
        lost = max((s for i, s in enumerate(rank) if i not in kept), default=-inf)
        return Reading(seen, prompt, scores, kept, (min(rank[i] for i in kept) - lost) / 2)

    @torch.inference_mode()
    def next_logits(self, reading: Reading, answer: Sequence[int] = ()) -> Tensor:
        """Logits [V] behind the prompt and the answer so far, everything computed anew."""
        prompt, depth = reading.prompt, len(self.language.layers)
        hidden = torch.cat([prompt.hidden, self._embed(answer)])
        groups = prompt.groups + [[prompt.next_position + t] for t in range(len(answer))]
        switch = self.config.aggregation_layer + 1 if self.config.budget.prunes else depth
        hidden, _ = self.run(range(switch), hidden, groups)
        if self.config.budget.prunes:
            kept = {prompt.visual[i] for i in reading.kept}
            stays = [i for i in range(len(groups)) if i not in prompt.visual or i in kept]
            groups = [groups[i] for i in stays]
            if self.config.rope == "compact":
                groups = [[i] for i in range(len(stays))]
            hidden, _ = self.run(range(switch, depth), hidden[stays], groups)
        logits: Tensor = self.lm_head(_rms(hidden[-1], self.language.norm))
        return logits

    def generate(self, input_ids: Sequence[int], pixel_values: Tensor, limit: int) -> list[int]:
        """Greedy answer to one unpadded prompt, with its end token; at most `limit` tokens."""
        reading = self.read(input_ids, pixel_values)
        answer: list[int] = []
        while len(answer) < limit and not (answer and answer[-1] in self.ends):
            answer.append(int(self.next_logits(reading, answer).argmax()))
        return answer

    def _embed(self, ids: Sequence[int]) -> Tensor:
        table: Tensor = self.language.embed_tokens.weight
        return table[list(ids)]


def _update(tokens: list[Token], features: Tensor) -> list[Token]:
    return [Token(f, t.patches) for f, t in zip(features, tokens, strict=True)]


def _rms(x: Tensor, module: Any) -> Tensor:
    """Llama's norm, spelled out because transformers' own rounds to float32."""
    scaled = x / (x.square().mean(dim=-1, keepdim=True) + module.variance_epsilon).sqrt()
    normed: Tensor = scaled * module.weight
    return normed


def _heads(module: Any, x: Tensor, heads: int, groups: int) -> tuple[Tensor, Tensor, Tensor]:
    """Query, key and value of x [n, D], each [H, n, C]; shared key-value heads are repeated."""
    query = module.q_proj(x).unflatten(-1, (heads, -1)).transpose(0, 1)
    key = module.k_proj(x).unflatten(-1, (groups, -1)).transpose(0, 1)
    value = module.v_proj(x).unflatten(-1, (groups, -1)).transpose(0, 1)
    shared = [head * groups // heads for head in range(heads)]
    return query, key[shared], value[shared]
