"""Batch norm and ReLU that directly follow a layer: found, and taken out of the model.

In models that torch.fx can trace, wherever they are; in others, only inside `nn.Sequential`.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

from sparsert_ir.torch.framework import Module, Tensor, nn, torch

_RELU_FUNCTIONS = (torch.relu, torch.relu_, torch.nn.functional.relu)
_RELU_METHODS = ("relu", "relu_")


@dataclass(frozen=True)
class Followers:
    """What directly follows a layer and nothing else uses: batch norm, then ReLU, or one of them.

    norm, relu: places in the model, in the terms of the folder that found them.
    """

    norm_module: Module
    norm: Any
    relu: Any

    @property
    def names(self) -> tuple[str, ...]:
        """For people."""
        norm = () if self.norm_module is None else ("batch norm",)
        return norm if self.relu is None else (*norm, "ReLU")


NOTHING = Followers(None, None, None)


class Folder(Protocol):
    """Finds what follows the layers of `model`, and removes it."""

    model: Module

    def followers(self, name: str) -> Followers:
        """Of the layer with that name."""
        ...

    def replace(self, name: str, module: Module) -> None:
        """Put another module in the place of a layer."""
        ...

    def remove(self, followers: Followers) -> None:
        """Take them out of the model; their work must be done elsewhere."""
        ...


def folder_of(model: Module) -> tuple[Folder, str]:
    """The folder that suits `model`, and "" or why torch.fx cannot trace it."""
    try:
        return GraphFolder(torch.fx.symbolic_trace(model)), ""
    except Exception as error:
        # Tracing runs the model's own code on stand-ins for tensors: anything may go wrong.
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        return SequentialFolder(model), reason


class GraphFolder:
    """For a `torch.fx.GraphModule`."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self._modules: dict[str, Module] = dict(model.named_modules(remove_duplicate=False))
        calls = [node for node in model.graph.nodes if node.op == "call_module"]
        self._nodes: dict[str, Any] = {node.target: node for node in calls}
        self._uses = Counter(id(self._modules[node.target]) for node in calls)

    def followers(self, name: str) -> Followers:
        node = self._nodes.get(name)
        if node is None or not self._is_called_once(node):
            return NOTHING
        after = _only_user(node)
        norm = after if self._is_norm(after, self._modules[name]) else None
        if norm is not None:
            after = _only_user(norm)
        relu = after if self._is_relu(after) else None
        return Followers(None if norm is None else self._modules[norm.target], norm, relu)

    def replace(self, name: str, module: Module) -> None:
        if name in self._nodes:
            self.model.set_submodule(name, module)

    def remove(self, followers: Followers) -> None:
        for node in (followers.relu, followers.norm):
            if node is not None:
                node.replace_all_uses_with(node.args[0] if node.args else node.kwargs["input"])
                self.model.graph.erase_node(node)
        self.model.graph.lint()
        self.model.delete_all_unused_submodules()
        self.model.recompile()

    def _is_called_once(self, node: Any) -> bool:
        return self._uses[id(self._modules[node.target])] == 1

    def _is_norm(self, node: Any, layer: Module) -> bool:
        if node is None or node.op != "call_module" or not self._is_called_once(node):
            return False
        return is_foldable_norm(self._modules[node.target], layer)

    def _is_relu(self, node: Any) -> bool:
        if node is None:
            return False
        if node.op == "call_module":
            return type(self._modules[node.target]) is nn.ReLU
        if node.op == "call_method":
            return node.target in _RELU_METHODS
        return node.op == "call_function" and node.target in _RELU_FUNCTIONS


def _only_user(node: Any) -> Any:
    users = list(node.users)
    return users[0] if len(users) == 1 else None


class SequentialFolder:
    """For any model: looks at neighbours in its `nn.Sequential` containers."""

    def __init__(self, model: Module) -> None:
        self.model = model
        self._names: dict[str, list[str]] = {}
        named = list(model.named_modules(remove_duplicate=False))
        self._uses = Counter(id(module) for _, module in named)
        for prefix, module in named:
            if type(module) is nn.Sequential:
                names = [
                    f"{prefix}.{name}" if prefix else name for name, _ in module.named_children()
                ]
                for place, name in enumerate(names):
                    self._names[name] = names[place + 1 :]

    def followers(self, name: str) -> Followers:
        layer = self._once(name)
        after = list(self._names.get(name, ()))
        if layer is None or not after:
            return NOTHING
        norm_module = self._once(after[0])
        norm = after.pop(0) if is_foldable_norm(norm_module, layer) else None
        relu = after[0] if after and type(self._once(after[0])) is nn.ReLU else None
        return Followers(norm_module if norm else None, norm, relu)

    def replace(self, name: str, module: Module) -> None:
        self.model.set_submodule(name, module)

    def remove(self, followers: Followers) -> None:
        for name in (followers.norm, followers.relu):
            if name is not None:
                self.model.set_submodule(name, nn.Identity())

    def _once(self, name: str) -> Module:
        """The module with that name; None if it has others."""
        module = self.model.get_submodule(name)
        return module if self._uses[id(module)] == 1 else None


def is_foldable_norm(norm: Module, layer: Module) -> bool:
    """Whether `norm` is a batch norm with fixed statistics over the output channels of `layer`.

    Behind a linear layer, only `sparsify` can tell: it knows the rank of x.
    """
    kind = nn.BatchNorm2d if isinstance(layer, nn.Conv2d) else nn.BatchNorm1d
    return type(norm) is kind and norm.running_mean is not None and not norm.training


def fold_norm(weight: Tensor, bias: Tensor | None, norm: Module) -> tuple[Tensor, Tensor]:
    """Weight and bias of `norm(layer(x))` as one layer, computed in float64.

    gamma (W x + b - mean) / sqrt(variance + eps) + beta, row by row.
    """
    variance, mean = norm.running_var.double(), norm.running_mean.double()
    scale = torch.rsqrt(variance + norm.eps)
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    before = torch.zeros_like(mean) if bias is None else bias.double()
    shift = (before - mean) * scale
    if norm.bias is not None:
        shift = shift + norm.bias.double()
    rows = scale.reshape(-1, *[1] * (weight.dim() - 1))
    return (weight.double() * rows).detach(), shift.detach()
