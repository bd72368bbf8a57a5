"""Fixtures that all tests share."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from sparsert_ir.runtime.cache import DIRECTORY_VARIABLE
from sparsert_ir.runtime.device import Gpu, find_gpu, probe_gpus

settings.register_profile("ci", max_examples=8, derandomize=True, deadline=None, database=None)
settings.register_profile("nightly", max_examples=500, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True, scope="session")
def private_kernel_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the tests away from the user's kernel cache."""
    directory = tmp_path_factory.mktemp("kernel-cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(DIRECTORY_VARIABLE, str(directory))
        yield directory


@pytest.fixture(scope="session")
def gpu() -> Gpu:
    """The first GPU; tests that ask for it are skipped where there is none."""
    found = find_gpu()
    if found is None:
        pytest.skip(f"no GPU: {probe_gpus().reason}")
    return found
