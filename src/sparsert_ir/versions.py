"""Versions of what turns a matrix into machine code."""

import importlib.metadata

from sparsert_ir.runtime.device import probe_gpus

_PACKAGES = ("sparsert_ir", "xdsl", "llvmlite", "numpy")


def versions(*, driver: bool) -> dict[str, str]:
    """Of this package and what it builds with; with `driver` the newest CUDA that it supports."""
    found = {name: _version(name) for name in _PACKAGES}
    if driver:
        found["driver"] = str(probe_gpus().driver_version)
    return found


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
