"""Figures show the data they were asked for, and files are the same each time."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from compiling import pruned

from sparsert_ir.cli.main import main
from sparsert_ir.cost_model.gpu import Product, predict_dense_us, predict_us, time_parts
from sparsert_ir.cost_model.limits import limits_of
from sparsert_ir.errors import ArgumentError, MissingExtraError
from sparsert_ir.layout.dealing import deal_rows
from sparsert_ir.matrix import SparseMatrix
from sparsert_ir.schedule import Schedule
from sparsert_ir.viz import (
    Point,
    load_measured,
    panels_figure,
    pattern_figure,
    predicted_point,
    roofline_figure,
    speedup_figure,
)
from sparsert_ir.viz.canvas import COLOURS, figure_style
from sparsert_ir.viz.roofline import roofs
from sparsert_ir.viz.saving import figure_bytes

RESULTS = Path(__file__).parents[1] / "benchmarks" / "results" / "h200-mobilenet.json"


@pytest.fixture
def matrix() -> SparseMatrix:
    """24 x 40, the later rows fuller."""
    weight = pruned(24, 40, 0.5)
    weight[:12, 8:] = 0
    return SparseMatrix.of(weight)


def axes_of(figure: Any) -> list[Any]:
    return list(figure.axes)


def test_the_pattern_has_a_cell_for_each_nonzero_in_its_panels_colour(matrix: SparseMatrix) -> None:
    panels = deal_rows(matrix.row_offsets, matrix.column_indices, Schedule(rows_per_panel=4))
    stored, sorted_ = axes_of(pattern_figure(matrix, panels))
    dense = matrix.to_dense() != 0
    image = np.asarray(stored.images[0].get_array())
    assert np.array_equal(image[:, :, 3] == 255, dense)
    assert np.array_equal(image[:, :, 3] == 0, ~dense)
    for number, rows in enumerate(panels):
        name = COLOURS[number % len(COLOURS)]
        colour = [int(name[i : i + 2], 16) for i in (1, 3, 5)]
        cells = image[rows][dense[rows]]
        assert (cells[:, :3] == colour).all()
    image = np.asarray(sorted_.images[0].get_array())
    assert np.array_equal(image[:, :, 3] > 0, dense[panels.ravel()])
    assert [line.get_ydata()[0] for line in sorted_.lines] == [3.5, 7.5, 11.5, 15.5, 19.5]


def test_a_large_pattern_is_shown_as_density() -> None:
    weight = np.zeros((1024, 1536), np.float32)
    weight[:2, :3] = 1
    weight[1022, 1533] = 1
    matrix = SparseMatrix.of(weight)
    panels = deal_rows(matrix.row_offsets, matrix.column_indices, Schedule(rows_per_panel=16))
    image = np.asarray(axes_of(pattern_figure(matrix, panels))[0].images[0].get_array())
    assert image.shape == (512, 512, 4)
    assert image[0, 0, 3] == 255
    assert 0 < image[511, 511, 3] < 128
    assert np.count_nonzero(image[:, :, 3]) == 2


def test_panels_before_and_after_hold_all_nonzeros(matrix: SparseMatrix) -> None:
    panels = deal_rows(matrix.row_offsets, matrix.column_indices, Schedule(rows_per_panel=4))
    before, after = axes_of(panels_figure(matrix, panels))
    loads = [axes.patches[0].get_data().values for axes in (before, after)]
    in_order = [int(matrix.row_lengths[i : i + 4].sum()) for i in range(0, 24, 4)]
    assert loads[0].tolist() == in_order
    assert loads[1].tolist() == [int(matrix.row_lengths[rows].sum()) for rows in panels]
    assert np.ptp(loads[1]) < np.ptp(loads[0])
    most = max(in_order) / loads[0].mean()
    assert before.get_title(loc="left") == f"rows as stored: most is {most:.2f} x mean"


def test_rows_that_do_not_fill_the_last_panel_are_counted_once() -> None:
    matrix = SparseMatrix.of(pruned(7, 9, 0.6))
    panels = deal_rows(
        matrix.row_offsets,
        matrix.column_indices,
        Schedule(lowering="data", rows_per_panel=4),
    )
    figures = axes_of(panels_figure(matrix, panels))
    assert [axes.patches[0].get_data().values.sum() for axes in figures] == [matrix.nonzeros] * 2


def test_roofline_points_are_rates_over_intensities() -> None:
    product = Product((512, 512), 26214, 196, "f32")
    schedule = Schedule(rows_per_panel=8, k_groups=8)
    point = predicted_point("a", product, schedule, "sm_90")
    assert point.us == predict_us(schedule, product, limits_of("sm_90"))
    assert point.intensity == pytest.approx(26214 / (1024 * 4))
    (axes,) = axes_of(roofline_figure([point], "sm_90"))
    lines = {line.get_label(): line for line in axes.lines}
    dot = lines["predicted by the cost model"]
    assert dot.get_xdata() == pytest.approx([point.intensity])
    assert dot.get_ydata() == pytest.approx([26214 * 196 / point.us / 1e6])
    assert "measured" not in lines
    assert [text.get_text() for text in axes.texts] == ["a"]


def test_roofline_lines_are_the_limits_of_the_gpu() -> None:
    limits = limits_of("sm_90")
    point = Point("a", Product((64, 64), 400, 64, "f16"), 2.0, measured=True)
    (axes,) = axes_of(roofline_figure([point], "sm_90", "f16"))
    lines = {line.get_label(): line for line in axes.lines}
    peak = 132 * 128 * 2 * 1.98e-3
    assert lines["multiply-adds"].get_ydata() == pytest.approx([peak, peak])
    across, up = lines["bytes of x and y"].get_xdata(), lines["bytes of x and y"].get_ydata()
    assert np.divide(up, across) == pytest.approx([limits.bytes_per_second / 1e12] * 2)
    fetch = [height for name, height in roofs(limits, "f16").items() if "fetch" in name]
    assert len(fetch) == 3
    assert fetch == sorted(fetch)
    # One warp alone: 4 / 8.5 of a warp instruction per clock, of 64 multiply-adds.
    assert fetch[0] == pytest.approx(132 * 1980 * 64 * 4 / 8.5)
    for name, height in roofs(limits, "f16").items():
        assert lines[name].get_ydata() == pytest.approx([height / 1e6] * 2)


def test_names_of_roofline_points_stand_apart() -> None:
    """Also of points at the same place, and of one at the right edge of the others."""
    product = Product((512, 512), 26214, 196, "f32")
    beside = Product((512, 512), 26214 * 3, 196, "f32")
    points = [Point(f"a layer with a name {n}", product, 3.0, True) for n in range(4)]
    points += [Point("a layer further right", beside, 9.0, True)]
    figure = roofline_figure(points, "sm_90")
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert len(boxes) == 5
    overlapping = [
        (one, other)
        for place, one in enumerate(boxes)
        for other in boxes[:place]
        if one.overlaps(other)
    ]
    assert overlapping == []


def test_short_axes_have_more_ticks() -> None:
    figure = speedup_figure((256, 256), 196, "f32", "sm_90")
    figure.draw_without_rendering()
    low, high = figure.axes[0].get_ylim()
    ticks = [one.get_text() for one in figure.axes[0].get_yticklabels()]
    assert {"1", "1.5", "2", "3"} <= set(ticks)
    assert low < 1 < 3 < high


def test_roofline_without_a_kernel_of_the_type_is_refused() -> None:
    point = Point("a", Product((64, 64), 400, 64, "f16"), 2.0, measured=True)
    with pytest.raises(ArgumentError, match="at least one kernel in f32"):
        roofline_figure([point], "sm_90", "f32")
    with pytest.raises(ArgumentError, match="architecture"):
        roofline_figure([point], "cpu", "f16")


def test_measured_results_are_read_and_lie_where_they_were_measured() -> None:
    measured = load_measured(RESULTS)
    document = json.loads(RESULTS.read_text())
    assert [one.us for one in measured] == [one["us"] for one in document["results"]]
    assert {one.gpu for one in measured} == {"NVIDIA H200"}
    (axes,) = axes_of(roofline_figure([Point.of(one) for one in measured], "sm_90", "f32"))
    (dots,) = (line for line in axes.lines if line.get_label() == "measured")
    f32 = [one for one in measured if one.dtype == "f32"]
    assert dots.get_ydata() == pytest.approx([one.nonzeros * one.n / one.us / 1e6 for one in f32])


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", '{"machine": {"gpu": "a"}, "results": [{}]}',
        '{"machine": {"gpu": "a"}, "results": [{"us": "fast"}]}', "[" * 100_000,
    ],
)  # fmt: skip
def test_other_files_than_results_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(text)
    with pytest.raises(ArgumentError, match=r"results\.json"):
        load_measured(path)


def test_speedup_is_dense_over_sparse_and_says_that_it_is_predicted() -> None:
    measured = [one for one in load_measured(RESULTS) if one.shape == (512, 512)]
    figure = speedup_figure((512, 512), 196, "f32", "sm_90", sparsity=0.9, measured=measured)
    (axes,) = axes_of(figure)
    assert "predicted" in axes.get_title(loc="left")
    lines = {line.get_label(): line for line in axes.lines}
    dense = predict_dense_us(Product((512, 512), 512**2, 196, "f32"), "tf32", limits_of("sm_90"))
    curve = dict(
        zip(*(lines["over cuBLAS tf32, predicted"].get_data()), strict=True)
    )  # fmt: skip
    schedule = Schedule(rows_per_panel=8, k_groups=8, threads=64, launch="overlapped")
    product = Product((512, 512), round(0.1 * 512**2), 196, "f32")
    sparse = predict_us(schedule, product, limits_of("sm_90"))
    assert curve[0.9] == pytest.approx(dense / sparse)
    one = next(one for one in measured if one.dtype == "f32" and one.n == 196)
    dots = lines["over cublas tf32, measured (NVIDIA H200)"]
    assert dots.get_ydata()[0] == pytest.approx(one.peers["cublas tf32"] / one.us)
    assert dots.get_xdata()[0] == pytest.approx(one.sparsity)


def test_speedup_on_a_cpu_and_without_measurements() -> None:
    (axes,) = axes_of(speedup_figure((64, 64), 32, "f32", "cpu"))
    labels = [line.get_label() for line in axes.lines if not line.get_label().startswith("_")]
    assert labels == ["over dense on one thread f32, predicted"]
    ratios = axes.lines[0].get_ydata()
    assert ratios[-1] > ratios[0] > 0


def test_parts_of_a_predicted_time_are_below_it() -> None:
    product, limits = Product((512, 512), 26214, 196, "f32"), limits_of("sm_90")
    code = Schedule(rows_per_panel=8, k_groups=8)
    parts = time_parts(code, product, limits)
    largest = max(list(parts.values())[:3])
    rest = parts["code that is new"] + parts["latency"]
    assert largest + rest <= predict_us(code, product, limits)
    data = Schedule(lowering="data")
    assert sum(time_parts(data, product, limits).values()) < predict_us(data, product, limits)


@pytest.mark.parametrize("kind", ["pattern", "panels", "roofline", "speedup"])
def test_the_command_writes_pictures(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Neither markup nor formulas.
    name = "<b>$\\frac$ & \x1b[31m.npy"
    np.save(name, pruned(24, 32, 0.2))
    command = ["plot", name, "--kind", kind, "-n", "20", "--results", str(RESULTS), "--json"]
    for output in ("one.svg", "two.svg", "one.png"):
        assert main([*command, "-o", output]) == 0
        document = json.loads(capsys.readouterr().out)
        assert document == {"output": output, "bytes": Path(output).stat().st_size, "kind": kind}
    svg = Path("one.svg").read_bytes()
    assert svg == Path("two.svg").read_bytes()
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert Path("one.png").read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    weights = tmp_path / "w.npy"
    np.save(weights, pruned(8, 8, 0.5))
    for arguments, words in (
        (["-o", "picture.pdf"], ".svg or .png"),
        (["-o", str(tmp_path / "no" / "a.svg")], "cannot write"),
        (["-o", "a.svg", "-n", "0"], "expected a whole number from 1 to"),
        (["-o", "a.svg", "--results", str(weights)], "cannot read results"),
        (["-o", "a.svg", "--kind", "roofline", "--target", "cpu"], "architecture"),
    ):
        assert main(["plot", str(weights), *arguments]) == 1
        assert words in capsys.readouterr().err


def test_pictures_are_the_same_in_any_process(matrix: SparseMatrix) -> None:
    program = (
        "import sys; sys.path.insert(0, 'tests'); import test_pictures as t; import hashlib\n"
        "from compiling import pruned\n"
        "m = t.SparseMatrix.of(pruned(24, 40, 0.5)); s = t.Schedule(rows_per_panel=4)\n"
        "p = t.deal_rows(m.row_offsets, m.column_indices, s)\n"
        "print(hashlib.sha256(t.figure_bytes(t.pattern_figure(m, p), 'svg')).hexdigest())"
    )
    root = Path(__file__).parents[1]
    digests = {
        subprocess.run(
            [sys.executable, "-c", program],
            cwd=root,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_without_matplotlib_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"sparsert_ir\[viz\]"), figure_style():
        pass


def test_figures_leave_the_style_of_the_process_alone(matrix: SparseMatrix) -> None:
    from matplotlib import rcParams

    before = dict(rcParams)
    figure_bytes(
        panels_figure(
            matrix, deal_rows(matrix.row_offsets, matrix.column_indices, Schedule(rows_per_panel=4))
        ),
        "svg",
    )
    assert dict(rcParams) == before
