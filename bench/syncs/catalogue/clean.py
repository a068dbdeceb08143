"""Idioms that do not wait, among them the ones that look as if they did."""

import copy

import torch
import torch.nn.functional as F

from bench.syncs.catalogue.planted import Examples, Inputs

EXAMPLES = Examples()


@EXAMPLES.clean
def index_by_integers(t: Inputs) -> object:
    return t.x[t.rows]


@EXAMPLES.clean
def index_by_integers_in_two_dimensions(t: Inputs) -> object:
    return t.x[torch.arange(3, device=t.x.device), t.rows]


@EXAMPLES.clean
def put_at_integers(t: Inputs) -> object:
    x = t.x.clone()
    x[t.rows] = t.x[:3]
    return x


@EXAMPLES.clean
def boolean_put_of_a_number(t: Inputs) -> object:
    x = t.x.clone()
    x[t.mask] = 0.0  # becomes masked_fill
    return x


@EXAMPLES.clean
def boolean_mask_on_the_host(t: Inputs) -> object:
    keep = torch.tensor([True, False, True, True])
    return t.x[keep]  # its indices go through pinned memory


@EXAMPLES.clean
def where_with_three_arguments(t: Inputs) -> object:
    return torch.where(t.mask, t.x, 0.0)


@EXAMPLES.clean
def masked_fill(t: Inputs) -> object:
    return t.x.masked_fill(~t.mask, float("-inf"))


@EXAMPLES.clean
def top_k(t: Inputs) -> object:
    return t.x.topk(2, dim=-1).indices.sort(dim=-1).values


@EXAMPLES.clean
def gather_and_scatter(t: Inputs) -> object:
    order = t.x.argsort(dim=-1)
    return torch.zeros_like(t.x).scatter(-1, order, t.x.gather(-1, order))


@EXAMPLES.clean
def scatter_reduce(t: Inputs) -> object:
    return torch.zeros_like(t.x).index_add(0, t.rows, t.x[:3])


@EXAMPLES.clean
def repeat_interleave_of_known_size(t: Inputs) -> object:
    return torch.repeat_interleave(t.x, t.counts, dim=0, output_size=7)


@EXAMPLES.clean
def repeat_interleave_by_a_number(t: Inputs) -> object:
    return t.x.repeat_interleave(2, dim=0)


@EXAMPLES.clean
def one_hot_of_known_classes(t: Inputs) -> object:
    return F.one_hot(t.rows, num_classes=4)


@EXAMPLES.clean
def nonzero_of_known_size(t: Inputs) -> object:
    return torch.nonzero_static(t.mask, size=24)


@EXAMPLES.clean
def shape_arithmetic(t: Inputs) -> object:
    rows, columns = t.x.shape
    return len(t.x), t.x.numel() // rows, t.x.size(-1) - columns, t.x.dim(), t.x.stride()


@EXAMPLES.clean
def decisions_on_metadata(t: Inputs) -> object:
    if t.x.shape[0] > 1 and t.x.is_floating_point() and t.x.device == t.mask.device:
        return t.x.dtype
    return None


@EXAMPLES.clean
def format_metadata(t: Inputs) -> object:
    return f"{t.x.shape} {t.x.dtype} {tuple(t.x.shape)}"


@EXAMPLES.clean
def factories_on_the_device(t: Inputs) -> object:
    here = t.x.device
    zeros, ones = torch.zeros(2, device=here), torch.ones_like(t.x)
    return zeros, ones, torch.arange(5, device=here), torch.full((2,), 3.14, device=here)


@EXAMPLES.clean
def scalar_tensor_by_filling(t: Inputs) -> object:
    return torch.full((), 3.14, device=t.x.device) * t.x


@EXAMPLES.clean
def host_scalar_as_an_operand(t: Inputs) -> object:
    return t.x * torch.tensor(0.5)  # travels as a kernel argument


@EXAMPLES.clean
def iterate_over_rows(t: Inputs) -> object:
    return [row * 2 for row in t.x]  # unbinds into views; reading them would wait


@EXAMPLES.clean
def unpack(t: Inputs) -> object:
    first, second, *rest = t.x
    return first + second, rest


@EXAMPLES.clean
def select_and_slice_by_numbers(t: Inputs) -> object:
    return t.x[0], t.x[:, 1:3], t.x[..., None], t.x.narrow(1, 0, 2), t.x.chunk(2, dim=0)


@EXAMPLES.clean
def select_by_a_scalar_tensor(t: Inputs) -> object:
    return t.x.index_select(0, t.one.reshape(1))  # unlike x[one]


@EXAMPLES.clean
def move_within_the_device(t: Inputs) -> object:
    return t.x.to(t.mask.device), t.x.to(torch.float16), t.x.half().type_as(t.x)


@EXAMPLES.clean
def pinned_upload(t: Inputs) -> object:
    return torch.tensor([1, 2, 3]).pin_memory().to(t.x.device, non_blocking=True) + 1


@EXAMPLES.clean
def pinned_read_back_for_later(t: Inputs) -> object:
    buffer = torch.empty(4, dtype=torch.int64, pin_memory=True)
    return buffer.copy_(t.counts, non_blocking=True)


@EXAMPLES.clean
def inverse_without_a_check(t: Inputs) -> object:
    return torch.linalg.inv_ex(t.square).inverse


@EXAMPLES.clean
def sample_without_a_check(t: Inputs) -> object:
    probabilities = t.x.softmax(-1)
    return (probabilities / torch.empty_like(probabilities).exponential_()).argmax(-1)


@EXAMPLES.clean
def reductions_that_stay(t: Inputs) -> object:
    return t.x.max(), t.mask.any(), t.mask.all(-1), t.x.argmax(-1), t.mask.cumsum(-1)


@EXAMPLES.clean
def flags_that_stay(t: Inputs) -> object:
    finished = t.rows == 2
    finished = finished | (t.rows == 0)
    return torch.where(finished, 0, t.rows)


@EXAMPLES.clean
def quantile(t: Inputs) -> object:
    return torch.quantile(t.x, 0.5)


@EXAMPLES.clean
def fused_attention(t: Inputs) -> object:
    heads = t.x.reshape(1, 2, 4, 3)
    return F.scaled_dot_product_attention(heads, heads, heads, is_causal=True)


@EXAMPLES.clean
def layers(t: Inputs) -> object:
    normal = F.layer_norm(t.x, (6,))
    return F.gelu(F.linear(normal, t.x)).softmax(-1)


@EXAMPLES.clean
def copies_on_the_device(t: Inputs) -> object:
    return copy.copy(t.x), copy.deepcopy(t.x), t.x.clone(), t.x.detach(), torch.cat([t.x, t.x])


@EXAMPLES.clean
def in_place(t: Inputs) -> object:
    x = t.x.clone()
    x[0] = 1.0
    x[:, 1] = t.x[:, 0]
    return x.add_(1).mul_(t.x).clamp_(min=0).index_copy_(0, t.rows[:2], t.x[:2])


@EXAMPLES.clean
def masked_scatter(t: Inputs) -> object:
    return t.x.masked_scatter(t.mask, t.x + 1)


@EXAMPLES.clean
def isin_of_few(t: Inputs) -> object:
    return torch.isin(t.rows, t.counts)


@EXAMPLES.clean
def sample_a_token(t: Inputs) -> object:
    return torch.multinomial(t.x.softmax(-1), 1)  # its checks are made on the device
