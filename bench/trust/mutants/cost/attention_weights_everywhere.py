"""Every layer computes its attention matrix, as with output_attentions=True."""

from bench.trust.mutants.mutant import Mutant

MUTANT = Mutant(
    target="hybrid.language:Language.attend",
    old="        attention = self.layers[index].self_attn\n",
    new=(
        "        attention = self.layers[index].self_attn\n"
        "        groups = attention.num_key_value_groups\n"
        "        heads = key.repeat_interleave(groups, dim=1, output_size=query.shape[1])\n"
        "        (query @ heads.transpose(2, 3)).softmax(dim=-1)\n"
    ),
    source="FastV, output_attentions=True",
    expected=("cost",),
)
