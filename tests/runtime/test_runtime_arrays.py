"""Reading arrays of several libraries without touching them."""

from typing import Any

import numpy as np
import pytest
from fake_arrays import (
    DlpackArray,
    InterfaceArray,
    SparseTorchTensor,
    TorchTensor,
    cupy_array,
    fake_cupy,
    fake_torch,
)
from fake_driver import FakeDriver

from sparsert_ir.element_types import numpy_type
from sparsert_ir.errors import CallError, DeviceError
from sparsert_ir.runtime import arrays, streams
from sparsert_ir.runtime.arrays import (
    ArrayView,
    CudaArrayInterfaceLibrary,
    CupyLibrary,
    DlpackLibrary,
    TorchLibrary,
    Wanted,
    is_contiguous,
    library_of,
)
from sparsert_ir.runtime.streams import stream_handle

SHAPE = (4, 8)


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int | None, int]]:
    """The (producer, consumer) streams that were put in order."""
    calls: list[tuple[int | None, int]] = []

    def order_after(producer: int | None, consumer: int) -> None:
        calls.append((producer, consumer))

    def device_of(library: CudaArrayInterfaceLibrary, pointer: int) -> int:
        return 3

    monkeypatch.setattr(arrays, "order_after", order_after)
    monkeypatch.setattr(CudaArrayInterfaceLibrary, "device_of", device_of)
    return calls


def view(array: object, stream: int = 0) -> ArrayView:
    return library_of(type(array)).view(array, stream)


def test_interface_arrays_are_read(ordered: list[Any]) -> None:
    assert view(InterfaceArray(64, SHAPE)) == ArrayView(64, SHAPE, "f32", True, 3, False)
    assert view(InterfaceArray(64, SHAPE, "<f2", readonly=True)).readonly
    assert view(InterfaceArray(64, SHAPE, "<f2")).dtype == "f16"
    assert view(InterfaceArray(64, SHAPE, numpy_type("bf16").str)).dtype == "bf16"
    assert view(InterfaceArray(64, SHAPE, "<i4")).dtype == "<i4"
    assert not view(InterfaceArray(64, SHAPE, strides=(4, 16))).contiguous
    assert view(InterfaceArray(64, SHAPE, strides=(32, 4))).contiguous


def test_interface_arrays_are_used_on_their_stream(ordered: list[Any]) -> None:
    array = InterfaceArray(64, SHAPE, stream=0x50)
    assert library_of(type(array)).current_stream(array) == 0x50
    assert library_of(type(array)).current_stream(InterfaceArray(64, SHAPE)) == 0
    view(array, 0x70)
    assert ordered == [(0x50, 0x70)]


def test_an_address_is_on_the_gpu_that_the_driver_itself_says(fake_driver: FakeDriver) -> None:
    library = CudaArrayInterfaceLibrary()
    high = 0xFFFF_8000_0000_0040
    fake_driver.owners = {0x40: 0, 0x80: 1, high: 7}
    assert [library.device_of(pointer) for pointer in (0x40, 0x80, high)] == [0, 1, 7]


def test_an_address_that_no_gpu_owns_is_on_none(fake_driver: FakeDriver) -> None:
    library = CudaArrayInterfaceLibrary()
    on_no_gpu = -2
    fake_driver.owners = {0x40: on_no_gpu}
    assert [library.device_of(pointer) for pointer in (0, 0x40, 0x80)] == [None] * 3


def test_a_driver_that_cannot_tell_is_an_error(fake_driver: FakeDriver) -> None:
    fake_driver.fail("cuGetProcAddress", 500)
    with pytest.raises(DeviceError, match="looking for cuPointerGetAttribute"):
        CudaArrayInterfaceLibrary().device_of(0x40)
    fake_driver.lacks_functions = True
    with pytest.raises(DeviceError, match="cuPointerGetAttribute, got VERSION_NOT_SUFFICIENT"):
        CudaArrayInterfaceLibrary().device_of(0x40)


def test_an_object_that_lost_its_interface_is_refused() -> None:
    class CpuArray(InterfaceArray):
        @property
        def __cuda_array_interface__(self) -> dict[str, Any]:
            raise AttributeError("this array is on the CPU")

    array = CpuArray(64, SHAPE)
    with pytest.raises(CallError, match="on the CPU"):
        library_of(CpuArray).current_stream(array)


def test_dlpack_arrays_are_read() -> None:
    assert view(DlpackArray(64, SHAPE)) == ArrayView(64, SHAPE, "f32", True, 0, False)
    assert view(DlpackArray(64, SHAPE, bits=16)).dtype == "f16"
    assert view(DlpackArray(64, SHAPE, bits=64)).dtype == "<f8"
    assert not view(DlpackArray(64, SHAPE, strides=(1, 4))).contiguous
    assert view(DlpackArray(64, SHAPE, strides=(8, 1))).contiguous
    assert view(DlpackArray(64, SHAPE, device=(2, 5))).device == 5


def test_dlpack_producers_are_told_the_stream() -> None:
    array = DlpackArray(64, SHAPE)
    view(array, 0x70)
    assert array.consumer_stream == 0x70
    view(array, 0)
    assert array.consumer_stream == 1


def test_host_arrays_are_on_no_gpu() -> None:
    assert isinstance(library_of(np.ndarray), DlpackLibrary)
    assert view(np.zeros(SHAPE, np.float32)).device is None


def test_torch_tensors_are_read() -> None:
    library = TorchLibrary(fake_torch(0x40, []))
    assert library.view(TorchTensor(64, SHAPE), 0) == ArrayView(64, SHAPE, "f32", True, 0, False)
    assert library.view(TorchTensor(64, SHAPE, dtype="torch.float16"), 0).dtype == "f16"
    assert library.view(TorchTensor(64, SHAPE, dtype="torch.bfloat16"), 0).dtype == "bf16"
    assert library.view(TorchTensor(64, SHAPE, dtype="torch.int8"), 0).dtype == "torch.int8"
    assert not library.view(TorchTensor(64, SHAPE, contiguous=False), 0).contiguous
    assert library.view(TorchTensor(64, SHAPE, index=2), 0).device == 2
    assert library.view(TorchTensor(64, SHAPE, is_cuda=False), 0).device is None
    with pytest.raises(CallError, match="dense storage"):
        library.view(SparseTorchTensor(64, SHAPE), 0)


def test_torch_tensors_are_used_on_the_current_stream_of_their_gpu() -> None:
    library = TorchLibrary(fake_torch(0x40, []))
    assert library.current_stream(TorchTensor(64, SHAPE, index=2)) == 0x42
    assert library.current_stream(TorchTensor(64, SHAPE, is_cuda=False)) == 0


def test_torch_results_are_like_the_input() -> None:
    made: list[Any] = []
    like = TorchTensor(64, SHAPE, dtype="torch.float16", index=1)
    y = TorchLibrary(fake_torch(0x40, made)).empty(like, (2, 8), None)
    assert made == [((2, 8), "torch.float16", like.device)]
    assert y.shape == (2, 8)


def test_cupy_arrays_are_read() -> None:
    library = CupyLibrary(fake_cupy(0x40))
    array = cupy_array(64, SHAPE, "<f2", ordinal=2)
    assert library.view(array, 0) == ArrayView(64, SHAPE, "f16", True, 2, False)
    assert library.view(cupy_array(64, SHAPE, "<i4"), 0).dtype == "<i4"
    assert library.current_stream(array) == 0x42


@pytest.mark.parametrize("thing", [None, 3.0, [1.0], "x"])
def test_what_is_no_array_is_refused(thing: object) -> None:
    with pytest.raises(CallError, match=f"got builtins.{type(thing).__name__}"):
        library_of(type(thing))


@pytest.mark.parametrize(
    ("shape", "strides", "expected"),
    [
        ((), (), True),
        ((5,), (1,), True),
        ((5,), (2,), False),
        ((2, 3), (3, 1), True),
        ((2, 3), (4, 1), False),
        ((2, 3), (1, 2), False),
        ((1, 3), (99, 1), True),
        ((3, 1), (1, 77), True),
        ((2, 3), (-3, 1), False),
        ((2, 3), (0, 1), False),
    ],
)
def test_contiguous_means_row_major_without_gaps(
    shape: tuple[int, ...], strides: tuple[int, ...], expected: bool
) -> None:
    assert is_contiguous(shape, strides, 1) == expected
    assert is_contiguous(shape, tuple(4 * stride for stride in strides), 4) == expected


class ProtocolStream:
    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, 0x11


class TorchStream:
    cuda_stream = 0x22


class CupyStream:
    ptr = 0x33


def test_streams_of_every_library_are_understood() -> None:
    given = [0, 0x44, ProtocolStream(), TorchStream(), CupyStream()]
    assert [stream_handle(stream) for stream in given] == [0, 0x44, 0x11, 0x22, 0x33]
    with pytest.raises(CallError, match="expected a handle"):
        stream_handle("main")


@pytest.mark.parametrize(("producer", "consumer"), [(None, 5), (5, 5), (0, 1), (1, 0)])
def test_work_on_one_stream_needs_no_ordering(
    monkeypatch: pytest.MonkeyPatch, producer: int | None, consumer: int
) -> None:
    def load_nothing() -> Any:
        raise AssertionError("no driver call was expected")

    monkeypatch.setattr(streams, "load_driver", load_nothing)
    streams.order_after(producer, consumer)


def test_two_streams_are_ordered_by_an_event_that_is_destroyed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    calls: list[tuple[Any, ...]] = []

    class Driver:
        class CUevent_flags:  # noqa: N801
            CU_EVENT_DISABLE_TIMING = 2

        def __getattr__(self, name: str) -> Any:
            def call(*arguments: Any) -> tuple[Any, ...]:
                calls.append((name, *arguments))
                return (0, "event") if name == "cuEventCreate" else (0,)

            return call

    monkeypatch.setattr(streams, "load_driver", Driver)
    streams.order_after(5, 7)
    assert calls == [
        ("cuEventCreate", 2),
        ("cuEventRecord", "event", 5),
        ("cuStreamWaitEvent", 7, "event", 0),
        ("cuEventDestroy", "event"),
    ]


@pytest.mark.torch
def test_a_tensor_that_is_all_that_is_wanted_gives_its_address_at_once() -> None:
    torch = pytest.importorskip("torch")
    library = TorchLibrary(torch)
    x = torch.zeros(4, 8)
    host = -1
    wanted = Wanted((4, 8), "f32", host, 15)
    assert library.pointer_if(x, wanted) == x.data_ptr()
    for other in (
        torch.zeros(4, 9),
        torch.zeros(4, 8, dtype=torch.float16),
        torch.zeros(8, 4).t(),
        torch.zeros(33)[1:].view(4, 8),
        torch.zeros(4, 8).to_sparse(),
    ):
        assert library.pointer_if(other, wanted) == 0
    assert library.pointer_if(x, Wanted((4, 8), "f32", 0, 15)) == 0
