"""How long kernels take: many launches in one CUDA graph, replayed, timed on the GPU."""

import sys
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

from sparsert_ir.errors import ArgumentError, DeviceError
from sparsert_ir.runtime.device import current_gpu, require_gpu
from sparsert_ir.runtime.driver import check, load_driver
from sparsert_ir.runtime.streams import cupy_stream, stream_handle

Run: TypeAlias = Callable[[], object]

_WARM_UP_REPLAYS = 5


@dataclass(frozen=True)
class TimingResult:
    """Microseconds per launch over all replays of a graph of `launches` launches."""

    median_us: float
    min_us: float
    p10_us: float
    p90_us: float
    launches: int


@dataclass(frozen=True)
class _Graph:
    """A captured graph: `replay` launches it once on the stream with handle `stream`."""

    stream: int
    replay: Callable[[], None]


def time_launches(
    runs: Run | Sequence[Run],
    *,
    repeats: int = 20,
    replays: int = 50,
    ordinal: int | None = None,
    stream: Any = None,
) -> TimingResult:
    """Time what `runs` launch: functions without arguments that launch work and do not wait.

    Several runs take turns inside the graph; with enough of them, each on arrays of its own, none
    finds its data in the L2 cache.
    repeats: launches in the graph, rounded up to whole turns.
    replays: timed replays, after warm-up; each gives one time per launch.
    ordinal: the GPU, the first one by default.
    stream:  where the runs launch. By default a new one, made torch's and cupy's current stream.
    Raises NoDeviceError, and DeviceError for runs that cannot be captured or launch elsewhere.
    """
    turn = [runs] if callable(runs) else list(runs)
    if not turn or repeats < 1 or replays < 1:
        raise ArgumentError(
            "expected one run, one repeat and one replay or more,"
            f" got {len(turn)}, {repeats} and {replays}"
        )
    queue = turn * -(-repeats // len(turn))
    gpu = require_gpu(ordinal)
    torch = sys.modules.get("torch")
    with ExitStack() as stack:
        stack.enter_context(current_gpu(gpu.ordinal))
        if stream is None and torch is not None and torch.cuda.is_available():
            graph = stack.enter_context(_torch_graph(torch, queue, gpu.ordinal))
        else:
            graph = stack.enter_context(_driver_graph(queue, stream))
        return _summarize(_replay_times(graph, replays), len(queue))


@contextmanager
def _torch_graph(torch: Any, queue: Sequence[Run], ordinal: int) -> Generator[_Graph]:
    """Capture through torch, whose allocator has to know."""
    with torch.cuda.device(ordinal):
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(stream), _cupy_stream(stream.cuda_stream):
            _run_all(queue)
            stream.synchronize()
            with warnings.catch_warnings():
                # That a graph is empty is told by `_run_captured`.
                warnings.filterwarnings("ignore", message="The CUDA Graph is empty")
                with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                    _run_captured(queue, stream.cuda_stream)
            yield _Graph(stream.cuda_stream, graph.replay)
            stream.synchronize()


@contextmanager
def _driver_graph(queue: Sequence[Run], given: Any) -> Generator[_Graph]:
    """Capture through the driver, on the stream `given` or a new one."""
    driver = load_driver()
    with ExitStack() as stack:
        stream = _new_stream(stack) if given is None else stream_handle(given)
        _run_all(queue)
        check(driver.cuStreamSynchronize(stream), "warming up")
        captured = _capture(queue, stream)
        stack.callback(driver.cuGraphDestroy, captured)
        executable = check(driver.cuGraphInstantiate(captured, 0), "building a CUDA graph")
        stack.callback(driver.cuGraphExecDestroy, executable)

        def replay() -> None:
            check(driver.cuGraphLaunch(executable, stream), "replaying a CUDA graph")

        yield _Graph(stream, replay)
        check(driver.cuStreamSynchronize(stream), "replaying a CUDA graph")


def _new_stream(stack: ExitStack) -> int:
    """A stream that lives as long as `stack`, cupy's current one meanwhile."""
    driver = load_driver()
    kind = driver.CUstream_flags.CU_STREAM_NON_BLOCKING
    stream = check(driver.cuStreamCreate(kind), "creating a stream")
    stack.callback(driver.cuStreamDestroy, stream)
    stack.enter_context(_cupy_stream(int(stream)))
    return int(stream)


def _capture(queue: Sequence[Run], stream: int) -> Any:
    driver = load_driver()
    doing = "capturing a CUDA graph"
    mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
    check(driver.cuStreamBeginCapture(stream, mode), doing)
    try:
        _run_captured(queue, stream)
    except BaseException:
        driver.cuStreamEndCapture(stream)
        raise
    return check(driver.cuStreamEndCapture(stream), doing)


@contextmanager
def _cupy_stream(handle: int) -> Generator[None]:
    """Make a stream cupy's current one, where cupy is in use."""
    cupy = sys.modules.get("cupy")
    if cupy is None:
        yield
        return
    with cupy_stream(cupy, handle):
        yield


def _run_all(queue: Sequence[Run]) -> None:
    for run in queue:
        run()


def _run_captured(queue: Sequence[Run], stream: int) -> None:
    """Run while `stream` is captured; DeviceError if less than one piece of work of each run got
    into the graph, as when they launch on another stream: the time would be that of nothing.
    """
    driver = load_driver()
    doing = "looking at a captured CUDA graph"
    _run_all(queue)
    graph = check(driver.cuStreamGetCaptureInfo(stream), doing)[2]
    captured = int(check(driver.cuGraphGetNodes(graph, 0), doing)[1])
    if captured < len(queue):
        raise DeviceError(
            f"timing: expected {len(queue)} launches or more on the stream that is timed, got"
            f" {captured}; give time_launches the stream on which the runs launch"
        )


def _replay_times(graph: _Graph, replays: int) -> list[float]:
    """Microseconds of each replay, back to back: launching the next one overlaps this one."""
    driver = load_driver()
    doing = "timing a CUDA graph"
    with ExitStack() as stack:
        marks: list[Any] = []
        for _ in range(replays + 1):
            marks.append(check(driver.cuEventCreate(0), doing))
            stack.callback(driver.cuEventDestroy, marks[-1])
        for _ in range(_WARM_UP_REPLAYS):
            graph.replay()
        check(driver.cuEventRecord(marks[0], graph.stream), doing)
        for mark in marks[1:]:
            graph.replay()
            check(driver.cuEventRecord(mark, graph.stream), doing)
        check(driver.cuEventSynchronize(marks[-1]), doing)
        pairs = pairwise(marks)
        return [1000.0 * check(driver.cuEventElapsedTime(*pair), doing) for pair in pairs]


def _summarize(replay_times: list[float], launches: int) -> TimingResult:
    import numpy as np

    times = np.array(replay_times) / launches
    p10, median, p90 = (float(value) for value in np.percentile(times, [10, 50, 90]))
    return TimingResult(median, float(times.min()), p10, p90, launches)
