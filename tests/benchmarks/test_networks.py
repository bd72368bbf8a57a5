"""benchmarks/networks.py: networks that are what they say, limits that hold, tables."""

import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from sparsert_ir.runtime.device import find_gpu

pytest.importorskip("torch", reason="torch is not installed (extra: torch); no networks")
torch: Any = import_module("torch")
pytestmark = pytest.mark.torch
SCRIPT = Path(__file__).parents[2] / "benchmarks" / "networks.py"
networks: Any = import_module("networks")
models: Any = import_module("network_models")


@pytest.mark.parametrize(("name", "millions"), [("mobilenet-v1", 4.2), ("resnet-50", 25.6)])
def test_networks_have_the_parameters_of_the_papers(name: str, millions: float) -> None:
    count = sum(parameter.numel() for parameter in models.NETWORKS[name]().parameters())
    assert count / 1e6 == pytest.approx(millions, abs=0.05)


@pytest.mark.parametrize("name", ["mobilenet-v1", "resnet-50"])
def test_networks_are_pruned_and_fit_into_f16(name: str) -> None:
    model = models.pruned_network(name, 0.9, 64)
    big = [one for one in model.modules() if isinstance(one, torch.nn.Conv2d)]
    big = [one for one in big if one.groups == 1 and one.in_channels > 3]
    assert len(big) == {"mobilenet-v1": 13, "resnet-50": 52}[name]
    for one in big:
        # Weights of equal size fall together.
        kept = int(torch.count_nonzero(one.weight))
        assert kept == pytest.approx(0.1 * one.weight.numel(), abs=3)
    with torch.no_grad():
        image = torch.randn(1, 3, 64, 64)
        exact = model.double()(image.double())
        half = model.half()(image.half()).double()
    assert 0.01 < float(exact.abs().max()) < 100
    # Smaller images have larger errors than those of the benchmark, and its tolerance.
    assert float((half - exact).abs().max() / exact.abs().max()) < 0.1


@pytest.mark.parametrize("name", ["mobilenet-v1", "resnet-50"])
def test_sparse_networks_are_the_dense_ones(name: str) -> None:
    library: Any = import_module("sparsert_ir.torch")
    model = models.pruned_network(name, 0.9, 32)
    image = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        exact = model.double()(image.double())
        model = model.float()
        fast, report = library.sparsify(model, decide_by="sparsity", example_inputs=(image,))
        assert len(report.taken) == {"mobilenet-v1": 13, "resnet-50": 52}[name]
        assert all("batch norm" in one.folded for one in report.taken)
        added = [one for one in report.taken if "residual" in one.folded]
        assert len(added) == {"mobilenet-v1": 0, "resnet-50": 16}[name]
        error = (fast(image).double() - exact).abs().max() / exact.abs().max()
    assert float(error) < 1e-4


def test_the_time_limit_ends_what_runs() -> None:
    begin = time.monotonic()
    with pytest.raises(networks.OutOfTimeError), networks.limited(1.0):
        time.sleep(30)
    assert time.monotonic() - begin < 10
    with pytest.raises(networks.OutOfTimeError), networks.limited(0.5):
        pass


def test_an_alarm_that_was_taken_for_another_error_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(networks, "_SECONDS_BETWEEN_ALARMS", 0.5)
    begin = time.monotonic()

    def work() -> None:
        try:
            time.sleep(30)
        except networks.OutOfTimeError:
            time.sleep(30)

    with pytest.raises(networks.OutOfTimeError), networks.limited(1.0):
        work()
    assert time.monotonic() - begin < 10


def test_no_network_takes_the_time_of_the_others() -> None:
    assert networks.share_of(240.0, 2) == 120.0
    assert networks.share_of(200.0, 1) == 200.0
    assert networks.share_of(-3.0, 1) == 0.0


def test_sparse_networks_are_compiled_once_and_told_about(
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, image = models.pruned_network("mobilenet-v1", 0.98, 64), torch.randn(1, 3, 64, 64)
    kept: list[Any] = []
    with torch.inference_mode():
        first, note = networks._sparse(model, image, kept)
        count = int(note.split(", ")[1].split()[0])
        assert count > 0
        assert f"  {count} of {count} kernels after" in capsys.readouterr().out
        library: Any = import_module("sparsert_ir.torch")
        again, _ = library.sparsify(model, example_inputs=(image,), decide_by="sparsity")
        taken = {name for name, one in first.named_modules() if hasattr(one, "kernels")}
        missing = library.prepare(again, image)
        every = [one for one in again.modules() if hasattr(one, "kernels")]
        assert missing == len(every) - len(taken)
        assert float((first(image) - model(image)).abs().max()) < 1e-3


def test_kernels_of_all_networks_and_types_are_compiled_together() -> None:
    small = [models.pruned_network(name, 0.98, 64) for name in ("mobilenet-v1", "resnet-50")]
    image = torch.randn(1, 3, 64, 64)
    several = [networks.Network("small", one, image, image, []) for one in small]
    assert networks.compile_all(several, ["f32", "tf32"]) > 0
    assert [len(one.kept) for one in several] == [1, 1]
    for one in several:
        with torch.inference_mode():
            _, note = networks._sparse(one.model, image, one.kept)
        assert ", 0 kernels in" in note


def test_a_network_that_fails_is_a_row_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise ValueError("no such network\nat all")

    monkeypatch.setattr(networks, "pruned_network", fail)
    options = networks.options_of(["--network", "resnet-50", "mobilenet-v1", "--seconds", "60"])
    written: list[list[Any]] = []

    def write(results: list[Any]) -> None:
        written.append(list(results))

    networks.measure_all(options, write)
    assert [one.network for one in written[-1]] == ["resnet-50", "mobilenet-v1"]
    assert {one.note for one in written[-1]} == {"ValueError: no such network"}
    assert all(one.graph_us is None for one in written[-1])


def test_wrong_results_are_marked() -> None:
    right = networks.Result("n", "f16", "eager", 10.0, 20.0, 1e-3)
    wrong = networks.Result("n", "f16", "sparse", 1.0, 2.0, float("nan"))
    text = networks.text_of("title", [right, wrong])
    assert "| n | f16 | eager | 10.0 | 20.0 | 1.0e-03 |  |" in text
    assert "| n | f16 | sparse | 1.0 | 2.0 | nan | WRONG |" in text


def test_without_a_gpu_it_says_so() -> None:
    if find_gpu() is not None:
        pytest.skip("there is a GPU")
    command = [sys.executable, str(SCRIPT), "--seconds", "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "expected an NVIDIA GPU" in done.stderr
    assert "Traceback" not in done.stderr
