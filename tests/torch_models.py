"""Small pruned models for the tests of `sparsert_ir.torch`; imported only where torch is."""

from importlib import import_module
from typing import Any

torch: Any = import_module("torch")
nn: Any = torch.nn


def whole_numbers(shape: tuple[int, ...], seed: int = 0, limit: int = 3) -> Any:
    """float32 whole numbers, of which every sum in these tests is exact, in any order."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-limit, limit + 1, shape, generator=generator).float()


def pruned(module: Any, sparsity: float = 0.9, seed: int = 0) -> Any:
    """The module in eval mode, with whole numbers, most of which are 0."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        kept = torch.rand(module.weight.shape, generator=generator) > sparsity
        # No 0 among the kept ones.
        values = whole_numbers(tuple(module.weight.shape), seed) + 0.5
        module.weight.copy_(values.mul(2) * kept)
        if module.bias is not None:
            module.bias.copy_(whole_numbers(tuple(module.bias.shape), seed + 1))
    return module.eval()


def norm(kind: Any, channels: int, seed: int = 0) -> Any:
    """A batch norm in eval mode whose numbers are anything but the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    module = kind(channels)
    with torch.no_grad():
        module.running_mean.copy_(torch.randn(channels, generator=generator))
        module.running_var.copy_(torch.rand(channels, generator=generator) + 0.5)
        module.weight.copy_(torch.randn(channels, generator=generator))
        module.bias.copy_(torch.randn(channels, generator=generator))
    return module.eval()


class Block(nn.Module):
    """Every kind of layer and follower: reused ReLU module, function, method, addition."""

    def __init__(self) -> None:
        nn.Module.__init__(self)
        self.point = pruned(nn.Conv2d(16, 32, 1, bias=False))
        self.point_norm = norm(nn.BatchNorm2d, 32)
        self.full = pruned(nn.Conv2d(32, 32, 3, padding=1), seed=1)
        self.full_norm = norm(nn.BatchNorm2d, 32, seed=1)
        self.relu = nn.ReLU()
        self.wide = pruned(nn.Linear(32, 64), seed=2)
        self.wide_norm = norm(nn.BatchNorm1d, 64, seed=2)
        self.last = pruned(nn.Linear(64, 10), 0.0, seed=3)
        self.eval()

    def forward(self, x: Any) -> Any:
        x = self.relu(self.point_norm(self.point(x)))
        y = torch.relu(self.full_norm(self.full(x)))
        x = self.relu(x + y).mean((2, 3))
        return self.last(self.wide_norm(self.wide(x)).relu())


class Bottleneck(nn.Module):
    """A 3x3 and a 1x1 convolution with batch norm, and the input or a shortcut added."""

    def __init__(
        self,
        inputs: int,
        inside: int,
        stride: int = 1,
        in_place: bool = False,
        is_first: bool = True,
    ) -> None:
        nn.Module.__init__(self)
        outputs = inputs * stride
        self.narrow = pruned(nn.Conv2d(inputs, inside, 3, stride, 1, bias=False))
        self.narrow_norm = norm(nn.BatchNorm2d, inside)
        self.wide = pruned(nn.Conv2d(inside, outputs, 1, bias=False), seed=1)
        self.wide_norm = norm(nn.BatchNorm2d, outputs, seed=1)
        self.relu = nn.ReLU(inplace=in_place)
        self.shortcut = nn.Identity()
        if stride > 1:
            layer = pruned(nn.Conv2d(inputs, outputs, 1, stride, bias=False), seed=2)
            self.shortcut = nn.Sequential(layer, norm(nn.BatchNorm2d, outputs, seed=2))
        self.in_place, self.is_first = in_place, is_first
        self.eval()

    def forward(self, x: Any) -> Any:
        y = self.wide_norm(self.wide(self.relu(self.narrow_norm(self.narrow(x)))))
        identity = self.shortcut(x)
        if self.in_place:
            y += identity
        else:
            y = y + identity if self.is_first else identity + y
        return self.relu(y)
