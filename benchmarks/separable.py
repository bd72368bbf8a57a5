"""The blocks of MobileNetV1, a depthwise and a pointwise convolution, in one kernel and in two.

    python benchmarks/separable.py --output results/separable
    python benchmarks/separable.py --batch 1 8 --candidates 12 --seconds 550
    python benchmarks/separable.py --target cpu --threads 1

Each result is checked against float64 first. On a GPU times come from CUDA graphs, and torch runs
its convolutions by cuDNN with its benchmark mode on; on a CPU the shortest call counts. "one" is
one kernel with the compiler's schedule, "tuned" the fastest of --candidates, "two" one kernel each;
"predicted" is what the models say of "one" and "two", by which the compiler decides.
Writes OUTPUT.md and OUTPUT.json, renewed after each case.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from markdown import table
from results import replace_text
from sparsert_ir.cost_model.convolution_facts import ConvolutionFacts
from sparsert_ir.schedules.separable import best_separable, choose_separable
from sparsert_ir.separable_compiler import SeparableLayers, separable_layers
from sparsert_ir.targets import target_of
from sparsert_ir.tuner.build_job import Build, BuildJob, build
from sparsert_ir.workers.pool import WorkerPool

BLOCKS = (
    (32, 64, 112, 1), (64, 128, 112, 2), (128, 128, 56, 1), (128, 256, 56, 2), (256, 256, 28, 1),
    (256, 512, 28, 2), (512, 512, 14, 1), (512, 1024, 14, 2), (1024, 1024, 7, 1),
)  # fmt: skip
"""Channels, output channels, side of the image, stride: A. Howard et al., "MobileNets", 2017."""
_TOLERANCE = {"f32": 1e-4, "tf32": 1e-2, "f16": 1e-2}
"""Of the largest element of the result."""
_CPU_SECONDS = 0.3


@dataclass(frozen=True, eq=False)
class Block:
    """One case with its numbers, in f32."""

    channels: int
    outputs: int
    side: int
    stride: int
    batch: int
    depthwise: Any
    pointwise: Any

    @classmethod
    def of(cls, geometry: tuple[int, int, int, int], batch: int, sparsity: float) -> "Block":
        channels, outputs, _, _ = geometry
        random = np.random.default_rng(channels)
        pointwise = random.standard_normal((outputs, channels))
        pointwise *= random.random((outputs, channels)) >= sparsity
        depthwise = random.standard_normal((channels, 1, 3, 3)) / 3
        return cls(*geometry, batch, depthwise.astype("f4"), pointwise.astype("f4"))

    @property
    def label(self) -> str:
        stride = f" stride {self.stride}" if self.stride > 1 else ""
        return f"{self.channels}-{self.outputs}@{self.side}{stride} x{self.batch}"

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.channels, self.side, self.side

    def layers(self, dtype: str) -> SeparableLayers:
        """With the bias and the ReLU that batch norm leaves behind."""
        return separable_layers(
            self.depthwise,
            self.pointwise,
            self.input_shape,
            stride=self.stride,
            padding=1,
            depthwise_bias=np.full(self.channels, 0.1),
            depthwise_activation="relu",
            bias=np.full(self.outputs, 0.1),
            activation="relu",
            dtype=dtype,
        )


@dataclass(frozen=True, eq=False)
class Peers:
    """torch's convolutions, the truth among them; `place` is "cuda" or "cpu"."""

    block: Block
    place: str

    def x(self, dtype: str) -> Any:
        torch: Any = import_module("torch")
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(self.block.input_shape, generator=generator)
        return x.to(self.place, self._kind(dtype))

    def dense(self, x: Any) -> Callable[[], Any]:
        """The block in the element type and memory format of x."""
        torch: Any = import_module("torch")
        functional, block = torch.nn.functional, self.block
        weights = [
            torch.from_numpy(array).to(x.device, x.dtype)
            for array in (block.depthwise, block.pointwise[:, :, np.newaxis, np.newaxis].copy())
        ]
        biases = [torch.full((len(one),), 0.1).to(x.device, x.dtype) for one in weights]

        def run() -> Any:
            between = functional.conv2d(
                x, weights[0], biases[0], block.stride, 1, groups=block.channels
            )
            return functional.conv2d(between.relu_(), weights[1], biases[1]).relu_()

        return run

    def _kind(self, dtype: str) -> Any:
        torch: Any = import_module("torch")
        return torch.float16 if dtype == "f16" else torch.float32


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    deadline = time.monotonic() + options.seconds
    target = target_of(options.target)
    title = f"`{shlex.join(['python', 'benchmarks/separable.py', *(arguments or sys.argv[1:])])}`"
    rows: list[dict[str, Any]] = []
    workers = 1 if target == "cpu" else options.workers
    with WorkerPool(build, workers, options.build_seconds) as pool:
        for block, dtype in cases(options):
            if time.monotonic() > deadline:
                print(f"{block.label} {dtype}: no time left", file=sys.stderr)
                continue
            rows.append(run_case(block, dtype, target, options, pool))
            write_all(options.output, title, rows)
            print(" ".join(f"{key} {value}" for key, value in cells(rows[-1]).items()), flush=True)
    return 0 if rows else 1


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--target", help="cpu or an architecture; the GPU present, else cpu")
    parser.add_argument("--batch", type=int, nargs="*", default=[1])
    parser.add_argument("--sparsity", type=float, default=0.9)
    parser.add_argument("--dtype", nargs="*", choices=["f32", "f16"], default=["f32", "f16"])
    parser.add_argument("--only", nargs="*", default=[], help="parts of labels to keep")
    parser.add_argument("--candidates", type=int, default=0, help="schedules besides our own")
    parser.add_argument("--threads", type=int, default=1, help="on a CPU, at most")
    parser.add_argument("--seconds", type=float, default=550)
    parser.add_argument("--build-seconds", type=float, default=120)
    parser.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2))
    parser.add_argument("--output", type=Path, default=Path("separable"), help="without a suffix")
    return parser.parse_args(arguments)


def cases(options: argparse.Namespace) -> Iterator[tuple[Block, str]]:
    for batch in options.batch:
        for geometry in BLOCKS:
            block = Block.of(geometry, batch, options.sparsity)
            if not options.only or any(part in block.label for part in options.only):
                for dtype in options.dtype:
                    yield block, dtype


def run_case(
    block: Block,
    dtype: str,
    target: str,
    options: argparse.Namespace,
    pool: "WorkerPool[BuildJob, Build]",
) -> dict[str, Any]:
    """Everything about one case; what fails is named in it and stops nothing."""
    layers = block.layers(dtype)
    choice = choose_separable(ConvolutionFacts.of(layers.both), target)
    row: dict[str, Any] = {"label": block.label, "dtype": dtype, "predicted": choice.reason}
    row |= {"fused": choice.fused, "failures": [], "us": {}, "schedules": {}}
    jobs = build_jobs(layers, target, options.candidates)
    names = {id(job): name for name, job in jobs}
    built: dict[str, list[Build]] = {}
    for end in pool.run([job for _, job in jobs]):
        name = names[id(end.task)]
        if end.value is None:
            row["failures"].append(f"build {name}: {end.failure[-300:]}")
        else:
            built.setdefault(name, []).append(end.value)
    timer = Timer(Peers(block, "cpu" if target == "cpu" else "cuda"), dtype, options.threads)
    for name, ours in ours_to_time(built).items():
        for chain in ours:
            note(row, name, timer, chain)
    for name in timer.peers():
        attempt(row, name, lambda name=name: timer.peer(name))
    return row


def build_jobs(layers: SeparableLayers, target: str, candidates: int) -> list[tuple[str, BuildJob]]:
    """What is built, by name."""
    ordinal = None if target == "cpu" else 0
    facts = ConvolutionFacts.of(layers.both)
    found = best_separable(facts, target, candidates + 1)[1:] if candidates else []
    named = [("one", layers.both), ("depthwise", layers.depthwise), ("pointwise", layers.pointwise)]
    named += [("tuned", replace(layers.both, schedule=schedule)) for schedule in found]
    return [(name, BuildJob(layer=one, target=target, ordinal=ordinal)) for name, one in named]


def ours_to_time(built: dict[str, list[Build]]) -> dict[str, list[list[Build]]]:
    """Kernels that run one after the other, by name."""
    chains = {"one": [[one] for one in built.get("one", [])]}
    chains["tuned"] = [[one] for one in (*built.get("one", []), *built.get("tuned", []))]
    if "depthwise" in built and "pointwise" in built:
        chains["two"] = [[built["depthwise"][0], built["pointwise"][0]]]
    if "tuned" not in built:
        del chains["tuned"]
    return chains


def note(row: dict[str, Any], name: str, timer: "Timer", chain: list[Build]) -> None:
    """The time of a chain of kernels, if it is the fastest of its name."""
    before = row["us"].get(name, float("inf"))
    attempt(row, name, lambda: timer.ours(chain))
    if row["us"].get(name, before) < before:
        row["schedules"][name] = [str(one.schedule) for one in chain]
    elif name in row["us"]:
        row["us"][name] = min(before, row["us"][name])


def attempt(row: dict[str, Any], name: str, run: Callable[[], float]) -> None:
    try:
        row["us"][name] = run()
    except Exception as error:
        row["failures"].append(f"{name}: {type(error).__name__}: {error}"[:300])


class Timer:
    """Checks and times ways to compute one block."""

    def __init__(self, peers: Peers, dtype: str, threads: int) -> None:
        self._peers, self._dtype, self._threads = peers, dtype, threads
        self._x = peers.x(dtype)
        self._exact = peers.dense(self._x.double())()

    def peers(self) -> list[str]:
        """torch's ways in this element type."""
        if self._peers.place == "cpu":
            return ["torch"] if self._dtype == "f32" else []
        modes = ["tf32", "f32"] if self._dtype == "f32" else ["f16"]
        return [name for mode in modes for name in (f"cudnn {mode}", f"cudnn {mode} nhwc")]

    def ours(self, chain: list[Build]) -> float:
        """Microseconds of the kernels one after the other."""
        torch: Any = import_module("torch")
        on_gpu = self._peers.place == "cuda"
        binaries = [one.binary for one in chain]
        kernels: list[Any] = [
            one.load_on_gpu()
            if on_gpu
            else replace(one, threads=min(one.threads, self._threads)).load_on_cpu()
            for one in binaries
        ]
        arrays = [self._x]
        for one in binaries:
            shape = one.signature.y_shape
            y = torch.full(shape, float("nan"), dtype=self._x.dtype, device=self._x.device)
            arrays.append(y)
        given = arrays if on_gpu else [array.numpy() for array in arrays]

        def run() -> Any:
            for kernel, x, y in zip(kernels, given, given[1:], strict=False):
                kernel(x, out=y)
            return arrays[-1]

        try:
            self._check(run(), self._dtype)
            return self._time(run)
        finally:
            for kernel in kernels if on_gpu else []:
                kernel.kernel.unload()

    def peer(self, name: str) -> float:
        torch: Any = import_module("torch")
        mode = name.split()[1] if " " in name else self._dtype
        layout = torch.channels_last if name.endswith("nhwc") else torch.contiguous_format
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = mode == "tf32"
        torch.set_num_threads(self._threads)
        run = self._peers.dense(self._x.contiguous(memory_format=layout))
        with torch.inference_mode():
            run()
            self._check(run(), mode)
            return self._time(run)

    def _check(self, y: Any, mode: str) -> None:
        error = float((y.double() - self._exact).abs().max() / self._exact.abs().max())
        if not error <= _TOLERANCE[mode]:
            raise ValueError(f"wrong by {error:.2g} of the largest element")

    def _time(self, run: Callable[[], Any]) -> float:
        if self._peers.place == "cuda":
            from sparsert_ir.runtime.timing import time_launches

            return time_launches(run).median_us
        shortest, end = float("inf"), time.perf_counter() + _CPU_SECONDS
        while time.perf_counter() < end:
            begin = time.perf_counter()
            run()
            shortest = min(shortest, time.perf_counter() - begin)
        return 1e6 * shortest


def cells(row: dict[str, Any]) -> dict[str, str]:
    times = {name: f"{us:.2f}" for name, us in row["us"].items()}
    return {"case": f"{row['label']} {row['dtype']}", **times, "predicted": row["predicted"]}


def write_all(output: Path, title: str, rows: list[dict[str, Any]]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(name for row in rows for name in cells(row)))
    lines = [[cells(row).get(name, "") for name in names] for row in rows]
    failures = [
        f"- {row['label']} {row['dtype']}: {one}" for row in rows for one in row["failures"]
    ]
    text = "\n\n".join([title, "Microseconds.", table(names, lines), *failures]) + "\n"
    replace_text(output.with_name(output.name + ".md"), text)
    document = json.dumps({"title": title, "cases": rows}, indent=1) + "\n"
    replace_text(output.with_name(output.name + ".json"), document)


if __name__ == "__main__":
    sys.exit(main())
