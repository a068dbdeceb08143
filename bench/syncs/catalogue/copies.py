"""Waits because memory is copied between host and device, or because the code says: wait."""

import numpy as np
import torch

from bench.syncs.catalogue.planted import Examples, Inputs

EXAMPLES = Examples()


@EXAMPLES.waits("Tensor.cpu")
def cpu(t: Inputs) -> object:
    return t.x.cpu()  # waits


@EXAMPLES.waits("Tensor.to")
def to_the_cpu(t: Inputs) -> object:
    return t.x.to("cpu")  # waits


@EXAMPLES.waits("Tensor.type")
def type_of_the_cpu(t: Inputs) -> object:
    return t.x.type("torch.DoubleTensor")  # waits


@EXAMPLES.waits("Tensor.cpu")
def read_back_once_use_often(t: Inputs) -> object:
    host = t.rows.cpu()  # waits
    return host.tolist(), host[0].item(), f"{host}"


@EXAMPLES.waits("torch.tensor")
def upload_a_list(t: Inputs) -> object:
    return torch.tensor([1, 2, 3], device=t.x.device)  # waits


@EXAMPLES.waits("torch.tensor")
def upload_a_number(t: Inputs) -> object:
    return torch.tensor(3.14, device=t.x.device)  # waits


@EXAMPLES.waits("torch.as_tensor")
def upload_an_array(t: Inputs) -> object:
    return torch.as_tensor(np.ones(3), device=t.x.device)  # waits


@EXAMPLES.waits("Tensor.new_tensor")
def new_tensor(t: Inputs) -> object:
    return t.x.new_tensor([1.0, 2.0])  # waits


@EXAMPLES.waits("Tensor.to")
def upload_later(t: Inputs) -> object:
    positions = torch.tensor([1, 2, 3])
    return positions.to(t.x.device)  # waits


@EXAMPLES.waits("Tensor.to")
def unpinned_non_blocking(t: Inputs) -> object:
    pageable = torch.from_numpy(np.ones(1 << 20))  # a few numbers would go along with the call
    return pageable.to(t.x.device, non_blocking=True)  # waits


@EXAMPLES.waits("Tensor.to")
def pinned_but_blocking(t: Inputs) -> object:
    return torch.tensor([1, 2, 3]).pin_memory().to(t.x.device)  # waits


@EXAMPLES.waits("Tensor.cuda")
def cuda(t: Inputs) -> object:
    return torch.tensor([1, 2, 3]).cuda()  # waits


@EXAMPLES.waits("Tensor.type_as")
def type_as(t: Inputs) -> object:
    return torch.tensor([1, 2, 3]).type_as(t.x)  # waits


@EXAMPLES.waits("aten.copy_")
def copy_up_from_pageable_memory(t: Inputs) -> object:
    return t.counts.clone().copy_(torch.tensor([4, 3, 2, 1]))  # waits


@EXAMPLES.waits("aten.copy_")
def copy_down_blocking(t: Inputs) -> object:
    buffer = torch.tensor([0, 0, 0, 0]).pin_memory()
    return buffer.copy_(t.counts)  # waits


@EXAMPLES.waits("aten.index.Tensor")
def index_by_a_list(t: Inputs) -> object:
    return t.x[[0, 2]]  # waits


@EXAMPLES.waits("aten.index.Tensor")
def index_by_a_host_tensor(t: Inputs) -> object:
    rows = torch.tensor([0, 2])
    return t.x[rows]  # waits


@EXAMPLES.waits("aten.index_put_")
def put_by_a_host_tensor(t: Inputs) -> object:
    x = t.x.clone()
    x[torch.tensor([0, 2])] = t.x[:2]  # waits
    return x


@EXAMPLES.waits("torch.cuda.synchronize")
def synchronize(_: Inputs) -> object:
    torch.cuda.synchronize()  # waits
    return None


@EXAMPLES.waits("torch.cuda.empty_cache")
def empty_the_cache(t: Inputs) -> object:
    block = torch.empty(1 << 20, device=t.x.device)
    del block  # now there is something to give back
    torch.cuda.empty_cache()  # waits
    return None
