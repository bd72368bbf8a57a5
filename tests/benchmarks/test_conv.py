"""The convolution benchmark: its cases, what it builds, and its tables; without a GPU."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import conv
from conv import ConvolutionBuild, builds, measure_case, note, parse, ratio, report
from convolution_cases import ConvolutionCase, random_filter, resnet50_cases, stored_case
from convolution_jobs import BuiltConvolution, ConvolutionMeasurement, ConvolutionTime
from sparsert_ir import Schedule, compile_conv2d
from sparsert_ir.kernel_binary import KernelBinary
from sparsert_ir.workers.pool import Finished

MACHINE: dict[str, Any] = {"gpu": "none", "versions": {}}
HEADER: dict[str, Any] = {"title": "t", "command": "c", "machine": MACHINE}


def small_case(side: int = 7) -> ConvolutionCase:
    return ConvolutionCase("16", random_filter(16, 0.9), side, 1, 1, 0.9)


def binary() -> KernelBinary:
    return compile_conv2d(np.ones((1, 1, 1, 1)), (1, 1, 2, 2), target="sm_80").binary


def test_filters_have_the_sparsity_that_was_asked_for() -> None:
    weight = random_filter(16, 0.91)
    assert np.count_nonzero(weight) == weight.size - round(0.91 * weight.size)


def test_cases_are_the_layers_of_resnet50_and_the_stored_ones(tmp_path: Path) -> None:
    np.savez(tmp_path / "layer.npz", weight=random_filter(8, 0.5), image=9)
    cases = list(resnet50_cases([1, 8], [0.9], tmp_path))
    labels = [case.label for case in cases]
    assert labels[:2] == ["64@56 x1 90%", "128@28 x1 90%"]
    assert "512@14 stride 2 x8 90%" in labels
    assert labels[7] == "layer@9 x1 50%"
    assert len(labels) == 16


def test_a_file_without_a_filter_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "layer.npz", other=np.ones(3))
    with pytest.raises(ValueError, match="expected arrays weight and image"):
        stored_case(tmp_path / "layer.npz", 1)


@pytest.mark.parametrize("dtype", ["f32", "f16"])
def test_every_candidate_compiles(dtype: Any) -> None:
    case = small_case(28)
    jobs = builds(case, dtype, "sm_90", parse(["--candidates", "6"]))
    assert jobs[0].schedule is None
    assert len(jobs) > 3
    for job in jobs:
        kernel = compile_conv2d(
            case.weight,
            case.input_shape,
            padding=1,
            dtype=job.dtype,
            target=job.target,
            schedule=job.schedule,
        )
        assert "fma" in kernel.ptx or "mma.sync" in kernel.ptx


class FakePool:
    """Answers tasks in this process; None is a failure."""

    def __init__(self, answer: Any):
        self._answer = answer

    def run(self, tasks: Any, deadline: float | None = None) -> Any:
        for task in tasks:
            value = self._answer(task)
            yield Finished(task, value, "" if value else "it broke", "" if value else "Error")


def test_a_failure_costs_what_failed_alone() -> None:
    made = binary()

    def build(job: ConvolutionBuild) -> BuiltConvolution | None:
        return None if job.dtype == "f16" else BuiltConvolution(made, job.schedule or Schedule())

    def measure(job: ConvolutionMeasurement) -> ConvolutionTime | None:
        if job.run == "cudnn f16":
            return None
        return ConvolutionTime(8.0 if isinstance(job.run, str) else 2.0, 1e-7, True)

    options = parse(["--candidates", "2"])
    case = small_case(28)
    jobs = [job for dtype in ("f32", "f16") for job in builds(case, dtype, "sm_80", options)]
    measurer: Any = FakePool(measure)
    row = measure_case(list(FakePool(build).run(jobs)), options, measurer)
    assert ratio(row, "ours f32", ["cudnn f32"]) == 4
    assert ratio(row, "ours f32 default", ["cudnn f32"]) == 4
    assert "ours f16" not in row
    assert any("build f16" in failure for failure in row["failures"])
    assert any("measure cudnn f16:" in failure for failure in row["failures"])
    text = report(HEADER, [row])
    assert "| 1 | 90% | 1 | 4.00x (1; 4.00) |" in text
    assert "it broke" in text


def test_cases_are_measured_as_soon_as_they_are_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Here all but the last build, for which no time is left."""
    made = binary()

    class Pool(FakePool):
        def __init__(self, work: Any, *_: Any):
            def built(job: ConvolutionBuild) -> BuiltConvolution:
                return BuiltConvolution(made, job.schedule or Schedule())

            def timed(_: ConvolutionMeasurement) -> ConvolutionTime:
                return ConvolutionTime(2.0, 1e-7, True)

            super().__init__(built if work is conv.build_convolution else timed)

        def __enter__(self) -> "Pool":
            return self

        def __exit__(self, *_: Any) -> None: ...

        def run(self, tasks: Any, deadline: float | None = None) -> Any:
            ends = list(super().run(tasks, deadline))
            return iter(ends[:-1] if deadline else ends)

    monkeypatch.setattr(conv, "WorkerPool", Pool)
    monkeypatch.setattr(conv, "this_machine", lambda: FakeMachine())
    output = tmp_path / "out"
    arguments = ["--batch", "1", "--only", "64@56 x1", "--schedule", "default"]
    assert conv.main([*arguments, "--output", str(output)]) == 0
    assert [row["label"] for row in json.loads((tmp_path / "out.json").read_text())["cases"]] == [
        "64@56 x1 91%"
    ]
    assert "64@56 x1 96%: no time left" in capsys.readouterr().err


class FakeMachine:
    arch = "sm_90"

    def record(self) -> dict[str, Any]:
        return MACHINE


def test_a_wrong_result_has_no_time() -> None:
    row: dict[str, Any] = {"failures": []}
    job = ConvolutionMeasurement(small_case(), "f32", "cudnn f32", 1)
    note(row, Finished(job, ConvolutionTime(1.0, 0.5, False)), None)
    assert "cudnn f32" not in row
    assert row["failures"] == ["measure cudnn f32: wrong, error 0.5"]


def test_the_fastest_kernel_counts_and_the_default_is_kept() -> None:
    row: dict[str, Any] = {"failures": []}
    case, made = small_case(), binary()
    for schedule, us in ((None, 3.0), (Schedule(k_groups=2), 2.0)):
        build = ConvolutionBuild(case, "f32", "sm_80", schedule, 1)
        built = BuiltConvolution(made, schedule or Schedule())
        job = ConvolutionMeasurement(case, "f32", made, 1)
        note(row, Finished(job, ConvolutionTime(us, 0.0, True)), (build, built))
    assert row["ours f32"]["us"] == 2.0
    assert row["ours f32"]["schedule"]["k_groups"] == 2
    assert row["ours f32 default"]["us"] == 3.0


def test_the_schedules_of_an_earlier_run_are_taken(tmp_path: Path) -> None:
    case = small_case(28)
    row: dict[str, Any] = {"failures": [], "label": case.label, "batch": 1, "stride": 1}
    row["sparsity"] = 0.9
    build = ConvolutionBuild(case, "f32", "sm_80", Schedule(k_groups=2), 1)
    job = ConvolutionMeasurement(case, "f32", binary(), 1)
    done = Finished(job, ConvolutionTime(2.0, 0.0, True))
    note(row, done, (build, BuiltConvolution(binary(), Schedule(k_groups=2))))
    conv.write_all(tmp_path / "conv", HEADER, [row])
    options = parse(["--schedule", str(tmp_path / "conv.json")])
    assert [one.schedule for one in builds(case, "f32", "sm_80", options)] == [
        None,
        Schedule(k_groups=2),
    ]
    assert [one.schedule for one in builds(case, "f16", "sm_80", options)] == [None]
    default = parse(["--schedule", "default"])
    assert [one.schedule for one in builds(case, "f32", "sm_80", default)] == [None]
    with pytest.raises(SystemExit, match="expected default, tuned or a file"):
        builds(case, "f32", "sm_80", parse(["--schedule", "nowhere"]))


def test_results_are_written_as_markdown_and_json(tmp_path: Path) -> None:
    row: dict[str, Any] = {
        "label": "a", "batch": 1, "stride": 1, "sparsity": 0.9, "failures": [],
    }  # fmt: skip
    conv.write_all(tmp_path / "deep" / "conv", HEADER, [row])
    assert "| a |" in (tmp_path / "deep" / "conv.md").read_text()
    assert (tmp_path / "deep" / "conv.json").read_text().startswith("{")
