"""How the detector behaves around what it detects: restoring, nesting, threads, stages, reports."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import torch

from bench.syncs import SyncError, detect_syncs, forbid_syncs, stage
from bench.syncs.places import Place, Places

PATCHED = ("item", "tolist", "numpy", "cpu", "to", "__bool__", "__index__", "__repr__", "__array__")


def state_of_torch() -> tuple[object, ...]:
    methods = [getattr(torch.Tensor, name) for name in PATCHED]
    own = sorted(vars(torch.Tensor))
    stacks = (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack())
    return (*methods, own, stacks, torch.save, torch.cuda.synchronize, torch.cuda.empty_cache)


@contextmanager
def torch_left_as_it_was() -> Iterator[None]:
    before = state_of_torch()
    yield
    assert state_of_torch() == before


class Failure(Exception):
    pass


def test_everything_is_restored_after_the_block() -> None:
    with torch_left_as_it_was(), detect_syncs():
        assert state_of_torch()[0] is not None
        torch.ones(2).sum().item()


def test_everything_is_restored_after_an_exception_in_the_block() -> None:
    with torch_left_as_it_was(), pytest.raises(Failure), detect_syncs() as report:
        torch.ones(2).sum().item()
        raise Failure
    assert report.count == 1
    torch.ones(2).sum().item()
    assert report.count == 1


def test_everything_is_restored_after_an_exception_from_torch_itself() -> None:
    with torch_left_as_it_was(), pytest.raises(RuntimeError), detect_syncs() as report:
        torch.ones(2).item()
    assert report.count == 1


def test_forbid_names_every_wait_and_the_block_goes_on() -> None:
    x = torch.ones(3)
    with torch_left_as_it_was(), pytest.raises(SyncError) as error, forbid_syncs():
        x.tolist()
        x.nonzero()
    assert error.value.report.count == 2
    assert "Tensor.tolist" in str(error.value)
    assert "x.nonzero()" in str(error.value)


def test_forbid_passes_a_clean_block() -> None:
    with forbid_syncs():
        torch.ones(3).cumsum(0)


def test_an_exception_of_the_block_hides_behind_no_sync_error() -> None:
    with pytest.raises(Failure), forbid_syncs():
        torch.ones(1).item()
        raise Failure


def test_inner_findings_are_also_in_the_outer_report() -> None:
    x = torch.ones(3)
    with torch_left_as_it_was(), detect_syncs() as outer:
        x.tolist()
        with detect_syncs() as inner:
            x.nonzero()
        x.sum().item()
    assert [f.operator for f in inner.findings] == ["aten.nonzero"]
    operators = [f.operator for f in outer.findings]
    assert operators == ["Tensor.tolist", "aten.nonzero", "Tensor.item"]


def test_a_nested_block_may_not_watch_another_device() -> None:
    with (
        torch_left_as_it_was(),
        pytest.raises(ValueError, match="already watching cpu"),
        detect_syncs(),
        detect_syncs(device="meta"),
    ):
        pass


def test_other_threads_are_not_watched_and_not_disturbed() -> None:
    read: list[float] = []
    with torch_left_as_it_was(), detect_syncs() as report:
        thread = threading.Thread(target=lambda: read.append(torch.ones(2).sum().item()))
        thread.start()
        thread.join()
    assert read == [2.0]
    assert report.count == 0


def test_two_watched_threads_leave_nothing_behind() -> None:
    both_inside, counts = threading.Barrier(2), []

    def watched() -> None:
        with detect_syncs() as report:
            both_inside.wait()
            torch.ones(2).tolist()
        counts.append(report.count)

    with torch_left_as_it_was():
        threads = [threading.Thread(target=watched) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == [1, 1]


def test_one_wait_is_one_finding_however_many_layers_see_it() -> None:
    with detect_syncs() as report:
        repr(torch.arange(2000.0))
        bool(torch.ones(()))
    assert [(f.operator, f.count) for f in report.findings] == [
        ("repr(tensor)", 1),
        ("bool(tensor)", 1),
    ]


def test_a_loop_is_one_finding_with_a_count() -> None:
    with detect_syncs() as report:
        for row in torch.ones(5):
            row.item()
    [finding] = report.findings
    assert (finding.count, finding.site.source) == (5, "row.item()")


def test_declared_host_tensors_are_read_freely() -> None:
    lengths, x = torch.tensor([3, 4]), torch.ones(4)
    with detect_syncs(host=[lengths]) as report:
        lengths.tolist()
        (lengths + 1).max().item()
        x[: int(lengths[0])].sum()
        x[lengths - 1]
    assert [f.operator for f in report.findings] == ["aten.index.Tensor"]


def test_a_host_tensor_that_meets_a_device_tensor_counts_as_an_upload() -> None:
    x = torch.ones(3)
    with detect_syncs() as report:
        weights = torch.tensor([1.0, 2.0, 3.0])
        x * weights
    [finding] = report.findings
    assert finding.site.source == "x * weights"
    assert "host tensor" in finding.why


def test_empty_copies_do_not_wait() -> None:
    with forbid_syncs():
        torch.tensor([], device=torch.device("cpu")).cpu()


def test_waits_inside_torchs_own_python_functions_are_pinned_to_the_caller() -> None:
    x = torch.ones(2, 3)
    with detect_syncs() as report:
        torch.nn.functional.pad(x, (1, 1), value=x.sum())  # type: ignore[arg-type]
        np.mean(np.asarray(x))
    assert [f.site.source.partition("(")[0] for f in report.findings] == [
        "torch.nn.functional.pad",
        "np.mean",
    ]


def test_a_method_taken_before_the_block_is_watched_too() -> None:
    x = torch.ones(2)
    tolist, numpy, item = x.tolist, x.numpy, x.sum().item
    with detect_syncs() as report:
        tolist()
        numpy()
        item()
    assert [f.operator for f in report.findings] == [
        "Tensor.tolist",
        "Tensor.numpy",
        "Tensor.item",
    ]


def test_as_tensor_of_a_tensor_is_a_move() -> None:
    x, here = torch.ones(2), torch.device("cpu")
    with detect_syncs() as report:
        torch.as_tensor(x, device=here)
        torch.as_tensor(torch.tensor([1.0, 2.0]), device=here)
        torch.as_tensor(x, device="cpu")
    assert [f.site.source for f in report.findings] == [
        "torch.as_tensor(torch.tensor([1.0, 2.0]), device=here)",
        'torch.as_tensor(x, device="cpu")',
    ]


def test_gradients_flow_through_watched_copies() -> None:
    x = torch.ones(2, requires_grad=True)
    with detect_syncs():
        x.cpu().sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    assert x.grad.numpy().tolist() == [1.0, 1.0]


def test_report_as_json_carries_what_the_text_shows() -> None:
    with detect_syncs(stack=True) as report, stage("decode 1"):
        torch.ones(2).tolist()
    loaded = json.loads(report.json())
    [finding] = loaded["findings"]
    assert loaded["count"] == finding["count"] == 1
    assert finding["operator"] == "Tensor.tolist"
    assert finding["stages"] == {"decode 1": 1}
    assert finding["site"]["source"] == "torch.ones(2).tolist()"
    assert finding["stack"][0] == finding["site"]
    assert finding["site"]["function"] == "test_report_as_json_carries_what_the_text_shows"


def test_without_a_stack_none_is_kept() -> None:
    with detect_syncs() as report:
        torch.ones(2).tolist()
    assert report.findings[0].stack == ()


def test_a_silent_block_says_so() -> None:
    with detect_syncs() as report:
        torch.ones(2).sum()
    assert report.text() == "no waits"


def test_on_another_device_the_cpu_is_the_host() -> None:
    """With a real device named, nothing needs declaring: here `meta`, which reads nothing."""
    x = torch.ones(2, 3, device="meta")
    with detect_syncs(device="meta") as report:
        torch.ones(2).tolist()
        torch.tensor([1.0, 2.0]).to("meta")
        x + torch.ones((), device="cpu")
        torch.tensor([1.0], device=x.device)
    assert [f.operator for f in report.findings] == ["Tensor.to", "torch.tensor"]


def test_on_a_gpu_memory_that_is_pinned_takes_copies_that_do_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    places, flags = Places(torch.device("cuda")), torch.zeros(2)
    assert places.of(flags) is Place.PAGEABLE
    monkeypatch.setattr(torch.Tensor, "is_pinned", lambda _tensor: True)
    assert places.of(flags) is Place.PINNED
