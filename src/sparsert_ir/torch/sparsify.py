"""`sparsify`: a pruned model with the layers that pay in sparse form."""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias

from sparsert_ir.element_types import Dtype
from sparsert_ir.errors import ArgumentError, SparsertError
from sparsert_ir.runtime.device import require_gpu
from sparsert_ir.targets import nearest_architecture, target_of
from sparsert_ir.torch.convolution import SparseConv2d
from sparsert_ir.torch.costs import columns_of, measured_us, predicted_us
from sparsert_ir.torch.folding import NOTHING, Folder, Followers, fold_norm, folder_of
from sparsert_ir.torch.framework import (
    Module,
    Tensor,
    dense_weight,
    dtype_for,
    nn,
    torch,
)
from sparsert_ir.torch.kernels import MAX_KERNELS
from sparsert_ir.torch.layer import Epilogue, SparseLayer
from sparsert_ir.torch.linear import SparseLinear
from sparsert_ir.torch.report import Decision, Report

DecideBy: TypeAlias = Literal["prediction", "measurement", "sparsity"]


class Sparsified(NamedTuple):
    """The new model, and what was decided about each of its layers."""

    model: Module
    report: Report


def sparsify(
    model: Module,
    *,
    min_sparsity: float = 0.8,
    example_inputs: Sequence[Any] | None = None,
    target: str | None = None,
    decide_by: DecideBy | None = None,
    fold: bool = True,
    max_kernels: int = MAX_KERNELS,
) -> Sparsified:
    """A copy of a pruned model in which sparse modules do the work of the layers that pay.

    model:          in eval mode; pruned by torch.nn.utils.prune or by zeros in its weights.
    min_sparsity:   share of zeros from which a linear layer or a convolution is considered.
    example_inputs: positional arguments of a typical call: they tell each layer's N, without which
                    sparsity alone decides.
    target:         "cpu" or a GPU's architecture; None: where the model's weights are.
    decide_by:      "prediction": the cost model (on a CPU: for one thread); "measurement": times
                    dense and sparse modules, one by one, where the weights are; "sparsity": takes
                    whatever has `min_sparsity`. None: prediction for a GPU, measurement on a CPU.
    fold:           whether batch norm and ReLU that directly follow a sparse layer become part of
                    its kernel, and behind a convolution, with example inputs, the addition of a
                    tensor of the same shape (a residual). Where torch.fx can trace the model, the
                    new one is a `torch.fx.GraphModule` then; elsewhere this happens inside
                    `nn.Sequential` only, without additions.
    max_kernels:    of each layer, see `LayerKernels`.

    The new model shares nothing with `model`, and none of its parameters requires a gradient: it
    is for inference. Raises ArgumentError.
    """
    _check(model, min_sparsity, decide_by)
    weight = next(iter(model.parameters()), None)
    if weight is None:
        raise ArgumentError("model: expected one with parameters, got none")
    architecture = _target(target, weight)
    method = decide_by or ("measurement" if architecture == "cpu" else "prediction")
    copied = _copy(model)
    shapes = _shapes(copied, example_inputs)
    judge = _Judge(min_sparsity, architecture, method, max_kernels, shapes)
    folder = folder_of(copied, example_inputs) if fold else None
    decisions = [_decide(copied, name, judge, folder) for name in _layers(copied)]
    result = copied
    if folder is not None and any(one.folded for one in decisions):
        result = folder.model
    notes = (folder.note,) if folder is not None and folder.note else ()
    result.requires_grad_(False)
    return Sparsified(result, Report(tuple(decisions), architecture, notes))


def _check(model: Module, min_sparsity: float, decide_by: str | None) -> None:
    if not isinstance(model, nn.Module):
        raise ArgumentError(f"model: expected a torch.nn.Module, got {type(model).__name__}")
    if model.training:
        raise ArgumentError("model: expected eval mode, got training mode; call model.eval() first")
    if not 0 <= min_sparsity <= 1:
        raise ArgumentError(f"min_sparsity: expected a number from 0 to 1, got {min_sparsity!r}")
    if decide_by not in (None, "prediction", "measurement", "sparsity"):
        raise ArgumentError(
            'decide_by: expected None, "prediction", "measurement" or "sparsity", got'
            f" {decide_by!r}"
        )


def _target(target: str | None, weight: Tensor) -> str:
    if target is not None:
        return target_of(target)
    if weight.device.type == "cuda":
        return nearest_architecture(require_gpu(weight.device.index or 0).arch)
    return "cpu"


def _copy(model: Any) -> Module:
    """torch.nn.utils.prune leaves results of computations in modules, which torch does not copy."""
    memo: dict[int, Any] = {}
    for module in model.modules():
        for value in module.__dict__.values():
            if _is_computed(value):
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(model, memo)


def _is_computed(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not value.is_leaf


def _shapes(model: Module, inputs: Sequence[Any] | None) -> dict[str, list[tuple[int, ...]]] | None:
    """Shapes of x for each layer, one for each of its calls in one call of the model."""
    if inputs is None:
        return None
    seen: dict[str, list[tuple[int, ...]]] = {name: [] for name in _layers(model)}

    def record(name: str) -> Any:
        def hook(module: Module, arguments: tuple[Any, ...], result: Any) -> None:
            seen[name].append(tuple(arguments[0].shape))

        return hook

    hooks = [model.get_submodule(name).register_forward_hook(record(name)) for name in seen]
    try:
        with torch.inference_mode():
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return seen


def _layers(model: Any) -> Iterator[str]:
    """Names of linear layers and convolutions that forward calls reach as modules."""
    hidden: set[str] = set()
    for name, module in model.named_modules():
        if isinstance(module, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
            # They read the weights of their own children.
            hidden.update(
                f"{name}.{child}" if name else child for child, _ in module.named_modules()
            )
        is_plain = type(module) in (nn.Linear, nn.Conv2d)
        is_derived = isinstance(module, (nn.Linear, nn.Conv2d)) and _is_parametrized(module)
        if name and name not in hidden and (is_plain or is_derived):
            yield name


def _is_parametrized(module: Module) -> bool:
    return torch.nn.utils.parametrize.is_parametrized(module)


@dataclass(frozen=True)
class _Judge:
    """What decides, apart from the layer."""

    min_sparsity: float
    target: str
    method: str
    max_kernels: int
    shapes: dict[str, list[tuple[int, ...]]] | None

    def times(
        self, name: str, dense: Module, sparse: Module, like: Tensor
    ) -> tuple[float, float] | None:
        """(dense, sparse) microseconds of a layer's calls; None where sparsity decides."""
        if self.shapes is None or self.method == "sparsity":
            return None
        pairs: list[tuple[float, float]] = []
        for shape in self.shapes[name]:
            if self.method == "prediction":
                pairs.append(predicted_us(dense, sparse, shape, self.target))
            else:
                pairs.append(measured_us(dense, sparse, shape, like))
        return sum(dense for dense, _ in pairs), sum(sparse for _, sparse in pairs)


def _decide(model: Module, name: str, judge: _Judge, folder: Folder | None) -> Decision:
    """Decide about one layer, and put a sparse module in its place if it is taken."""
    dense = model.get_submodule(name)
    weight = dense_weight(dense)
    zeros = 1.0 - int(torch.count_nonzero(weight)) / max(1, weight.numel())
    shape = (weight.shape[0], weight[0].numel())
    calls = None if judge.shapes is None else judge.shapes[name]
    n = None if not calls else sum(columns_of(dense, one) for one in calls)
    times: tuple[float, float] | None = None
    followers = NOTHING
    taken, reason = False, ""
    if calls == []:
        reason = "not called with the example inputs"
    elif zeros < judge.min_sparsity:
        reason = f"fewer than {judge.min_sparsity:.0%} zeros"
    else:
        try:
            sparse = _sparse(dense, weight, dense.bias, Epilogue(), judge)
            times = judge.times(name, dense, sparse, weight)
            taken, reason = _verdict(times, judge)
            if taken:
                followers = _put(model, name, dense, sparse, judge, folder)
        except SparsertError as error:
            reason = str(error)
    dense_us, sparse_us = times if times is not None else (None, None)
    kind = "Linear" if isinstance(dense, nn.Linear) else "Conv2d"
    return Decision(
        name, kind, shape, n, zeros, taken, dense_us, sparse_us, followers.names, reason
    )


def _verdict(times: tuple[float, float] | None, judge: _Judge) -> tuple[bool, str]:
    if times is None:
        return True, f"at least {judge.min_sparsity:.0%} zeros"
    dense_us, sparse_us = times
    how = "predicted" if judge.method == "prediction" else "measured"
    if sparse_us < dense_us:
        return True, f"{how} {dense_us / sparse_us:.1f} x as fast"
    return False, f"{how} {sparse_us / max(dense_us, 1e-9):.1f} x as slow"


def _put(
    model: Module, name: str, dense: Module, sparse: Module, judge: _Judge, folder: Folder | None
) -> Followers:
    """Replace a layer, and what is folded into it; returns that."""
    followers = NOTHING if folder is None else _foldable(folder, name, dense, judge)
    if followers.names:
        weight, bias = dense_weight(dense), dense.bias
        if followers.norm_module is not None:
            weight, bias = fold_norm(weight, bias, followers.norm_module)
        sparse = _sparse(dense, weight, bias, followers.epilogue, judge)
    sparse.eval()
    model.set_submodule(name, sparse)
    if folder is not None:
        folder.put(name, sparse, followers)
    return followers


def _foldable(folder: Folder, name: str, dense: Module, judge: _Judge) -> Followers:
    """Batch norm behind a linear layer has the channels last only where x is a matrix."""
    followers = folder.followers(name)
    if followers.norm_module is None or isinstance(dense, nn.Conv2d):
        return followers
    shapes = None if judge.shapes is None else judge.shapes[name]
    return followers if shapes and all(len(shape) == 2 for shape in shapes) else NOTHING


def _sparse(
    dense: Module, weight: Tensor, bias: Tensor | None, epilogue: Epilogue, judge: _Judge
) -> Module:
    dtype: Dtype = dtype_for(dense.weight, None)
    if isinstance(dense, nn.Linear):
        layer = SparseLayer.of(weight, bias, epilogue, dtype)
        return SparseLinear(layer, max_kernels=judge.max_kernels)
    return SparseConv2d.of(weight, dense, bias, epilogue, dtype, judge.max_kernels)
