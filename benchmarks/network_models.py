"""Networks with the layers of MobileNetV1 and ResNet-50, made-up weights, pruned by magnitude.

A. Howard et al., "MobileNets", 2017, table 1; K. He et al., "Deep Residual Learning", 2015, table 1
(strides in the 3x3 convolutions, as torchvision has it).
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

torch: Any = import_module("torch")
nn: Any = torch.nn

_MOBILENET = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5)
_RESNET = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))
"""(Channels inside, blocks, stride of the first) of each stage."""

_SAMPLES = 96


def _convolution(inputs: int, outputs: int, size: int, stride: int = 1, groups: int = 1) -> Any:
    layer = nn.Conv2d(inputs, outputs, size, stride, size // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs))


def mobilenet_v1() -> Any:
    """B x 3 x 224 x 224 -> B x 1000."""
    layers, channels = [_convolution(3, 32, 3, 2), nn.ReLU()], 32
    for outputs, stride in (*_MOBILENET, (1024, 2), (1024, 1)):
        layers += [_convolution(channels, channels, 3, stride, channels), nn.ReLU()]
        layers += [_convolution(channels, outputs, 1), nn.ReLU()]
        channels = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, and the input added."""

    def __init__(self, inputs: int, inside: int, stride: int) -> None:
        nn.Module.__init__(self)
        self.narrow = _convolution(inputs, inside, 1)
        self.middle = _convolution(inside, inside, 3, stride)
        self.wide = _convolution(inside, 4 * inside, 1)
        is_same = stride == 1 and inputs == 4 * inside
        self.shortcut = nn.Identity() if is_same else _convolution(inputs, 4 * inside, 1, stride)
        self.relu = nn.ReLU()

    def forward(self, x: Any) -> Any:
        y = self.relu(self.middle(self.relu(self.narrow(x))))
        return self.relu(self.wide(y) + self.shortcut(x))


def resnet_50() -> Any:
    """B x 3 x 224 x 224 -> B x 1000."""
    layers: list[Any] = [_convolution(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for inside, blocks, stride in _RESNET:
        for block in range(blocks):
            layers.append(Bottleneck(channels, inside, 1 if block else stride))
            channels = 4 * inside
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 1000))


NETWORKS: dict[str, Callable[[], Any]] = {"mobilenet-v1": mobilenet_v1, "resnet-50": resnet_50}


def pruned_network(name: str, sparsity: float, size: int) -> Any:
    """In eval mode, on the CPU: all convolutions pruned but depthwise ones and the first.

    Batch norm has the statistics of random images, as after training, so that numbers stay of order
    1: of as many images as have `_SAMPLES` pixels in the last stage, which is 32 times smaller.
    """
    torch.manual_seed(0)
    model = NETWORKS[name]()
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups == 1 and module.in_channels > 3:
            weight = module.weight.data
            smallest = weight.abs().flatten().kthvalue(round(sparsity * weight.numel())).values
            weight[weight.abs() <= smallest] = 0
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        images = max(2, -(-_SAMPLES // max(1, size // 32) ** 2))
        model.train()(torch.randn(images, 3, size, size))
    return model.eval()
