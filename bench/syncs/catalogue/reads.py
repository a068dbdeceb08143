"""Waits because the host wants a value, though it often does not look like it."""

import io
import math
import pickle

import numpy as np
import torch
import torch.nn.functional as F

from bench.syncs.catalogue.planted import Examples, Inputs

EXAMPLES = Examples()


@EXAMPLES.waits("Tensor.item")
def item(t: Inputs) -> object:
    return t.x.sum().item()  # waits


@EXAMPLES.waits("Tensor.tolist")
def tolist(t: Inputs) -> object:
    return t.rows.tolist()  # waits


@EXAMPLES.waits("Tensor.numpy")
def numpy(t: Inputs) -> object:
    return t.x.numpy(force=True)  # waits


@EXAMPLES.waits("numpy.asarray")
def numpy_asks_for_an_array(t: Inputs) -> object:
    return np.asarray(t.x)  # waits


@EXAMPLES.waits("bool(tensor)")
def if_statement(t: Inputs) -> object:
    if t.x.sum() > 0:  # waits
        return 1
    return 0


@EXAMPLES.waits("bool(tensor)", times=2)
def while_loop(t: Inputs) -> object:
    left = t.one.clone()
    while left > 0:  # waits
        left = left - 1
    return left


@EXAMPLES.waits("bool(tensor)")
def assertion(t: Inputs) -> object:
    assert (t.x < 100).all()  # waits
    return None


@EXAMPLES.waits("bool(tensor)")
def logical_operator(t: Inputs) -> object:
    return t.flag and "yes"  # waits


@EXAMPLES.waits("bool(tensor)")
def stop_when_all_are_done(t: Inputs) -> object:
    unfinished = t.counts - t.counts
    return bool(unfinished.max() == 0)  # waits


@EXAMPLES.waits("bool(tensor)")
def builtin_max(t: Inputs) -> object:
    return max(t.x.sum(), t.x.mean())  # waits


@EXAMPLES.waits("bool(tensor)")
def builtin_sorted(t: Inputs) -> object:
    return sorted([t.x.sum(), t.x.mean()])  # waits


@EXAMPLES.waits("bool(tensor)")
def equality_in_a_list(t: Inputs) -> object:
    return t.one in [0]  # waits


@EXAMPLES.waits("in tensor")
def membership(t: Inputs) -> object:
    return 2 in t.rows  # waits


@EXAMPLES.waits("int(tensor)")
def int_conversion(t: Inputs) -> object:
    return int(t.one)  # waits


@EXAMPLES.waits("float(tensor)")
def float_conversion(t: Inputs) -> object:
    return float(t.x.mean())  # waits


@EXAMPLES.waits("complex(tensor)")
def complex_conversion(t: Inputs) -> object:
    return complex(t.x.mean())  # waits


@EXAMPLES.waits("float(tensor)")
def math_function(t: Inputs) -> object:
    return math.sqrt(t.one)  # waits


@EXAMPLES.waits("tensor as an index")
def range_over_a_tensor(t: Inputs) -> object:
    return list(range(t.one))  # waits


@EXAMPLES.waits("tensor as an index")
def index_into_a_list(t: Inputs) -> object:
    return ["a", "b"][t.one]  # waits


@EXAMPLES.waits("tensor as an index")
def list_of_that_length(t: Inputs) -> object:
    return [0] * t.one  # waits


@EXAMPLES.waits("tensor as an index")
def slice_bound(t: Inputs) -> object:
    return t.x[: t.one]  # waits


@EXAMPLES.waits("aten._local_scalar_dense")
def select_by_a_scalar_tensor(t: Inputs) -> object:
    return t.x[t.one]  # waits


@EXAMPLES.waits("int(tensor)", times=3)
def iterate_and_read(t: Inputs) -> object:
    return sum(int(row) for row in t.rows)  # waits


@EXAMPLES.waits("format(tensor)")
def format_string(t: Inputs) -> object:
    return f"loss {t.x.mean():.3f}"  # waits


@EXAMPLES.waits("repr(tensor)")
def print_to_the_log(t: Inputs) -> object:
    return str(t.x)  # waits


@EXAMPLES.waits("format(tensor)")
def message_of_a_check_that_passes(t: Inputs) -> object:
    return (t.x.shape[0] == 4, f"{t.mask.sum()} tokens")  # waits


@EXAMPLES.waits("float(tensor)")
def percent_format(t: Inputs) -> object:
    return "%.2f" % t.x.mean()  # noqa: UP031 # waits


@EXAMPLES.waits("torch.save")
def save_to_a_file(t: Inputs) -> object:
    torch.save({"x": t.x}, io.BytesIO())  # waits
    return None


@EXAMPLES.waits("torch.save")
def pickle_dump(t: Inputs) -> object:
    return pickle.dumps(t.x)  # waits


@EXAMPLES.waits("aten.equal")
def whole_tensors_equal(t: Inputs) -> object:
    return torch.equal(t.x, t.x.clone())  # waits


@EXAMPLES.waits("aten.allclose")
def whole_tensors_close(t: Inputs) -> object:
    return torch.allclose(t.x, t.x + 1e-9)  # waits


@EXAMPLES.waits("aten._local_scalar_dense")
def size_from_a_tensor(t: Inputs) -> object:
    return torch.zeros(t.one, device=t.x.device)  # type: ignore[call-overload] # waits


@EXAMPLES.waits("aten._local_scalar_dense")
def range_from_a_tensor(t: Inputs) -> object:
    return torch.arange(t.one, device=t.x.device)  # type: ignore[call-overload] # waits


@EXAMPLES.waits("aten._local_scalar_dense")
def view_from_a_tensor(t: Inputs) -> object:
    return t.x.view(t.one, -1)  # type: ignore[call-overload] # waits


@EXAMPLES.waits("aten._local_scalar_dense")
def number_argument_from_a_tensor(t: Inputs) -> object:
    return t.x.topk(t.one)  # type: ignore[arg-type] # waits


@EXAMPLES.waits("aten._local_scalar_dense")
def fill_value_from_a_tensor(t: Inputs) -> object:
    return torch.full((2,), t.one)  # type: ignore[call-overload] # waits


@EXAMPLES.waits("float(tensor)")
def padding_value_from_a_tensor(t: Inputs) -> object:
    return F.pad(t.x, (1, 1), value=t.one)  # type: ignore[arg-type] # waits


@EXAMPLES.waits("aten.masked_fill.Tensor")
def masked_fill_with_a_tensor(t: Inputs) -> object:
    return t.x.masked_fill(t.mask, t.x.min())  # waits


@EXAMPLES.waits("aten.linspace.Tensor_Tensor")
def linspace_between_tensors(t: Inputs) -> object:
    return torch.linspace(t.one, t.one + 1, 3, device=t.x.device)  # waits


@EXAMPLES.waits("torch.tensor", times=2)
def tensor_of_tensors(t: Inputs) -> object:
    return torch.tensor([t.x.min(), t.x.max()])  # waits


@EXAMPLES.waits("Tensor.item")
def check_all(t: Inputs) -> object:
    return torch._check_tensor_all(t.x < 100)  # type: ignore[no-untyped-call] # waits
