"""Loading PTX: which GPUs may run it, what goes to the assembler, what comes from the cache."""

import struct
from pathlib import Path

import numpy as np
import pytest
from fake_driver import FakeDriver
from ptxas import assemble as ptxas_says

import sparsert_ir
from sparsert_ir.errors import (
    ArchitectureError,
    ArgumentError,
    DeviceError,
    DeviceMemoryError,
    NoDeviceError,
)
from sparsert_ir.runtime.cache import BinaryCache
from sparsert_ir.runtime.cubin import code_size, register_count
from sparsert_ir.runtime.device import Gpu, current_gpu, find_gpu
from sparsert_ir.runtime.program import (
    LoadedKernel,
    assemble,
    load_kernel,
    require_runnable,
)

PTX = ".version 8.0\n.target sm_80\n"


def gpu_of(arch: str) -> Gpu:
    return Gpu(ordinal=0, name="Fake", arch=arch, multiprocessors=1, memory=1)


@pytest.mark.parametrize(
    ("arch", "gpu", "runs"),
    [
        ("sm_80", "sm_90", True),
        ("sm_90", "sm_90", True),
        ("sm_100", "sm_90", False),
        ("sm_90a", "sm_90", True),
        ("sm_90a", "sm_100", False),
        ("sm_100f", "sm_103", True),
        ("sm_103f", "sm_100", False),
        ("sm_100f", "sm_120", False),
        ("sm_90", "sm_120", True),
    ],
)
def test_which_gpu_runs_which_code(arch: str, gpu: str, runs: bool) -> None:
    if runs:
        require_runnable(arch, gpu_of(gpu), "k")
        return
    with pytest.raises(ArchitectureError, match=f"@k: expected code that runs on {gpu}.*{arch}"):
        require_runnable(arch, gpu_of(gpu), "k")


@pytest.mark.parametrize("arch", ["", "90", "sm_", "sm_9x", "compute_90", "sm_90ab", "SM_90"])
def test_malformed_architectures_are_refused(arch: str) -> None:
    with pytest.raises(ArgumentError, match="such as 'sm_90'"):
        require_runnable(arch, gpu_of("sm_90"), "k")


def test_loading_without_a_gpu_says_so() -> None:
    if find_gpu() is not None:
        pytest.skip("this machine has a GPU")
    with pytest.raises(NoDeviceError, match="target="):
        load_kernel(PTX, "k", "sm_90")


def load(cache: BinaryCache, ptx: str = PTX) -> LoadedKernel:
    return load_kernel(ptx, "k", "sm_80", cache=cache)


def test_a_loaded_kernel_knows_what_it_takes(fake_driver: FakeDriver) -> None:
    kernel = load(BinaryCache(None))
    assert (kernel.name, kernel.gpu.arch, kernel.from_cache) == ("k", "sm_90", False)
    assert (kernel.registers, kernel.spilled_bytes) == (40, 8)
    assert (kernel.shared_bytes, kernel.max_threads) == (1024, 512)
    assert fake_driver.assembled == [PTX.encode() + b"\0"]


def test_a_binary_is_assembled_once_and_then_comes_from_the_cache(
    fake_driver: FakeDriver, tmp_path: Path
) -> None:
    assert not load(BinaryCache(tmp_path)).from_cache
    assert load(BinaryCache(tmp_path)).from_cache
    assert not load(BinaryCache(tmp_path), PTX + "// other").from_cache
    assert len(fake_driver.assembled) == 2
    assert fake_driver.loaded[0] == fake_driver.loaded[1] != fake_driver.loaded[2]


def test_another_driver_does_not_use_the_same_binary(
    fake_driver: FakeDriver, tmp_path: Path
) -> None:
    load(BinaryCache(tmp_path))
    fake_driver.set_probe(driver_version=13010)
    assert not load(BinaryCache(tmp_path)).from_cache


def test_what_the_assembler_refuses_is_an_error_with_its_log(fake_driver: FakeDriver) -> None:
    fake_driver.fail("cuLinkAddData", 218, log=b"ptxas fatal : line 3: parsing error")
    with pytest.raises(DeviceError, match=r"(?s)@k: assembling.*line 3: parsing error"):
        load(BinaryCache(None))
    assert fake_driver.linkers_alive == 0


@pytest.mark.parametrize(
    ("function", "code", "expected"),
    [
        ("cuLinkComplete", 209, ArchitectureError),
        ("cuLinkComplete", 2, DeviceMemoryError),
        ("cuModuleLoadData", 2, DeviceMemoryError),
        ("cuModuleLoadData", 200, DeviceError),
        ("cuModuleGetFunction", 500, DeviceError),
    ],
)
def test_failures_are_typed_name_the_kernel_and_leave_nothing_behind(
    fake_driver: FakeDriver, function: str, code: int, expected: type[DeviceError]
) -> None:
    fake_driver.fail(function, code)
    with pytest.raises(expected, match="kernel @k: ") as caught:
        load(BinaryCache(None))
    assert caught.type is expected
    assert fake_driver.linkers_alive == fake_driver.modules_alive == 0
    assert fake_driver.context_depth == 0


def test_unloading_removes_the_module(fake_driver: FakeDriver) -> None:
    kernel = load(BinaryCache(None))
    assert fake_driver.modules_alive == 1
    kernel.unload()
    assert fake_driver.modules_alive == 0


def elf_with_text(section: bytes, size: int) -> bytes:
    """The parts of an ELF64 file that name its sections: one of `size` bytes, and the names."""
    names = b"\0" + section + b"\0.shstrtab\0"
    names_offset, table = 64, 64 + len(names)
    header = bytearray(64)
    struct.pack_into("<Q", header, 0x28, table)
    struct.pack_into("<HHH", header, 0x3A, 64, 3, 2)

    def section_header(name: int, offset: int, size: int) -> bytes:
        return struct.pack("<IIQQQQ", name, 1, 0, 0, offset, size).ljust(64, b"\0")

    own_name = 1 + len(section) + 1
    headers = [
        section_header(0, 0, 0),
        section_header(1, 0, size),
        section_header(own_name, names_offset, len(names)),
    ]
    return bytes(header) + names + b"".join(headers)


def test_code_size_is_that_of_the_kernels_section() -> None:
    cubin = elf_with_text(b".text.k", 4096)
    assert code_size(cubin, "k") == 4096
    assert code_size(cubin, "other") == len(cubin)


def test_code_size_of_what_is_no_cubin_is_its_length() -> None:
    for data in (b"", b"junk", bytes(200), b"\xff" * 200):
        assert code_size(data, "k") == len(data)


def elf_with_info(attributes: bytes) -> bytes:
    """An ELF64 file with a section .nv.info that holds `attributes`."""
    elf = elf_with_text(b".nv.info", len(attributes))
    headers, content = int.from_bytes(elf[0x28:0x30], "little"), len(elf)
    # The offset of its content, in the second header.
    place = headers + 64 + 24
    return elf[:place] + content.to_bytes(8, "little") + elf[place + 8 :] + attributes


COUNT = b"\x04\x2f\x08\x00" + (13).to_bytes(4, "little") + (50).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("attributes", "registers"),
    [
        (COUNT, 50),
        (b"\x03\x1b\xff\x00" + b"\x04\x11\x04\x00abcd" + COUNT, 50),
        (b"", None),
        (COUNT + COUNT, None),
        (COUNT[:-1], None),
        (b"\x04\x2f\x04\x00abcd", None),
        (b"\x04\x2f\xff\xff", None),
    ],
)
def test_registers_are_read_from_a_cubin(attributes: bytes, registers: int | None) -> None:
    assert register_count(elf_with_info(attributes)) == registers


def test_registers_of_what_is_no_cubin_are_unknown() -> None:
    for data in (b"", b"junk", bytes(200), b"\xff" * 200):
        assert register_count(data) is None


@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_a_cubin_says_what_the_assembler_says(arch: str, tmp_path: Path) -> None:
    kernel = sparsert_ir.compile(np.eye(16), 64, target=arch)
    said = ptxas_says(kernel.ptx, arch, tmp_path)
    cubin = (tmp_path / "kernel.cubin").read_bytes()
    assert register_count(cubin) == said.registers > 0
    assert 0 < code_size(cubin, "spmm") < len(cubin)


def attributes_are_plausible(kernel: LoadedKernel) -> bool:
    return kernel.registers > 0 and kernel.spilled_bytes == 0 and 0 < kernel.code_bytes < 8192


def test_a_kernel_is_assembled_by_the_driver(gpu: Gpu, tmp_path: Path, axpy_ptx: str) -> None:
    cold = load_kernel(axpy_ptx, "axpy", "sm_80", cache=BinaryCache(tmp_path))
    warm = load_kernel(axpy_ptx, "axpy", "sm_80", cache=BinaryCache(tmp_path))
    assert attributes_are_plausible(cold)
    assert not cold.from_cache
    assert warm.from_cache
    assert (cold.registers, cold.code_bytes) == (warm.registers, warm.code_bytes)
    cold.unload()
    warm.unload()


def test_malformed_ptx_is_an_error_with_the_assemblers_log(gpu: Gpu, axpy_ptx: str) -> None:
    broken = axpy_ptx.replace("fma.rn.f32", "fma.nonsense")
    with pytest.raises(DeviceError, match=r"(?s)@axpy.*assembler log"):
        load_kernel(broken, "axpy", "sm_80", cache=BinaryCache(None))


def test_code_for_a_newer_gpu_is_refused(gpu: Gpu, axpy_ptx: str) -> None:
    newer = axpy_ptx.replace(".target sm_80", ".target sm_120").replace("8.0", "8.7")
    with pytest.raises(ArchitectureError, match="got code for sm_999"):
        load_kernel(newer, "axpy", "sm_999", cache=BinaryCache(None))
    if int(gpu.arch.removeprefix("sm_")) < 120:
        # The architecture is claimed wrongly; the driver finds out.
        with pytest.raises(ArchitectureError, match="@axpy"):
            load_kernel(newer, "axpy", "sm_80", cache=BinaryCache(None))


def test_an_unknown_entry_is_refused(gpu: Gpu, axpy_ptx: str) -> None:
    with pytest.raises(DeviceError, match="kernel @other"):
        load_kernel(axpy_ptx, "other", "sm_80", cache=BinaryCache(None))


def test_assembling_again_gives_the_same_binary(gpu: Gpu, axpy_ptx: str) -> None:
    with current_gpu(gpu.ordinal):
        assert assemble(axpy_ptx, "axpy") == assemble(axpy_ptx, "axpy")
