"""What directly follows a layer, found and taken out of the model: batch norm, ReLU, an addition.

In models that torch.fx can trace, wherever they are; in others, only inside `nn.Sequential`, and no
additions.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sparsert_ir.torch.framework import Module, Tensor, nn, torch
from sparsert_ir.torch.graphs import (
    is_addition,
    is_relu,
    may_write,
    nodes_between,
    only_user,
    other_term,
    result_kinds,
)
from sparsert_ir.torch.layer import Epilogue, Residual


@dataclass(frozen=True)
class Followers:
    """What directly follows a layer and nothing else uses.

    norm_module: a batch norm, or None.
    chain:       places of everything in the model, in order, in the terms of the folder.
    epilogue:    what of it a kernel does besides.
    residual:    place of what is added.
    """

    norm_module: Module
    chain: tuple[Any, ...]
    epilogue: Epilogue
    residual: Any = None

    @property
    def names(self) -> tuple[str, ...]:
        """For people, in order."""
        norm = () if self.norm_module is None else ("batch norm",)
        relu = () if self.epilogue.activation is None else ("ReLU",)
        added = {"none": relu, "before": ("residual", *relu), "after": (*relu, "residual")}
        return (*norm, *added[self.epilogue.residual])


NOTHING = Followers(None, (), Epilogue())


class Folder(Protocol):
    """Finds what follows the layers of `model`, and removes it.

    note: what it leaves alone, or "".
    """

    model: Module
    note: str

    def followers(self, name: str) -> Followers:
        """Of the layer with that name."""
        ...

    def put(self, name: str, module: Module, followers: Followers) -> None:
        """Put a module in the place of a layer and of what follows it."""
        ...


def folder_of(model: Module, inputs: Sequence[Any] | None) -> Folder:
    """The folder that suits `model`.

    inputs: of an example call, which tells shapes; None: additions are left alone.
    """
    try:
        return GraphFolder(torch.fx.symbolic_trace(model), inputs)
    except Exception as error:
        # Tracing runs the model's own code on stand-ins for tensors: anything may go wrong.
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        return SequentialFolder(model, f"folded only inside nn.Sequential ({reason})")


class GraphFolder:
    """For a `torch.fx.GraphModule`."""

    def __init__(self, model: Module, inputs: Sequence[Any] | None) -> None:
        self.model = model
        self._modules: dict[str, Module] = dict(model.named_modules(remove_duplicate=False))
        calls = [node for node in model.graph.nodes if node.op == "call_module"]
        self._nodes: dict[str, Any] = {node.target: node for node in calls}
        self._uses = Counter(id(self._modules[node.target]) for node in calls)
        self._kinds = {} if inputs is None else result_kinds(model, inputs)
        has_additions = any(is_addition(node) for node in model.graph.nodes)
        self.note = "no additions folded: that needs example_inputs"
        if inputs is not None or not has_additions:
            self.note = ""

    def followers(self, name: str) -> Followers:
        node = self._nodes.get(name)
        if node is None or not self._is_called_once(node):
            return NOTHING
        norm = self._norm_after(node)
        relu = self._relu_after(norm or node)
        term = relu or norm or node
        addition, residual = self._addition_after(term, node)
        place: Residual = "none"
        chain = (norm, relu)
        if addition is not None:
            place = "before" if relu is None else "after"
            chain = (norm, relu, addition)
        if place == "before":
            relu = self._relu_after(addition)
            chain = (norm, addition, relu)
        return Followers(
            norm_module=None if norm is None else self._modules[norm.target],
            chain=tuple(one for one in chain if one is not None),
            epilogue=Epilogue(None if relu is None else "relu", place),
            residual=residual,
        )

    def put(self, name: str, module: Module, followers: Followers) -> None:
        node = self._nodes.get(name)
        if node is None:
            return
        self.model.set_submodule(name, module)
        graph, folded = self.model.graph, list(followers.chain)
        if followers.residual is not None:
            # What is added may be computed after the place where the layer was called.
            (addition,) = (one for one in folded if is_addition(one))
            folded.insert(0, node)
            with graph.inserting_before(addition):
                node = graph.call_module(name, (node.args[0], followers.residual))
            self._nodes[name] = node
            self._kinds[node] = self._kinds[addition]
        if folded:
            folded[-1].replace_all_uses_with(node)
        for one in reversed(folded):
            graph.erase_node(one)
        graph.lint()
        self.model.delete_all_unused_submodules()
        self.model.recompile()

    def _is_called_once(self, node: Any) -> bool:
        return self._uses[id(self._modules[node.target])] == 1

    def _norm_after(self, node: Any) -> Any:
        """The batch norm that can become part of the layer which `node` calls, or None."""
        after = only_user(node)
        if after is None or after.op != "call_module" or not self._is_called_once(after):
            return None
        layer, norm = self._modules[node.target], self._modules[after.target]
        return after if is_foldable_norm(norm, layer) else None

    def _relu_after(self, node: Any) -> Any:
        after = only_user(node)
        if after is not None and after.op == "call_module":
            return after if type(self._modules[after.target]) is nn.ReLU else None
        return after if is_relu(after) else None

    def _addition_after(self, term: Any, layer: Any) -> tuple[Any, Any]:
        """The node that adds a tensor of the same kind to `term`, and that tensor's node.

        Only behind convolutions: what is added to the result of a linear layer would have to be
        transposed first. The layer will be called where the addition is: nothing on the way there
        may change what it reads.
        """
        after = only_user(term)
        other, kind = other_term(after, term), self._kinds.get(term)
        is_known = kind is not None and self._kinds.get(other) == kind
        is_conv = isinstance(self._modules[layer.target], nn.Conv2d)
        if other is None or not is_known or not is_conv or not layer.args:
            return None, None
        between = nodes_between(layer, after)
        if any(may_write(one, self._modules) for one in between if one is not term):
            return None, None
        return after, other


class SequentialFolder:
    """For any model: looks at neighbours in its `nn.Sequential` containers."""

    def __init__(self, model: Module, note: str) -> None:
        self.model, self.note = model, note
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
        norm_module, chain = self._once(after[0]), list[str]()
        if is_foldable_norm(norm_module, layer):
            chain.append(after.pop(0))
        else:
            norm_module = None
        is_followed = bool(after) and type(self._once(after[0])) is nn.ReLU
        if is_followed:
            chain.append(after[0])
        return Followers(norm_module, tuple(chain), Epilogue("relu" if is_followed else None))

    def put(self, name: str, module: Module, followers: Followers) -> None:
        self.model.set_submodule(name, module)
        for one in followers.chain:
            self.model.set_submodule(one, nn.Identity())

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
