"""Waits because the size of the result depends on values, or because values are checked."""

import torch
import torch.nn.functional as F

from bench.syncs.catalogue.planted import Examples, Inputs

EXAMPLES = Examples()


@EXAMPLES.waits("aten.nonzero")
def nonzero(t: Inputs) -> object:
    return t.mask.nonzero()  # waits


@EXAMPLES.waits("aten.nonzero")
def where_with_one_argument(t: Inputs) -> object:
    return torch.where(t.mask)  # waits


@EXAMPLES.waits("aten.nonzero")
def argwhere(t: Inputs) -> object:
    return torch.argwhere(t.mask)  # waits


@EXAMPLES.waits("aten.index.Tensor")
def boolean_get(t: Inputs) -> object:
    return t.x[t.mask]  # waits


@EXAMPLES.waits("aten.index.Tensor")
def boolean_get_of_rows(t: Inputs) -> object:
    return t.x[t.x.sum(-1) > 0]  # waits


@EXAMPLES.waits("aten.index_put_")
def boolean_put_of_a_tensor(t: Inputs) -> object:
    x = t.x.clone()
    x[t.mask] = t.x.mean()  # waits
    return x


@EXAMPLES.waits("aten.index_put_")
def boolean_put_beside_an_index(t: Inputs) -> object:
    x = t.x.clone()
    x[t.rows[:1], t.mask[0]] = 0.0  # waits
    return x


@EXAMPLES.waits("aten.index_put")
def boolean_put_as_a_function(t: Inputs) -> object:
    return t.x.index_put((t.mask,), t.x.mean())  # waits


@EXAMPLES.waits("aten.masked_select")
def masked_select(t: Inputs) -> object:
    return torch.masked_select(t.x, t.mask)  # waits


@EXAMPLES.waits("aten._unique2")
def unique(t: Inputs) -> object:
    return torch.unique(t.rows)  # waits


@EXAMPLES.waits("aten.unique_dim")
def unique_rows(t: Inputs) -> object:
    return torch.unique(t.x, dim=0)  # waits


@EXAMPLES.waits("aten.unique_consecutive")
def unique_consecutive(t: Inputs) -> object:
    return torch.unique_consecutive(t.rows)  # waits


@EXAMPLES.waits("aten.isin.Tensor_Tensor")
def isin_of_many(t: Inputs) -> object:
    return torch.isin(t.rows, torch.arange(50, device=t.x.device))  # waits


@EXAMPLES.waits("aten.bincount")
def bincount(t: Inputs) -> object:
    return torch.bincount(t.rows, minlength=4)  # waits


@EXAMPLES.waits("aten.repeat_interleave.Tensor")
def repeat_interleave(t: Inputs) -> object:
    return torch.repeat_interleave(t.x, t.counts, dim=0)  # waits


@EXAMPLES.waits("one_hot without num_classes")
def one_hot(t: Inputs) -> object:
    return F.one_hot(t.rows)  # waits


@EXAMPLES.waits("aten._to_sparse")
def to_sparse(t: Inputs) -> object:
    return t.x.to_sparse()  # waits


@EXAMPLES.waits("aten._linalg_check_errors")
def inverse(t: Inputs) -> object:
    return torch.linalg.inv(t.square)  # waits


@EXAMPLES.waits("aten._linalg_check_errors")
def cholesky(t: Inputs) -> object:
    return torch.linalg.cholesky(t.square)  # waits


@EXAMPLES.waits("aten._linalg_check_errors")
def solve(t: Inputs) -> object:
    return torch.linalg.solve(t.square, t.x)  # waits


@EXAMPLES.waits("aten._linalg_svd")
def singular_values(t: Inputs) -> object:
    return torch.linalg.svdvals(t.x)  # waits


@EXAMPLES.waits("aten._linalg_eigh")
def eigenvalues(t: Inputs) -> object:
    return torch.linalg.eigvalsh(t.square)  # waits


@EXAMPLES.waits("aten.normal.Tensor_Tensor")
def normal_with_a_tensor_of_deviations(t: Inputs) -> object:
    return torch.normal(t.x, t.x.abs())  # waits


@EXAMPLES.waits("aten.histc")
def histogram_over_the_data_range(t: Inputs) -> object:
    return torch.histc(t.x, bins=4)  # waits
