"""The page of `sparsert report`: complete, well-formed, alone, and safe with any name."""

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from compiling import pruned

import sparsert_ir
from sparsert_ir.cli.main import main
from sparsert_ir.errors import ArgumentError
from sparsert_ir.runtime.device import Gpu
from sparsert_ir.schedule import Schedule
from sparsert_ir.viz.choices import choices, knob_meanings
from sparsert_ir.viz.markup import code, prose, text
from sparsert_ir.viz.numbers import Numbers
from sparsert_ir.viz.report import report_page, step_count
from sparsert_ir.viz.shortening import cut_lines, excerpt, shorten_ir

HOSTILE = '"><script>alert(1)</script>&amp;<img src=x onerror=a>\x1b[31m\x00 ]]> $x$ `</code>` é'


def parsed(page: str) -> ElementTree.Element:
    """As XML, which is stricter than HTML: each element is closed, each attribute quoted."""
    assert page.startswith("<!DOCTYPE html>\n")
    return ElementTree.fromstring(page.partition("\n")[2])


def words_of(element: ElementTree.Element) -> str:
    return "".join(element.itertext())


def is_alone(page: str) -> bool:
    """Whether a browser needs nothing but the page itself."""
    places = [
        value
        for element in parsed(page).iter()
        for name, value in element.attrib.items()
        if name in ("src", "href", "srcset", "data", "action", "poster")
    ]
    return (
        all(place.startswith(("#", "data:image/png;base64,")) for place in places)
        and not re.search(r"https?:|@import|url\((?!#)|<script|<link|<iframe", page)
    )  # fmt: skip


@pytest.fixture(scope="module", params=["code", "data", "cpu", "f16"])
def kernel(request: pytest.FixtureRequest) -> sparsert_ir.Kernel:
    weight = pruned(24, 40, 0.3)
    bias = np.arange(24)
    if request.param == "cpu":
        return sparsert_ir.compile(weight, n=20, bias=bias, target="cpu")
    if request.param == "f16":
        return sparsert_ir.compile(weight, n=64, dtype="f16", residual="after", target="sm_80")
    return sparsert_ir.compile(
        weight, n=20, bias=bias, activation="relu", target="sm_90", lowering=request.param
    )


def test_the_page_has_every_stage_with_what_it_does_and_its_ir(kernel: sparsert_ir.Kernel) -> None:
    steps: list[str] = []
    page = report_page(kernel, "weights", step=steps.append)
    assert len(steps) == step_count(kernel)
    root = parsed(page)
    assert is_alone(page)
    identifiers = [element.get("id") for element in root.iter() if element.get("id") is not None]
    assert len(identifiers) == len(set(identifiers))
    headings = [words_of(one) for one in root.iter("h3")]
    last = "machine-code" if kernel.target == "cpu" else "ptx"
    assert headings == [*kernel.stages, "llvm-text", last]
    assert set(headings) <= set(identifiers)
    shown = words_of(root)
    assert "Guarantees: no spmm, conv2d or separable_conv2d is left." in shown
    for stage in (kernel.stages[0], kernel.stages[-1]):
        for operation in re.findall(r"^ *(?:%\S+ = )?(\w+\.\w+)", kernel.ir(stage))[:5]:
            assert operation in shown
    assert re.search(r"llvm\.fma", shown)
    assert len(root.findall(".//svg")) == (3 if kernel.target == "cpu" else 4)


def test_the_page_has_the_numbers_of_the_kernel(kernel: sparsert_ir.Kernel) -> None:
    shown = words_of(parsed(report_page(kernel, "weights")))
    numbers = Numbers.of(kernel)
    stats = kernel.stats
    assert (
        f"{numbers.predicted:.2f} us per {'call' if kernel.target == 'cpu' else 'launch'}" in shown
    )
    assert f"{stats.multiply_adds:,} ({stats.nonzeros:,} nonzeros x N)" in shown
    if numbers.floor is not None:
        assert f"{numbers.floor / numbers.predicted:.0%} of the prediction" in shown
        assert f"grid {kernel.grid}, block {kernel.block}" in shown
        assert all(name in shown for name in numbers.parts)
    for record in stats.stages:
        assert f"{record.seconds * 1e3:.1f}" in shown
    for choice in choices(kernel):
        assert choice.value == str(getattr(kernel.schedule, choice.knob))
        assert choice.meaning
        assert choice.meaning.replace("`", "") in shown


def test_every_knob_has_a_meaning() -> None:
    assert set(knob_meanings()) == set(Schedule.__dataclass_fields__)


def test_only_measured_times_differ_between_pages(kernel: sparsert_ir.Kernel) -> None:
    assert report_page(kernel, "weights") == report_page(kernel, "weights")


def test_names_of_users_stay_text(kernel: sparsert_ir.Kernel) -> None:
    page = report_page(kernel, HOSTILE, full_text=HOSTILE)
    root = parsed(page)
    assert is_alone(page)
    assert '"><script>alert(1)</script>&amp;<img src=x' in words_of(root)
    assert "\x1b" not in page
    assert "\x00" not in page
    assert not list(root.iter("script"))
    assert not list(root.iter("img"))


def test_markup_is_escaped_everywhere() -> None:
    for make in (text, prose, code):
        root = ElementTree.fromstring(f"<p>{make(HOSTILE)}</p>")
        assert not list(root.iter("script"))
        assert "<script>alert(1)</script>" in words_of(root)


def test_the_command_makes_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "<script>alert('1') & \"$x\".npz"
    np.savez(name, weight=pruned(24, 16, 0.3), bias=np.arange(24.0), n=20)
    command = ["report", name, "--target", "sm_90", "--activation", "relu", "-o", "page.html"]
    assert main([*command, "--json"]) == 0
    captured = capsys.readouterr()
    # No progress bar where standard error is no terminal.
    assert captured.err == ""
    document: dict[str, Any] = json.loads(captured.out)
    page = Path("page.html").read_text(encoding="utf-8")
    assert document["bytes"] == len(page.encode())
    root = parsed(page)
    assert is_alone(page)
    assert name in words_of(root)
    (whole,) = [words_of(one) for one in root.iter("p") if "Whole texts" in words_of(one)]
    assert "--activation relu --stage STAGE" in whole
    assert all(stage in page for stage in document["stages"])
    assert main(["report", name, "-o", str(tmp_path / "no" / "page.html")]) == 1
    assert "cannot write" in capsys.readouterr().err


def test_a_large_layer_makes_a_page_of_bounded_size() -> None:
    weight = pruned(512, 512, 0.1)
    kernel = sparsert_ir.compile(weight, n=196, target="sm_90")
    page = report_page(kernel, "weights")
    parsed(page)
    assert len(page) < 2_000_000
    assert "lines left out" in page
    assert len(max(page.splitlines(), key=len)) < 500_000


def test_a_convolution_is_refused() -> None:
    filters = np.ones((4, 3, 3, 3), np.float32)
    kernel = sparsert_ir.compile_conv2d(filters, (1, 3, 8, 8), target="cpu")
    with pytest.raises(ArgumentError, match="convolution"):
        report_page(kernel, "filters")


def test_registers_are_on_the_page_once_a_gpu_has_assembled_the_kernel(gpu: Gpu) -> None:
    kernel = sparsert_ir.compile(pruned(24, 16, 0.3), n=20, target=gpu.arch).load()
    page = words_of(parsed(report_page(kernel, "weights")))
    assert f"registers{kernel.stats.registers}" in page


def test_literals_are_shortened_to_their_first_numbers() -> None:
    numbers = np.arange(1000, dtype=np.int32)
    written = f'x dense<"0x{numbers.tobytes().hex().upper()}"> : tensor<1000xi32> y\n'
    shown = "x dense<[0, 1, 2, 3, 4, 5, 6, 7, … 992 more]> : tensor<1000xi32> y\n"
    assert shorten_ir(written) == shown
    listed = f"x dense<[{', '.join(map(str, numbers))}]> : tensor<1000xi32> y\n"
    assert shorten_ir(listed) == shown
    assert shorten_ir("dense<[1, 2]> : tensor<2xi32>\n") == "dense<[1, 2]> : tensor<2xi32>\n"
    unknown = f'dense<"0x{"00" * 100}">\n'
    assert shorten_ir(unknown) == 'dense<"0x0000000000000000… 92 more bytes …">\n'


def test_shortened_values_are_those_of_the_ir() -> None:
    weight = np.diag(np.arange(1, 129, dtype=np.float32))
    kernel = sparsert_ir.compile(weight, n=20, target="sm_90")
    assert "values dense<[1, 2, 3, 4, 5, 6, 7, 8, … 120 more]>" in shorten_ir(kernel.ir("input"))


def test_lines_left_out_are_counted() -> None:
    words = "".join(f"{number}\n" for number in range(100))
    assert cut_lines(words, 2, 1) == "0\n1\n… 97 lines left out …\n99\n"
    assert cut_lines("a\nb\nc\nd\n", 2, 1) == "a\nb\nc\nd\n"
    assert excerpt(words, "50", 1, 4) == (
        "0\n… 48 lines left out …\n49\n50\n51\n52\n… 47 lines left out …\n"
    )
    long = cut_lines("x" * 10_000 + "\n", 5, 0)
    assert "… 9,400 characters left out …" in long
    assert len(long) < 700
