"""A pytest plugin: PyTorch's own kernels in place of oneDNN's, for the whole session."""

import torch


def pytest_configure() -> None:
    torch.backends.mkldnn.set_flags(False)  # type: ignore[no-untyped-call]


def pytest_report_header() -> str:
    return f"oneDNN: {'on' if torch.backends.mkldnn.enabled else 'off'}"
