"""doctor: what this machine can do, and what to install for more."""

import argparse
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass

from sparsert_ir.cli.report import Report, Table
from sparsert_ir.tools.command_parser import USER_MISTAKE

_EXTRAS = (
    ("torch", "torch", "layers for PyTorch, and cuBLAS to compare with"),
    ("safetensors", "safetensors", "weights in .safetensors"),
    ("viz", "matplotlib", "pictures"),
)


@dataclass(frozen=True)
class Finding:
    """state: "ok", "missing" (something optional) or "broken"."""

    what: str
    state: str
    detail: str


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults()


def run(options: argparse.Namespace) -> Report:
    checks: list[Callable[[], Finding]] = [_python, _compiler, _processor, _gpu, _cache]
    findings = [_safely(check) for check in checks] + [_extra(*extra) for extra in _EXTRAS]
    broken = any(one.state == "broken" for one in findings)
    rows = [[one.what, one.state, one.detail] for one in findings]
    return Report(
        {"ok": not broken, "findings": [vars(one) for one in findings]},
        tables=[Table("", ["", "state", "detail"], rows)],
        status=USER_MISTAKE if broken else 0,
    )


def _safely(check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except Exception as error:
        # The doctor answers on machines where nothing else does.
        name = check.__name__.removeprefix("_")
        return Finding(name, "broken", f"{type(error).__name__}: {error}")


def _python() -> Finding:
    where = f"{platform.system()} {platform.machine()}"
    return Finding("Python", "ok", f"{platform.python_version()}, {where}, {os.cpu_count()} CPUs")


def _compiler() -> Finding:
    from sparsert_ir.versions import versions

    found = versions(driver=False)
    return Finding("compiler", "ok", ", ".join(f"{name} {one}" for name, one in found.items()))


def _processor() -> Finding:
    """Compiles and runs a small kernel."""
    import numpy as np

    from sparsert_ir.compiler import compile_spmm
    from sparsert_ir.emit.host import host_description

    weight = np.diag(np.arange(1, 9, dtype=np.float32))
    y = compile_spmm(weight, 4, target="cpu")(np.ones((8, 4), np.float32))
    if not np.array_equal(y, weight @ np.ones((8, 4), np.float32)):
        return Finding("target cpu", "broken", "a kernel computed a wrong result")
    return Finding("target cpu", "ok", f"{host_description()[0]}: a test kernel ran")


def _gpu() -> Finding:
    """Compiles, loads and runs a small kernel on the first GPU."""
    import numpy as np

    from sparsert_ir.cli.running import call
    from sparsert_ir.compiler import compile_spmm
    from sparsert_ir.runtime.device import probe_gpus
    from sparsert_ir.targets import target_of

    probe = probe_gpus()
    if not probe.gpus:
        return Finding("target GPU", "missing", f"{probe.reason}; kernels can still be compiled")
    gpu, version = probe.gpus[0], probe.driver_version
    weight = np.diag(np.arange(1, 9, dtype=np.float32))
    kernel = compile_spmm(weight, 4, target=target_of(None))
    outcome = call(kernel, np.ones((8, 4), np.float32), None, (8, 4))
    driver = f"driver for CUDA {version // 1000}.{version % 1000 // 10}"
    if not np.array_equal(outcome.y, weight @ np.ones((8, 4), np.float32)):
        return Finding("target GPU", "broken", f"{gpu.name}, {driver}: a wrong result")
    detail = f"{gpu.name} ({gpu.arch}, {gpu.memory / 2**30:.0f} GiB), {driver}: a test kernel ran"
    return Finding("target GPU", "ok", detail)


def _cache() -> Finding:
    import tempfile

    from sparsert_ir.runtime.cache import DIRECTORY_VARIABLE, cache_info

    info = cache_info()
    if info.directory is None:
        return Finding("cache", "missing", f"switched off ({DIRECTORY_VARIABLE})")
    place = info.directory
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        # Where root may write is not told by permissions.
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        reason = f"{place} cannot be written ({error.strerror}); set {DIRECTORY_VARIABLE}"
        return Finding("cache", "broken", reason)
    return Finding("cache", "ok", f"{info.directory}: {info.entries} kernels")


def _extra(extra: str, package: str, purpose: str) -> Finding:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return Finding(f"extra {extra}", "ok", f"{package} {version(package)}: {purpose}")
    except PackageNotFoundError:
        detail = f"pip install 'sparsert_ir[{extra}]' for {purpose}"
        return Finding(f"extra {extra}", "missing", detail)
