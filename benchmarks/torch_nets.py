"""The nets of the epochs in PyTorch: the same layers, weights and training step as in Keras."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from benchmarks.worker import Side, Unavailable

if TYPE_CHECKING:
    from torch import nn


def lenet() -> nn.Module:
    """Return LeNet-5: 61,706 weights."""
    from torch import nn

    convolutions = [
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
    ]
    widths = [nn.Sequential(nn.Linear(a, b), nn.ReLU()) for a, b in itertools.pairwise((400, 120, 84))]
    return nn.Sequential(*convolutions, nn.Flatten(), *widths, nn.Linear(84, 10))


def mlp() -> nn.Module:
    """Return the multilayer perceptron 784-512-256-128-10 with dropout."""
    from torch import nn

    widths = itertools.pairwise((784, 512, 256, 128))
    hidden = [nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(0.2)) for a, b in widths]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, 10))


def resnet20() -> nn.Module:
    """Return ResNet-20 for CIFAR, with projections between the three widths."""
    from torch import nn

    def norm(filters: int) -> nn.Module:
        return nn.BatchNorm2d(filters, eps=1e-3)

    class Unit(nn.Module):
        """Two convolutions and a shortcut."""

        def __init__(self, inputs: int, filters: int, stride: int) -> None:
            super().__init__()
            self.body = nn.Sequential(
                nn.Conv2d(inputs, filters, 3, stride, padding=1, bias=False),
                norm(filters),
                nn.ReLU(),
                nn.Conv2d(filters, filters, 3, padding=1, bias=False),
                norm(filters),
            )
            projection = (nn.Conv2d(inputs, filters, 1, stride, bias=False), norm(filters))
            self.shortcut = nn.Identity() if stride == 1 else nn.Sequential(*projection)

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.shortcut(x) + self.body(x))

    widths = ((16, 16, 1), (16, 16, 1), (16, 16, 1), (16, 32, 2), (32, 32, 1), (32, 32, 1), (32, 64, 2), (64, 64, 1))
    first = (nn.Conv2d(3, 16, 3, padding=1, bias=False), norm(16), nn.ReLU())
    units = [Unit(*width) for width in (*widths, (64, 64, 1))]
    return nn.Sequential(*first, *units, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


NETS: dict[str, Callable[[], Any]] = {"lenet": lenet, "mlp": mlp, "resnet20": resnet20}


def epochs(name: str, x: Any, y: Any, batch_size: int) -> Side:
    """Return the seconds per epoch of eager PyTorch, with tensors in memory and a new order in each epoch.

    Args:
        name: Name of a net.
        x: Images, float32 (examples, height, width, channels).
        y: Class numbers.
        batch_size: Number of examples in a batch.

    Raises:
        Unavailable: PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise Unavailable("PyTorch is not installed (pip install torch)") from error
    images, labels = torch.from_numpy(x.transpose(0, 3, 1, 2).copy()), torch.from_numpy(y).long()
    net = NETS[name]()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-7)  # the defaults of Keras
    loss = torch.nn.CrossEntropyLoss()

    def measure() -> float:
        start = time.perf_counter()
        total_loss = torch.zeros(())  # loss and accuracy, which Keras computes too
        num_correct = torch.zeros((), dtype=torch.long)
        for batch in torch.randperm(len(images)).split(batch_size):
            optimizer.zero_grad()
            outputs = net(images[batch])
            value = loss(outputs, labels[batch])
            value.backward()
            optimizer.step()
            total_loss += value.detach() * len(batch)
            num_correct += (outputs.argmax(1) == labels[batch]).sum()
        float(total_loss / len(images)), float(num_correct / len(images))
        return time.perf_counter() - start

    return Side(measure, {"PyTorch": f"{torch.__version__}, {torch.get_num_threads()} threads"})
