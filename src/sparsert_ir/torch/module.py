"""What the sparse modules share: the layer, its kernels, and how they are copied and stored."""

from typing import Any, Generic, TypeVar

from sparsert_ir.errors import ArgumentError
from sparsert_ir.torch.framework import Tensor, nn, torch
from sparsert_ir.torch.kernels import LayerKernels, kernels_of
from sparsert_ir.torch.layer import Layer

LayerT = TypeVar("LayerT", bound=Layer)


class SparseModule(nn.Module, Generic[LayerT]):
    """A module with one constant sparse matrix. It has no parameters: nothing of it can be trained.

    Copies and pickles (`torch.save` of the module) hold the matrix; kernels are compiled again
    where they are read. A state dict holds only which matrix it was, and loading one that was made
    with another matrix is an error.
    """

    def __init__(self, layer: LayerT, max_kernels: int) -> None:
        nn.Module.__init__(self)
        self._hold(layer, max_kernels)

    def _hold(self, layer: LayerT, limit: int) -> None:
        self.layer = layer
        self.kernels: LayerKernels = kernels_of(layer, limit)
        self.key = self.kernels.key

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = dict(self.__dict__)
        kernels: LayerKernels = state.pop("kernels")
        return {**state, "max_kernels": kernels.limit}

    def __setstate__(self, state: dict[str, Any]) -> None:
        limit = state.pop("max_kernels")
        nn.Module.__setstate__(self, state)
        self._hold(self.layer, limit)

    def get_extra_state(self) -> Tensor:
        return torch.tensor(list(bytes.fromhex(self.layer.digest)), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Raises ArgumentError for the state of another matrix."""
        if not torch.equal(state.cpu(), self.get_extra_state()):
            raise ArgumentError(
                f"state: expected that of the layer {self.layer.digest}, got that of another one;"
                " sparse layers are constants: make them again from the dense model"
            )
