"""Questions about nodes of a `torch.fx` graph."""

import operator
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sparsert_ir.torch.framework import Module, torch

Kind: TypeAlias = tuple[tuple[int, ...], Any]
"""Shape and element type of a tensor."""

_RELU_FUNCTIONS = (torch.relu, torch.relu_, torch.nn.functional.relu)
_RELU_METHODS = ("relu", "relu_")
_SUMS: tuple[Any, ...] = (operator.add, torch.add)
_IN_PLACE: dict[str, Any] = {
    name: getattr(operator, name)
    for name in (
        "setitem", "iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow", "iand", "ior",
        "ixor",
    )
}  # fmt: skip
_SUMS_IN_PLACE = (_IN_PLACE["iadd"],)
_SUM_METHODS, _SUM_METHODS_IN_PLACE = ("add",), ("add_",)
_PURE_MODULES = ("torch", "_operator", "math", "builtins")


def only_user(node: Any) -> Any:
    """The node that alone uses the result of `node`; None if there are others, or none."""
    users = list(node.users)
    return users[0] if len(users) == 1 else None


def nodes_between(first: Any, last: Any) -> list[Any]:
    """In the order of the graph, without `first` and `last`."""
    found: list[Any] = []
    node = first.next
    while node is not last:
        found.append(node)
        node = node.next
    return found


def is_relu(node: Any) -> bool:
    """Whether a node calls ReLU as a function or a method."""
    if node is None:
        return False
    if node.op == "call_method":
        return node.target in _RELU_METHODS
    return node.op == "call_function" and node.target in _RELU_FUNCTIONS


def is_addition(node: Any) -> bool:
    """Whether a node adds two things, and nothing else."""
    return _is_new_sum(node) or _is_sum_in_place(node)


def _is_new_sum(node: Any) -> bool:
    return _calls(node, _SUMS, _SUM_METHODS)


def _is_sum_in_place(node: Any) -> bool:
    return _calls(node, _SUMS_IN_PLACE, _SUM_METHODS_IN_PLACE)


def _calls(node: Any, functions: Sequence[Any], methods: Sequence[str]) -> bool:
    if node.kwargs or len(node.args) != 2:
        return False
    if node.op == "call_method":
        return node.target in methods
    return node.op == "call_function" and node.target in functions


def other_term(node: Any, term: Any) -> Any:
    """What `node` adds to `term`; None if it is no such addition, or one that others can see:
    in place into the other term.
    """
    if node is None or not is_addition(node):
        return None
    first, second = node.args
    other = second if first is term else first
    if not isinstance(other, torch.fx.Node) or other is term:
        return None
    return None if _is_sum_in_place(node) and first is not term else other


def may_write(node: Any, modules: Mapping[str, Module]) -> bool:
    """Whether a node may change a tensor that was there before, as far as one can tell."""
    if node.kwargs.get("inplace") or "out" in node.kwargs:
        return True
    if node.op == "call_module":
        return bool(getattr(modules[node.target], "inplace", False))
    if node.op == "call_method":
        return node.target.endswith("_")
    if node.op != "call_function":
        return False
    function = node.target
    package = str(getattr(function, "__module__", None) or "torch").partition(".")[0]
    in_place = function in _IN_PLACE.values() or function.__name__.endswith("_")
    return in_place or package not in _PURE_MODULES


class _Recorder(torch.fx.Interpreter):
    """Runs a graph and notes what its nodes return."""

    def __init__(self, model: Module) -> None:
        torch.fx.Interpreter.__init__(self, model)
        self.kinds: dict[Any, Kind] = {}

    def run_node(self, n: Any) -> Any:
        result: Any = torch.fx.Interpreter.run_node(self, n)
        if isinstance(result, torch.Tensor):
            self.kinds[n] = (tuple(result.shape), result.dtype)
        return result


def result_kinds(model: Module, inputs: Sequence[Any]) -> dict[Any, Kind]:
    """Of each node of a `torch.fx.GraphModule` that returns a tensor, in a call with `inputs`."""
    recorder = _Recorder(model)
    with torch.inference_mode():
        recorder.run(*inputs)
    return recorder.kinds
