"""`sparsify` changes what a model costs, never what it computes, and reports what it did."""

import copy
import shutil
from collections.abc import Callable
from importlib import import_module
from typing import Any, TypeAlias

import pytest

from sparsert_ir.errors import ArgumentError

torch: Any = pytest.importorskip(
    "torch", reason="torch is not installed (extra: torch); sparsert_ir.torch is not tested"
)
sparse: Any = import_module("sparsert_ir.torch")
models: Any = import_module("torch_models")
prune: Any = import_module("torch.nn.utils.prune")
parametrize: Any = import_module("torch.nn.utils.parametrize")
nn: Any = torch.nn

pytestmark = pytest.mark.torch


def images(count: int = 2) -> Any:
    return models.whole_numbers((count, 16, 7, 5))


def check_equal(fast: Any, model: Any, *inputs: Any) -> None:
    with torch.no_grad():
        torch.testing.assert_close(fast(*inputs), model(*inputs), rtol=1e-4, atol=1e-4)


def decisions(report: Any) -> dict[str, tuple[bool, tuple[str, ...]]]:
    return {one.name: (one.taken, one.folded) for one in report}


def test_every_follower_is_folded_in_a_traced_model() -> None:
    model = models.Block()
    fast, report = sparse.sparsify(model, example_inputs=(images(),), decide_by="sparsity")
    both = ("batch norm", "ReLU")
    assert decisions(report) == {
        "point": (True, both),
        "full": (True, (*both, "residual")),
        "wide": (True, both),
        "last": (False, ()),
    }
    assert [one.n for one in report] == [70, 70, 2, 2]
    assert "3 of 4 layers are sparse, for cpu" in str(report)
    check_equal(fast, model, images())
    check_equal(fast, model, images(1))
    kinds: list[Any] = [type(module) for module in fast.modules()]
    assert nn.BatchNorm2d not in kinds
    assert nn.BatchNorm1d not in kinds
    # The one after the addition stays.
    assert kinds.count(nn.ReLU) == 1


def test_the_given_model_is_left_alone() -> None:
    model = models.Block()
    before = copy.deepcopy(model.state_dict())
    fast, _ = sparse.sparsify(model, decide_by="sparsity")
    assert type(model.point) is nn.Conv2d
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_without_folding_the_class_stays() -> None:
    model = models.Block()
    fast, report = sparse.sparsify(model, decide_by="sparsity", fold=False)
    assert type(fast) is models.Block
    assert len(report.taken) == 3
    assert all(one.folded == () for one in report)
    check_equal(fast, model, images())


def test_batch_norm_behind_a_linear_layer_needs_a_known_rank() -> None:
    model = models.Block()
    fast, report = sparse.sparsify(model, decide_by="sparsity")
    assert decisions(report)["wide"] == (True, ())
    assert all(one.n is None for one in report)
    check_equal(fast, model, images())


class Untraceable(nn.Module):
    """Control flow that depends on numbers."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.parts = nn.Sequential(
            models.pruned(nn.Conv2d(16, 8, 1)),
            models.norm(nn.BatchNorm2d, 8),
            nn.ReLU(),
            models.pruned(nn.Conv2d(8, 8, 3)),
            nn.ReLU6(),
        )
        self.eval()

    def forward(self, x: Any) -> Any:
        return self.parts(x if x.sum() > 0 else -x)


def test_sequences_of_other_models_are_folded() -> None:
    model = Untraceable()
    fast, report = sparse.sparsify(model, decide_by="sparsity")
    assert type(fast) is Untraceable
    assert decisions(report) == {
        "parts.0": (True, ("batch norm", "ReLU")),
        "parts.3": (True, ()),
    }
    assert "folded only inside nn.Sequential" in str(report)
    check_equal(fast, model, images())


class Shared(nn.Module):
    """What must not be folded: a layer that is called twice, a result that is used twice."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.twice = models.pruned(nn.Conv2d(16, 16, 1))
        self.twice_norm = models.norm(nn.BatchNorm2d, 16)
        self.used = models.pruned(nn.Conv2d(16, 16, 1), seed=1)
        self.used_norm = models.norm(nn.BatchNorm2d, 16, seed=1)
        self.eval()

    def forward(self, x: Any) -> Any:
        x = self.twice_norm(self.twice(x)) + self.twice(x)
        y = self.used(x)
        return self.used_norm(y) + y


def test_what_has_other_users_is_not_folded() -> None:
    model = Shared()
    fast, report = sparse.sparsify(model, example_inputs=(images(),), decide_by="sparsity")
    assert decisions(report) == {"twice": (True, ()), "used": (True, ())}
    assert [one.n for one in report] == [140, 70]
    check_equal(fast, model, images())


def residual_block(**options: Any) -> Any:
    return models.Bottleneck(16, 8, **options)


def test_a_residual_becomes_part_of_the_last_convolution() -> None:
    """In place or not, whichever term comes first, with a layer of its own or the input itself."""
    given: list[dict[str, Any]] = [{}, {"in_place": True}, {"is_first": False}, {"stride": 2}]
    for options in given:
        model = residual_block(**options)
        fast, report = sparse.sparsify(model, example_inputs=(images(),), decide_by="sparsity")
        found = decisions(report)
        assert found["wide"] == (True, ("batch norm", "residual", "ReLU"))
        assert found["narrow"] == (True, ("batch norm", "ReLU"))
        kinds: list[Any] = [type(module) for module in fast.modules()]
        assert nn.BatchNorm2d not in kinds
        assert nn.ReLU not in kinds
        check_equal(fast, model, images())
        check_equal(fast, model, images(3))
        assert "sparse + batch norm + residual + ReLU" in str(report)


def test_residuals_of_blocks_in_a_row() -> None:
    """What one block returns is what the next one adds."""
    model = nn.Sequential(residual_block(stride=2), models.Bottleneck(32, 8), nn.Flatten()).eval()
    fast, report = sparse.sparsify(model, example_inputs=(images(),), decide_by="sparsity")
    folded = [one.folded for one in report if "wide" in one.name]
    assert folded == [("batch norm", "residual", "ReLU")] * 2
    check_equal(fast, model, images())


Add: TypeAlias = Callable[[Any, Any], Any]
"""Of a convolution and an x; same channels, same size."""


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_torch_compile_takes_the_new_model() -> None:
    """With its own backend, and batches of other sizes."""
    blocks = [residual_block(stride=2), models.Bottleneck(32, 8), nn.Flatten(2)]
    model = nn.Sequential(*blocks, models.pruned(nn.Linear(12, 40))).eval()
    fast, report = sparse.sparsify(model, example_inputs=(images(),), decide_by="sparsity")
    assert len(report.taken) == 6
    compiled = torch.compile(fast, fullgraph=True)
    for count in (2, 3, 5):
        check_equal(compiled, model, images(count))


class Adding(nn.Module):
    """A convolution, and an addition of some kind."""

    def __init__(self, add: Add) -> None:
        nn.Module.__init__(self)
        self.layer = models.pruned(nn.Conv2d(16, 16, 1))
        self.add = add
        self.eval()

    def forward(self, x: Any) -> Any:
        return self.add(self.layer, x)


def twice(y: Any) -> Any:
    return y + y


def into_the_other(layer: Any, x: Any) -> Any:
    other = x * 2
    return other.add_(layer(x)) * other


def x_changes(layer: Any, x: Any) -> Any:
    own = x * 1
    return layer(own) + own.mul_(2)


def used_again(layer: Any, x: Any) -> Any:
    y = layer(x)
    return (y + x) * y


FOLDED: dict[str, Add] = {
    "function": lambda layer, x: torch.add(layer(x), x),
    "method": lambda layer, x: layer(x).add(x),
    "method in place": lambda layer, x: layer(x).add_(x),
    "after ReLU": lambda layer, x: x + torch.relu(layer(x)),
    "other use of the residual": lambda layer, x: (layer(x) + x.sin()) * x.sin(),
}
KEPT: dict[str, Add] = {
    "twice the same": lambda layer, x: twice(layer(x)),
    "a number": lambda layer, x: layer(x) + 2,
    "scaled": lambda layer, x: torch.add(layer(x), x, alpha=2),
    "broadcast": lambda layer, x: layer(x) + x.mean((2, 3), keepdim=True),
    "into the other": into_the_other,
    "x changes before": x_changes,
    "other use": used_again,
    "subtraction": lambda layer, x: layer(x) - x,
}


@pytest.mark.parametrize("what", FOLDED)
def test_additions_that_are_folded(what: str) -> None:
    model = Adding(FOLDED[what])
    fast, report = sparse.sparsify(model, example_inputs=(images(),), decide_by="sparsity")
    assert "residual" in decisions(report)["layer"][1]
    check_equal(fast, model, images())


@pytest.mark.parametrize("what", KEPT)
def test_additions_that_stay(what: str) -> None:
    model = Adding(KEPT[what])
    fast, report = sparse.sparsify(model, example_inputs=(images(),), decide_by="sparsity")
    assert "residual" not in decisions(report)["layer"][1]
    check_equal(fast, model, images())


def test_a_folded_residual_may_be_broadcast_in_another_call() -> None:
    class Offset(nn.Module):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.layer = models.pruned(nn.Conv2d(16, 16, 1))
            self.offset = nn.Parameter(models.whole_numbers((1, 16, 7, 5)))
            self.eval()

        def forward(self, x: Any) -> Any:
            return self.layer(x) + self.offset

    model = Offset()
    fast, report = sparse.sparsify(model, example_inputs=(images(1),), decide_by="sparsity")
    assert decisions(report)["layer"] == (True, ("residual",))
    check_equal(fast, model, images(3))


def test_without_example_inputs_additions_stay_and_the_report_says_so() -> None:
    model = residual_block()
    fast, report = sparse.sparsify(model, decide_by="sparsity")
    assert decisions(report)["wide"] == (True, ("batch norm",))
    assert "no additions folded: that needs example_inputs" in str(report)
    check_equal(fast, model, images())


def test_residuals_of_linear_layers_stay() -> None:
    """They would have to be transposed first."""

    class Adds(nn.Module):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.layer = models.pruned(nn.Linear(16, 16))
            self.eval()

        def forward(self, x: Any) -> Any:
            return torch.relu(self.layer(x) + x)

    x = models.whole_numbers((3, 16))
    fast, report = sparse.sparsify(Adds(), example_inputs=(x,), decide_by="sparsity")
    assert decisions(report) == {"layer": (True, ())}
    check_equal(fast, Adds(), x)


def test_a_relu_that_does_not_directly_follow_stays() -> None:
    class Between(nn.Module):
        def __init__(self) -> None:
            nn.Module.__init__(self)
            self.layer = models.pruned(nn.Linear(16, 8))
            self.eval()

        def forward(self, x: Any) -> Any:
            return torch.relu(self.layer(x) + 1)

    fast, report = sparse.sparsify(Between(), decide_by="sparsity")
    assert decisions(report) == {"layer": (True, ())}
    check_equal(fast, Between(), models.whole_numbers((3, 16)))


def test_pruned_and_parametrized_modules() -> None:
    class Doubled(nn.Module):
        def forward(self, weight: Any) -> Any:
            return 2 * weight

    model = nn.Sequential(nn.Linear(16, 32), nn.Linear(32, 24)).eval()
    prune.l1_unstructured(model[0], "weight", amount=0.9)
    model[1] = models.pruned(model[1])
    parametrize.register_parametrization(model[1], "weight", Doubled())
    fast, report = sparse.sparsify(model, decide_by="sparsity")
    assert len(report.taken) == 2
    check_equal(fast, model, models.whole_numbers((3, 16)))


def test_children_of_torch_transformers_stay() -> None:
    """They are not called: their parents read their weights."""
    model = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True).eval()
    models.pruned(model.linear1)
    fast, report = sparse.sparsify(model, decide_by="sparsity", min_sparsity=0.0)
    assert len(report) == 0
    check_equal(fast, model, torch.randn(1, 3, 16))


def test_layers_that_are_not_called_stay() -> None:
    model = models.Block()
    model.unused = models.pruned(nn.Linear(4, 4))
    fast, report = sparse.sparsify(model, example_inputs=(images(),), decide_by="sparsity")
    assert {one.name: one.reason for one in report}["unused"] == (
        "not called with the example inputs"
    )
    check_equal(fast, model, images())
    fast, report = sparse.sparsify(model, decide_by="sparsity")
    assert decisions(report)["unused"] == (True, ())
    check_equal(fast, model, images())


def test_element_types_without_kernels_stay() -> None:
    model = models.pruned(nn.Linear(16, 8).double())
    fast, report = sparse.sparsify(nn.Sequential(model).eval(), decide_by="sparsity")
    assert [one.taken for one in report] == [False]
    assert "got torch.float64" in report.decisions[0].reason
    assert type(fast[0]) is nn.Linear


def test_measurement_decides_on_a_cpu() -> None:
    model = models.Block()
    fast, report = sparse.sparsify(model, example_inputs=(images(),))
    considered = [one for one in report if one.sparsity >= 0.8]
    assert len(considered) == 3
    for one in considered:
        assert one.taken == (one.sparse_us < one.dense_us)
        assert one.reason.startswith("measured")
    check_equal(fast, model, images())


def test_prediction_decides_for_a_gpu() -> None:
    large = models.pruned(nn.Linear(512, 512))
    model = nn.Sequential(models.pruned(nn.Linear(8, 512)), large).eval()
    _, report = sparse.sparsify(
        model, example_inputs=(torch.zeros(196, 8),), target="sm_90", min_sparsity=0.8
    )
    assert report.target == "sm_90"
    for one in report:
        assert one.taken == (one.sparse_us < one.dense_us)
        assert one.reason.startswith("predicted")
    assert report.decisions[1].taken


def test_prediction_decides_for_a_cpu() -> None:
    model = models.Block()
    options: Any = {"example_inputs": (images(),), "decide_by": "prediction", "target": "cpu"}
    fast, report = sparse.sparsify(model, **options)
    by_name = {one.name: one for one in report}
    for name in ("point", "wide", "full"):
        assert by_name[name].reason.startswith("predicted")
        assert by_name[name].taken == (by_name[name].sparse_us < by_name[name].dense_us)
    check_equal(fast, model, images())


def test_the_predicted_time_holds_the_copy_of_x() -> None:
    costs: Any = import_module("sparsert_ir.torch.costs")
    dense = models.pruned(nn.Linear(512, 512))
    layer = sparse.SparseLinear.from_linear(dense)
    conv = models.pruned(nn.Conv2d(512, 512, 1))
    point = sparse.SparseConv2d.from_conv(conv)
    linear_us = costs.predicted_us(dense, layer, (196, 512), "sm_90")[1]
    conv_us = costs.predicted_us(conv, point, (1, 512, 14, 14), "sm_90")[1]
    four_us = costs.predicted_us(conv, point, (4, 512, 14, 14), "sm_90")[1]
    assert linear_us > conv_us + 0.8
    assert four_us == pytest.approx(4 * conv_us)
    full = models.pruned(nn.Conv2d(16, 8, 3))
    dense_us, sparse_us = costs.predicted_us(
        full, sparse.SparseConv2d.from_conv(full), (16, 9, 9), "sm_80"
    )
    assert 0.8 < sparse_us < 100
    assert 0.8 < dense_us < 100


def test_large_filters_are_predicted_as_they_are_compiled() -> None:
    """As data: their code would not fit."""
    costs: Any = import_module("sparsert_ir.torch.costs")
    dense = models.pruned(nn.Conv2d(512, 512, 3, padding=1), 0.8)
    layer = sparse.SparseConv2d.from_conv(dense)
    schedule = costs._window_schedule(layer.layer, (1, 512, 7, 7), "sm_90")
    assert schedule.lowering == "data"
    assert schedule == layer.layer.compile((1, 512, 7, 7), "sm_90").schedule
    small = sparse.SparseConv2d.from_conv(models.pruned(nn.Conv2d(16, 16, 3, padding=1), 0.8))
    schedule = costs._window_schedule(small.layer, (1, 16, 7, 7), "sm_90")
    assert schedule == small.layer.compile((1, 16, 7, 7), "sm_90").schedule


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "sparsity": ({"min_sparsity": 90}, "min_sparsity: expected"),
    "method": ({"decide_by": "luck"}, "decide_by: expected"),
    "target": ({"target": "sm_20"}, "sm_20"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_arguments_are_refused(what: str) -> None:
    options, message = WRONG[what]
    with pytest.raises(ArgumentError, match=message):
        sparse.sparsify(models.Block(), **options)


def test_wrong_models_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"call model.eval\(\) first"):
        sparse.sparsify(models.Block().train())
    with pytest.raises(ArgumentError, match=r"expected a torch.nn.Module, got int"):
        sparse.sparsify(3)
    with pytest.raises(ArgumentError, match="with parameters"):
        sparse.sparsify(nn.ReLU().eval())
