"""Streams of any library as the driver's handles."""

import contextlib
from typing import Any

from sparsert_ir.errors import CallError
from sparsert_ir.runtime.device import Gpu, current_gpu
from sparsert_ir.runtime.driver import check, load_driver

_LEGACY_DEFAULT = 1
"""The driver's other name of the default stream, whose handle is 0."""


def stream_handle(stream: Any) -> int:
    """The driver's handle of a stream: an int, or an object with `__cuda_stream__`.

    torch's `cuda_stream` and cupy's `ptr` are understood, too; CallError for anything else.
    """
    if isinstance(stream, int):
        return stream
    if hasattr(stream, "__cuda_stream__"):
        return int(stream.__cuda_stream__()[1])
    for attribute in ("cuda_stream", "ptr"):
        handle = getattr(stream, attribute, None)
        if isinstance(handle, int):
            return handle
    raise CallError(
        "expected a handle (int), an object with __cuda_stream__, or a stream of torch or cupy,"
        f" got {type(stream).__module__}.{type(stream).__qualname__}"
    )


def cupy_stream(cupy: Any, handle: int) -> Any:
    """A stream of any library as one of the module `cupy`, to be made its current one by `with`."""
    kind = cupy.cuda.Stream
    if hasattr(kind, "from_external"):
        return kind.from_external(_Foreign(handle))
    return cupy.cuda.ExternalStream(handle)


class _Foreign:
    """What the CUDA stream protocol asks for, version 0."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def __cuda_stream__(self) -> tuple[int, int]:
        return 0, self._handle


class OwnStream:
    """A stream of the driver, destroyed with this object."""

    def __init__(self, gpu: Gpu) -> None:
        driver = load_driver()
        self._gpu = gpu
        with current_gpu(gpu.ordinal):
            kind = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
            self._stream = check(driver.cuStreamCreate(kind), "creating a stream")

    @property
    def handle(self) -> int:
        return int(self._stream)

    def wait(self) -> None:
        """Return when all its work is done; raises DeviceError for work that failed."""
        with current_gpu(self._gpu.ordinal):
            check(load_driver().cuStreamSynchronize(self._stream), "waiting for a stream")

    def __del__(self) -> None:
        with contextlib.suppress(Exception), current_gpu(self._gpu.ordinal):
            load_driver().cuStreamDestroy(self._stream)


def order_after(producer: int | None, consumer: int) -> None:
    """Let later work on stream `consumer` start after what `producer` holds now.

    The GPU waits, the host does not. None is a producer that needs no ordering.
    """
    if producer is None or _number(producer) == _number(consumer):
        return
    driver = load_driver()
    doing = "ordering two streams"
    flags = driver.CUevent_flags.CU_EVENT_DISABLE_TIMING
    event = check(driver.cuEventCreate(flags), doing)
    try:
        check(driver.cuEventRecord(event, producer), doing)
        check(driver.cuStreamWaitEvent(consumer, event, 0), doing)
    finally:
        driver.cuEventDestroy(event)


def _number(stream: int) -> int:
    return 0 if stream == _LEGACY_DEFAULT else stream
