"""Whole pruned networks on a GPU, one image: torch eager and compiled, and sparse kernels.

    python benchmarks/networks.py --network mobilenet-v1 --seconds 500 --output results/networks
    python benchmarks/networks.py --seconds 230 --no-compile

Each way of running is compared with float64 first. Times are medians: "launched" by torch call by
call, which the host limits; "graph": replayed from a CUDA graph. The sparse kernels of all networks
and element types are compiled first, in parallel processes. No network may take more than an equal
share of the time that is left after that; what a share left out is in the table, with the reason.
Nothing is downloaded.
"""

import argparse
import copy
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from markdown import table
from network_models import NETWORKS, pruned_network
from sparsert_ir.errors import NoDeviceError
from sparsert_ir.runtime.device import require_gpu
from sparsert_ir.runtime.timing import time_launches

torch: Any = import_module("torch")

MODES = ("f32", "tf32", "f16")
"""Math of torch's dense layers. Sparse kernels compute in f32, f32 and f16."""
_TOLERANCE = {"f32": 1e-4, "tf32": 2e-2, "f16": 5e-2}
"""Of the largest element of the result in float64."""
_CALLS = 30
_SECONDS_FOR_COMPILING = 60.0
_SHARE_FOR_KERNELS = 0.6
"""Of the time, at most, to compile the sparse kernels."""
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_ALARMS = 5.0


@dataclass(frozen=True)
class Result:
    """Of one way to run a network in one mode: microseconds per image, or why there are none.

    error: largest difference from float64, as a part of the largest element.
    """

    network: str
    mode: str
    way: str
    graph_us: float | None
    launched_us: float | None
    error: float | None
    note: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        wrong = self.error is not None and not self.error <= _TOLERANCE[self.mode]
        numbers = [_number(value, ".1f") for value in (self.graph_us, self.launched_us)]
        note = f"WRONG {self.note}".strip() if wrong else self.note
        return (self.network, self.mode, self.way, *numbers, _number(self.error, ".1e"), note)


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


class OutOfTimeError(Exception):
    """The time limit came while something ran."""


@contextmanager
def limited(seconds: float) -> Generator[None]:
    """Raise OutOfTimeError inside the `with` after so many seconds, and again where that was taken
    for an error of something else.
    """

    def stop(*_: object) -> None:
        raise OutOfTimeError(f"out of time after {seconds:.0f} s")

    if seconds < 1:
        raise OutOfTimeError("out of time")
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, _SECONDS_BETWEEN_ALARMS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclass(frozen=True)
class Way:
    """How a network is run: `make` gives a callable and what to note about it, from a model and an
    image on the GPU, and a list that keeps what later ways may use again.
    """

    name: str
    make: Callable[[Any, Any, list[Any]], tuple[Callable[[Any], Any], str]]
    channels_last: bool = False
    compiles: bool = False


def _eager(model: Any, image: Any, kept: list[Any]) -> tuple[Callable[[Any], Any], str]:
    return model, ""


def _compiled(model: Any, image: Any, kept: list[Any]) -> tuple[Callable[[Any], Any], str]:
    return torch.compile(model), ""


def _sparse(model: Any, image: Any, kept: list[Any]) -> tuple[Any, str]:
    """Layers that live share their kernels with equal ones: so nothing is compiled twice."""
    library: Any = import_module("sparsert_ir.torch")
    begin = time.perf_counter()
    fast, report = library.sparsify(model, example_inputs=(image,))
    print(report, flush=True)
    kernels = library.prepare(fast, image, progress=told_now_and_then(begin))
    seconds = time.perf_counter() - begin
    kept.append(fast)
    return fast, f"{len(report.taken)} sparse layers, {kernels} kernels in {seconds:.0f} s"


def told_now_and_then(begin: float) -> Callable[[int, int], None]:
    """Prints how many kernels there are: the first, the last, and one line each ten seconds."""
    last = begin

    def tell(done: int, count: int) -> None:
        nonlocal last
        now = time.perf_counter()
        if done in (1, count) or now - last > _SECONDS_BETWEEN_LINES:
            last = now
            print(f"  {done} of {count} kernels after {now - begin:.0f} s", flush=True)

    return tell


def _sparse_compiled(model: Any, image: Any, kept: list[Any]) -> tuple[Callable[[Any], Any], str]:
    fast, note = _sparse(model, image, kept)
    return torch.compile(fast), note


WAYS = (
    Way("eager", _eager),
    Way("eager, channels last", _eager, channels_last=True),
    Way("sparse", _sparse),
    Way("torch.compile", _compiled, compiles=True),
    Way("torch.compile, channels last", _compiled, channels_last=True, compiles=True),
    Way("sparse, torch.compile", _sparse_compiled, compiles=True),
)


@dataclass(frozen=True, eq=False)
class Network:
    """A pruned model and an image on the CPU, the result in float64 on the GPU, and models whose
    kernels are used again.
    """

    name: str
    model: Any
    image: Any
    exact: Any
    kept: list[Any]

    @classmethod
    def of(cls, name: str, sparsity: float, size: int) -> "Network":
        model = pruned_network(name, sparsity, size)
        image = torch.randn(1, 3, size, size)
        with torch.inference_mode():
            exact = copy.deepcopy(model).double().cuda()(image.double().cuda())
        return cls(name, model, image, exact, [])


def measure(network: Network, mode: str, way: Way) -> Result:
    """Check, then time; raises whatever goes wrong."""
    torch.backends.cuda.matmul.allow_tf32 = mode == "tf32"
    torch.backends.cudnn.allow_tf32 = mode == "tf32"
    dtype = _dtype_of(mode)
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    own = copy.deepcopy(network.model).to("cuda", dtype, memory_format=layout)
    x = network.image.to("cuda", dtype, memory_format=layout)
    with torch.inference_mode():
        run, note = way.make(own, x, network.kept)
        difference = (run(x).double() - network.exact).abs().max()
        error = float(difference / network.exact.abs().max())
        launched_us = _launched_us(lambda: run(x))
        graph_us = time_launches(lambda: run(x), repeats=1, replays=100).median_us
    return Result(network.name, mode, way.name, graph_us, launched_us, error, note)


def _launched_us(call: Callable[[], object]) -> float:
    """Microseconds from the call to the end of its work on the GPU, median."""
    times: list[float] = []
    for _ in range(3 + _CALLS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        call()
        torch.cuda.synchronize()
        times.append(time.perf_counter() - begin)
    return 1e6 * statistics.median(times[3:])


class Together(torch.nn.Module):
    """Networks of which each has an image of its own: what they need is compiled at once."""

    def __init__(self, networks: Sequence[Any]) -> None:
        torch.nn.Module.__init__(self)
        self.networks = torch.nn.ModuleList(networks)

    def forward(self, *images: Any) -> list[Any]:
        return [network(image) for network, image in zip(self.networks, images, strict=True)]


def compile_all(networks: Sequence[Network], modes: Sequence[str]) -> int:
    """The kernels of all networks in the modes' element types, which stay with `Network.kept`;
    returns how many.
    """
    library: Any = import_module("sparsert_ir.torch")
    begin = time.perf_counter()
    found: list[tuple[Any, Any]] = []
    with torch.inference_mode():
        for network in networks:
            for dtype in dict.fromkeys(_dtype_of(mode) for mode in modes):
                own = copy.deepcopy(network.model).to(network.exact.device, dtype)
                image = network.image.to(network.exact.device, dtype)
                fast, _ = library.sparsify(own, example_inputs=(image,))
                network.kept.append(fast)
                found.append((fast, image))
        models, images = zip(*found, strict=True)
        return library.prepare(Together(models), *images, progress=told_now_and_then(begin))


def _dtype_of(mode: str) -> Any:
    return torch.float16 if mode == "f16" else torch.float32


def measure_all(options: argparse.Namespace, write: Callable[[list[Result]], None]) -> None:
    """All networks, modes and ways, until the time is over; `write` has every result so far."""
    end = time.monotonic() + options.seconds
    results: list[Result] = []

    def keep(result: Result) -> None:
        results.append(result)
        print(" ".join(result.cells), flush=True)
        write(results)

    networks: list[Network] = []
    for name in options.network:
        try:
            with limited(end - time.monotonic()):
                networks.append(Network.of(name, options.sparsity, options.size))
        except Exception as error:
            keep(failed(name, "", "all", error))
    if networks:
        try:
            with limited(_SHARE_FOR_KERNELS * (end - time.monotonic())):
                compile_all(networks, options.modes)
        except Exception as error:
            # Each way compiles what it lacks, and says why where it cannot.
            print(f"compiling all kernels at once: {error}", flush=True)
    for number, network in enumerate(networks):
        share = share_of(end - time.monotonic(), len(networks) - number)
        _measure_network(network, options, time.monotonic() + share, keep)


def share_of(left: float, networks: int) -> float:
    """Seconds for the next of so many networks: what one does not need is there for the others."""
    return max(0.0, left) / networks


def _measure_network(
    network: Network, options: argparse.Namespace, end: float, keep: Callable[[Result], None]
) -> None:
    print(f"{network.name}: {end - time.monotonic():.0f} s", flush=True)
    # What compiles comes last, for every mode: it may take all the time there is.
    for way in (way for way in WAYS if not (way.compiles and options.no_compile)):
        for mode in options.modes:
            keep(_try(network, mode, way, end - time.monotonic()))


def _try(network: Network, mode: str, way: Way, seconds: float) -> Result:
    """One way that fails must not end the others."""
    try:
        needed = _SECONDS_FOR_COMPILING if way.compiles else 0.0
        with limited(0.0 if seconds < needed else seconds):
            return measure(network, mode, way)
    except Exception as error:
        return failed(network.name, mode, way.name, error)


def failed(network: str, mode: str, way: str, error: Exception) -> Result:
    """A row without times, and the first line of the reason."""
    reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200]
    return Result(network, mode, way, None, None, None, reason)


def text_of(title: str, results: Sequence[Result]) -> str:
    head = ["network", "math", "way", "graph us", "launched us", "error", "note"]
    return f"{title}\n\n{table(head, [result.cells for result in results])}\n"


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Pruned networks, dense and sparse")
    parser.add_argument("--network", nargs="+", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--size", type=int, default=224, help="height and width of the image")
    parser.add_argument("--seconds", type=float, default=540.0, help="when to stop")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--output", type=Path, help="path without suffix: .md and .json")
    return parser.parse_args(arguments)


def main() -> int:
    options = options_of(None)
    try:
        gpu = require_gpu()
    except NoDeviceError as error:
        print(f"networks.py: {error}", file=sys.stderr)
        return 2
    command = "python benchmarks/networks.py " + " ".join(sys.argv[1:])
    title = (
        f"`{command.strip()}`\n\n{gpu.name}, torch {torch.__version__}; one image of 3 x"
        f" {options.size} x {options.size}, {options.sparsity:.0%} zeros; microseconds."
    )

    def write(results: list[Result]) -> None:
        if options.output is not None:
            options.output.parent.mkdir(parents=True, exist_ok=True)
            _replace(options.output.with_suffix(".md"), text_of(title, results))
            content = [asdict(result) for result in results]
            _replace(options.output.with_suffix(".json"), json.dumps(content, indent=1))

    kept: list[Result] = []

    def keep(results: list[Result]) -> None:
        kept[:] = results
        write(results)

    measure_all(options, keep)
    print(f"\n{text_of(title, kept)}")
    return 0 if any(result.graph_us is not None for result in kept) else 1


def _replace(path: Path, text: str) -> None:
    """Write the whole file or nothing."""
    draft = path.with_name(path.name + ".new")
    draft.write_text(text, encoding="utf-8")
    os.replace(draft, path)


if __name__ == "__main__":
    sys.exit(main())
