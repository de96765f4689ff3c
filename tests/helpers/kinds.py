"""Networks of every kind that users bring, each a chain with a batch: what the matrix is made of."""

# mypy: no-warn-return-any
# torch has no types for what modules return

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, prune
from torch.utils.checkpoint import checkpoint
from torchvision.ops import StochasticDepth

B, CLASSES = 4, 3


class Of(nn.Module):
    """A module from a function of the input and of the modules it is made of."""

    def __init__(self, f: Callable[..., Tensor], *parts: nn.Module) -> None:
        super().__init__()
        self.f, self.parts = f, nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        return self.f(x, *self.parts)


def dense(*middle: nn.Module, width: int = 5) -> nn.Sequential:
    """4 → width → 3 with something in between, as its own block."""
    first = nn.Sequential(nn.Linear(4, width), nn.Tanh())
    return nn.Sequential(first, nn.Sequential(*middle), nn.Linear(width, CLASSES))


def images(*middle: nn.Module) -> nn.Sequential:
    first = nn.Sequential(nn.Conv2d(1, 2, 2), nn.Tanh())
    head = nn.Sequential(nn.Flatten(), nn.Linear(2 * 9, CLASSES))
    return nn.Sequential(first, nn.Sequential(*middle), head)


def words(*middle: nn.Module) -> nn.Sequential:
    """[B, 3, 4] → logits."""
    head = nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES))
    return nn.Sequential(nn.Sequential(nn.Linear(4, 4), nn.Tanh()), nn.Sequential(*middle), head)


def with_dropout() -> nn.Sequential:
    transposed = Of(lambda x, drop: drop(x.mT).mT, nn.Dropout(0.5))
    net: Any = words(
        transposed, nn.Dropout(0.3), nn.LayerNorm(4), nn.AlphaDropout(0.2), nn.Dropout1d(0.2)
    )
    net[0].insert(0, nn.Dropout(0.2))
    net[2].append(nn.Dropout(0.1))
    return net


def attention() -> nn.Sequential:
    inner = nn.MultiheadAttention(4, 2, dropout=0.2, batch_first=True)
    return words(Of(lambda x, a: a(x, x, x, need_weights=False)[0], inner))


def encoder(drop: float = 0.2, batch_first: bool = True) -> nn.Sequential:
    return words(nn.TransformerEncoderLayer(4, 2, 6, dropout=drop, batch_first=batch_first))


def embedding(max_norm: float | None = None) -> nn.Sequential:
    return nn.Sequential(
        nn.Sequential(nn.Embedding(7, 4, max_norm=max_norm), nn.Tanh()),
        nn.Sequential(nn.Flatten(), nn.Linear(12, CLASSES)),
    )


def tied() -> nn.Sequential:
    net: Any = dense(nn.Linear(5, 5), nn.Tanh())
    net.insert(1, nn.Sequential(nn.Linear(5, 5), nn.Tanh()))
    net[2][0].weight = net[1][0].weight
    return net


def pruned() -> nn.Sequential:
    net: Any = dense(nn.Linear(5, 5), nn.Tanh())
    prune.random_unstructured(net[1][0], "weight", amount=0.4)
    return net


class LoRA(nn.Module):
    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.layer = layer.requires_grad_(False)
        self.a = nn.Parameter(torch.randn(2, layer.in_features))
        self.b = nn.Parameter(torch.randn(layer.out_features, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x) + x @ self.a.mT @ self.b.mT


class Rounding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return (4 * x).round() / 4

    @staticmethod
    def backward(ctx: object, gradient: Tensor) -> Tensor:
        return gradient


class Counting(nn.Module):
    """Buffers and attributes that a module changes itself."""

    mean: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(5))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        self.calls = 0
        self.sizes: list[int] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        self.calls += 1
        self.sizes.append(len(x))
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)
        return x - self.mean


def numpy_noise(x: Tensor) -> Tensor:
    return x + 0.1 * torch.as_tensor(np.random.randn(*x.shape)).to(x)


def hidden_weight(x: Tensor) -> Tensor:
    with torch.no_grad():
        w = 1 / (1 + x.abs())
    return w * x.square()


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down, self.low = nn.Conv2d(2, 3, 2), nn.Conv2d(3, 3, 1)
        self.up, self.join = nn.ConvTranspose2d(3, 2, 2), nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        low = torch.tanh(self.down(x))
        high = torch.tanh(self.up(torch.tanh(self.low(low))))
        return self.join(torch.cat([x, high], 1))


class Residual(nn.Module):
    """Its names are those of a shortcut that assumes skip + tail(hidden)."""

    def __init__(self) -> None:
        super().__init__()
        self.widen, self.tail = nn.Linear(5, 6), nn.Linear(6, 5)

    def body(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, torch.tanh(self.widen(x))

    def forward(self, x: Tensor) -> Tensor:
        skip, hidden = self.body(x)
        return torch.relu(skip + self.tail(hidden))


def checkpointed(reentrant: bool) -> nn.Sequential:
    block = nn.Sequential(nn.Linear(5, 5), nn.Dropout(0.2), nn.Tanh())
    return dense(Of(lambda x, part: checkpoint(part, x, use_reentrant=reentrant), block))


def compiled() -> nn.Sequential:
    net: Any = dense(nn.Linear(5, 5), nn.Tanh())
    net[1] = torch.compile(net[1], backend="aot_eager")
    return net


def channels_last() -> nn.Sequential:
    net = images(nn.Conv2d(2, 2, 1), nn.Dropout(0.3), nn.Tanh())
    return net.to(memory_format=torch.channels_last)


def in_place() -> nn.Sequential:
    scaled = Of(lambda x: x.mul_(0.5).add_(0.1))
    net = dense(scaled, nn.Linear(5, 5), nn.Dropout(0.3, inplace=True), nn.ReLU(inplace=True))
    net[0] = nn.Linear(4, 5)  # which does not need its output again
    return net


def old_weight_norm() -> nn.Sequential:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # it is old, and used
        return dense(nn.utils.weight_norm(nn.Linear(5, 5)), nn.Tanh())


def linear(around: Callable[[nn.Linear], nn.Module]) -> nn.Sequential:
    return dense(around(nn.Linear(5, 5)), nn.Tanh())


KINDS: dict[str, Callable[[], nn.Sequential]] = {
    "CNN, batch norm": lambda: images(nn.BatchNorm2d(2), nn.ReLU()),
    "CNN, group norm": lambda: images(nn.GroupNorm(2, 2), nn.ReLU()),
    "channels_last, dropout": channels_last,
    "dropout in every place": with_dropout,
    "LSTM": lambda: words(Of(lambda x, rnn: rnn(x)[0], nn.LSTM(4, 4, 2, batch_first=True, dropout=0.2))),
    "GRU": lambda: words(Of(lambda x, rnn: rnn(x)[0], nn.GRU(4, 4, batch_first=True))),
    "multi-head attention": attention,
    "encoder layer": encoder,
    "encoder layer, samples second": lambda: encoder(batch_first=False),
    "embedding": embedding,
    "embedding with max_norm": lambda: embedding(0.9),
    "weights tied across blocks": tied,
    "spectral norm": lambda: linear(parametrizations.spectral_norm),
    "weight norm": lambda: linear(parametrizations.weight_norm),
    "weight norm by hooks": old_weight_norm,
    "pruning": pruned,
    "LoRA": lambda: linear(LoRA),
    "rounding with detach": lambda: dense(Of(lambda x: x + ((4 * x).round() / 4 - x).detach())),
    "rounding by a function of one's own": lambda: dense(Of(Rounding.apply)),
    "weights under no_grad": lambda: dense(Of(hidden_weight)),
    "stochastic depth": lambda: dense(nn.Linear(5, 5), StochasticDepth(0.5, "row")),
    "noise from NumPy": lambda: dense(Of(numpy_noise)),
    "randomised ReLU": lambda: dense(nn.RReLU()),
    "buffers and counters of its own": lambda: dense(Counting()),
    "U-Net": lambda: images(UNet()),
    "checkpointed block": lambda: checkpointed(False),
    "checkpointed block, reentrant": lambda: checkpointed(True),
    "in-place operations": in_place,
    "compiled block": compiled,
    "a module with body and tail": lambda: dense(Residual()),
    "output cut off": lambda: dense(Of(Tensor.detach)),
    "samples mixed": lambda: dense(Of(lambda x: x + x.mean(0, keepdim=True).tanh())),
}  # fmt: skip


def batch(net: nn.Sequential, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Inputs for a network of any kind, and labels."""
    g = torch.Generator().manual_seed(1)
    y = torch.randint(CLASSES, (B,), generator=g)
    parts = list(net.modules())
    if any(isinstance(part, nn.Embedding) for part in parts):
        return torch.randint(7, (B, 3), generator=g), y
    shape: tuple[int, ...] = (
        (1, 4, 4) if any(isinstance(part, nn.Conv2d) for part in parts) else (4,)
    )
    if isinstance(net[-1], nn.Sequential) and len(shape) == 1:
        shape = (3, 4)
    return torch.randn(B, *shape, generator=g, dtype=torch.float64).to(dtype), y


def made(
    kind: str, dtype: torch.dtype, device: str = "cpu"
) -> tuple[nn.Sequential, Tensor, Tensor]:
    torch.manual_seed(0)
    net = KINDS[kind]().to(device, dtype)
    x, y = batch(net, dtype)
    return net, x.to(device), y.to(device)
