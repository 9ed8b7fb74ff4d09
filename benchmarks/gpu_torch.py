"""The nets of the GPU benchmark in PyTorch: eager training steps on the GPU if there is one."""

from __future__ import annotations

from typing import Any

from benchmarks.gpu_workloads import NUM_CLASSES, NUM_WORDS, Size, batch, sizes, timer
from benchmarks.worker import Side, Unavailable


def torch_side(name: str) -> Side:
    """Return the time of a training step of a net with Adam, in milliseconds.

    Raises:
        Unavailable: PyTorch is not installed.
    """
    return _side(name, dry=False)


def dry_torch_side(name: str) -> Side:
    """Return the same for a tiny net on the CPU."""
    return _side(name, dry=True)


def _side(name: str, *, dry: bool) -> Side:
    try:
        import torch
    except ImportError as error:
        raise Unavailable("PyTorch is not installed (pip install torch)") from error
    torch.backends.cuda.matmul.allow_tf32 = True  # as TensorFlow and JAX do by default
    device = "cuda" if torch.cuda.is_available() and not dry else "cpu"
    size = sizes(dry=dry)[name]
    x, *rest = (torch.from_numpy(array).to(device) for array in batch(name, size))
    x = x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x
    labels = rest[0].long() if rest else None
    net = make_net(name, size).to(device)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3, eps=1e-7)  # the defaults of Keras

    def step() -> float:
        optimizer.zero_grad()
        outputs = net(x)
        loss = outputs if labels is None else torch.nn.functional.cross_entropy(outputs, labels)
        loss.backward()
        optimizer.step()
        return loss.item()  # waits for the GPU, as `train_on_batch` does

    return Side(timer(step, dry=dry), {"PyTorch": torch.__version__, "PyTorch's device": device})


def make_net(name: str, size: Size) -> Any:
    """Return a net as a `torch.nn.Module`; that of the variational autoencoder returns its loss."""
    makers = {
        "lenet": _lenet,
        "bilstm": _bilstm,
        "vae": _vae,
        "attention": _attention,
        "transformer": _transformer,
        "resnet50": _resnet50,
    }
    return makers[name](size)


def _lenet(size: Size) -> Any:
    from torch import nn

    convolutions = [nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU()]
    dense = [nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)]
    return nn.Sequential(*convolutions, nn.MaxPool2d(2), nn.Flatten(), *dense)


def _bilstm(size: Size) -> Any:
    import torch
    from torch import nn

    class BiLSTM(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(NUM_WORDS, 128)
            self.lstm = nn.LSTM(128, 64, num_layers=2, batch_first=True, bidirectional=True)
            self.classifier = nn.Linear(128, 2)

        def forward(self, ids: Any) -> Any:
            _, (states, _) = self.lstm(self.embedding(ids))
            return self.classifier(torch.cat([states[-2], states[-1]], dim=1))

    return BiLSTM()


def _attention(size: Size) -> Any:
    from torch import nn

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(NUM_WORDS, 128)
            self.attention = nn.MultiheadAttention(128, 4, batch_first=True)
            self.norms = nn.ModuleList([nn.LayerNorm(128, eps=1e-3) for _ in range(2)])
            self.dense = nn.Sequential(nn.Linear(128, 256), nn.ReLU(), nn.Linear(256, 128))
            self.classifier = nn.Linear(128, 2)

        def forward(self, ids: Any) -> Any:
            x = self.embedding(ids)
            x = self.norms[0](x + self.attention(x, x, x, need_weights=False)[0])
            x = self.norms[1](x + self.dense(x))
            return self.classifier(x.mean(dim=1))

    return Encoder()


def _transformer(size: Size) -> Any:
    import torch
    from torch import nn

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding, self.positions = nn.Embedding(NUM_WORDS, 128), nn.Embedding(size.extent, 128)
            layer = nn.TransformerEncoderLayer(128, 4, 256, dropout=0.0, batch_first=True)
            self.encoder = nn.TransformerEncoder(layer, 2)
            self.classifier = nn.Linear(128, 2)

        def forward(self, ids: Any) -> Any:
            positions = self.positions(torch.arange(size.extent, device=ids.device))
            return self.classifier(self.encoder(self.embedding(ids) + positions).mean(dim=1))

    return Transformer()


def _vae(size: Size) -> Any:
    import torch
    from torch import nn

    class VAE(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.hidden = nn.Sequential(nn.Linear(784, 500), nn.Tanh())
            self.mean, self.log_variance = nn.Linear(500, 20), nn.Linear(500, 20)
            self.decoder = nn.Sequential(nn.Linear(20, 500), nn.Tanh(), nn.Linear(500, 784))

        def forward(self, x: Any) -> Any:
            hidden = self.hidden(x)
            mean, log_variance = self.mean(hidden), self.log_variance(hidden)
            logits = self.decoder(mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean))
            reconstruction = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)
            kl = -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(dim=1)
            return (reconstruction + kl).mean()

    return VAE()


def _resnet50(size: Size) -> Any:
    from torch import nn

    def conv(inputs: int, filters: int, kernel_size: int, strides: int = 1) -> list[Any]:
        layer = nn.Conv2d(inputs, filters, kernel_size, strides, padding=kernel_size // 2, bias=False)
        return [layer, nn.BatchNorm2d(filters, eps=1e-3)]

    class Bottleneck(nn.Module):
        def __init__(self, inputs: int, filters: int, strides: int) -> None:
            super().__init__()
            first = [*conv(inputs, filters, 1), nn.ReLU(), *conv(filters, filters, 3, strides), nn.ReLU()]
            self.body = nn.Sequential(*first, *conv(filters, 4 * filters, 1))
            is_same = strides == 1 and inputs == 4 * filters
            self.shortcut = nn.Identity() if is_same else nn.Sequential(*conv(inputs, 4 * filters, 1, strides))

        def forward(self, x: Any) -> Any:
            return nn.functional.relu(self.shortcut(x) + self.body(x))

    units, channels = [], 64
    for stage, num_repeats in enumerate(size.num_repeats):
        for unit in range(num_repeats):
            filters = 64 * 2**stage
            units.append(Bottleneck(channels, filters, 2 if stage and not unit else 1))
            channels = 4 * filters
    stem = [*conv(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, padding=1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, NUM_CLASSES["resnet50"])]
    return nn.Sequential(*stem, *units, *head)
