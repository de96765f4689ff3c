"""The networks of sections 4.4 and 4.5, each a chain of named blocks.

A chain is an `nn.Sequential`: its children, in order, are the blocks, and the outputs of the blocks
are what `fgrad.gradients.perturbation` perturbs. Every model takes images [B, C, S, S] and gives
logits [B, classes]. Arguments of all: C and S of the images, number of classes, hidden width of
``fc`` (``None`` for the model's own, and every other model), and what divides every hidden size.

Sources: the paper, sections 4.4 and 4.5; He et al., Deep Residual Learning, 2016; Dosovitskiy et
al., An Image is Worth 16x16 Words, 2021; Tolstikhin et al., MLP-Mixer, 2021; LeCun et al., 1998.
"""

from collections import OrderedDict
from typing import cast

import torch
from torch import Tensor, nn

from fgrad.gradients.tail import Tailed


def fc(
    channels: int, size: int, classes: int, width: int | None = None, reduce: int = 1
) -> nn.Sequential:
    """Two hidden ReLU layers; a ReLU belongs to the block of its linear layer (section 4.4)."""
    hidden = max(1, (width or 256) // reduce)
    return _chain(
        hidden1=nn.Sequential(nn.Flatten(), nn.Linear(channels * size**2, hidden), nn.ReLU()),
        hidden2=nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU()),
        head=nn.Linear(hidden, classes),
    )


def lenet5(
    channels: int, size: int, classes: int, width: int | None = None, reduce: int = 1
) -> nn.Sequential:
    """LeNet-5 with batch norm, ReLU and max pooling; images smaller than 32 are padded."""

    def convolution(inputs: int, outputs: int, padding: int) -> nn.Sequential:
        layers = nn.Conv2d(inputs, outputs, 5, padding=padding), nn.BatchNorm2d(outputs)
        return nn.Sequential(*layers, nn.ReLU(), nn.MaxPool2d(2))

    def linear(inputs: int, outputs: int, *first: nn.Module) -> nn.Sequential:
        layers = nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()
        return nn.Sequential(*first, *layers)

    a, b, c, d = (max(1, hidden // reduce) for hidden in (6, 16, 120, 84))
    return _chain(
        conv1=convolution(channels, a, (32 - size) // 2),
        conv2=convolution(a, b, 0),
        hidden1=linear(25 * b, c, nn.Flatten()),
        hidden2=linear(c, d),
        head=nn.Linear(d, classes),
    )


def resnet18(
    channels: int, size: int, classes: int, width: int | None = None, reduce: int = 1
) -> nn.Sequential:
    """Torchvision's ResNet18: stem, four layers of two basic blocks, pooling with classifier."""

    def layer(inputs: int, outputs: int) -> nn.Sequential:
        stride = 1 if inputs == outputs else 2
        shortcut = None
        if stride > 1:
            projection = nn.Conv2d(inputs, outputs, 1, stride, bias=False)
            shortcut = nn.Sequential(projection, nn.BatchNorm2d(outputs))
        first = _Basic(inputs, outputs, stride, shortcut)
        return nn.Sequential(first, _Basic(outputs, outputs))

    first = max(1, 64 // reduce)
    chain = _chain(
        stem=nn.Sequential(
            nn.Conv2d(channels, first, 7, 2, 3, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        ),
        layer1=layer(first, first),
        layer2=layer(first, 2 * first),
        layer3=layer(2 * first, 4 * first),
        layer4=layer(4 * first, 8 * first),
        head=nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * first, classes)
        ),
    )  # fmt: skip
    for module in chain.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return chain


def vit(
    channels: int, size: int, classes: int, width: int | None = None, reduce: int = 1
) -> nn.Sequential:
    """Vision transformer: patch 4, 6 encoder blocks of 4 heads, hidden 256, MLP 512, no dropout.

    The embedding is joined to the first encoder block, final norm and head to the last: six blocks.
    The same function and initialisation as torchvision's `VisionTransformer`.
    """
    hidden = max(4, 256 // reduce // 4 * 4)
    encoders = [_Encoder(hidden, 4, 2 * hidden, only_first=i == 5) for i in range(6)]
    head = nn.Linear(hidden, classes)
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    embedding = _Embedding(channels, hidden, (size // 4) ** 2)
    names = [f"encoder{i}" for i in range(1, 7)]
    return _chain(
        encoder1=nn.Sequential(embedding, encoders[0]),
        **dict(zip(names[1:-1], encoders[1:-1], strict=True)),
        encoder6=nn.Sequential(encoders[-1], nn.Flatten(), nn.LayerNorm(hidden, eps=1e-6), head),
    )


def mlpmixer(
    channels: int, size: int, classes: int, width: int | None = None, reduce: int = 1
) -> nn.Sequential:
    """MLP-Mixer: patch 4, 8 mixer blocks, hidden 512, token MLP 256, channel MLP 2048."""
    hidden, tokens, wide = (max(1, n // reduce) for n in (512, 256, 2048))
    mixers = [_Mixer((size // 4) ** 2, hidden, tokens, wide) for _ in range(8)]
    embedding = nn.Sequential(nn.Conv2d(channels, hidden, 4, 4), nn.Flatten(2), _Transpose())
    head = nn.Sequential(nn.LayerNorm(hidden), _Mean(), nn.Linear(hidden, classes))
    names = [f"mixer{i}" for i in range(1, 9)]
    return _chain(
        mixer1=nn.Sequential(embedding, mixers[0]),
        **dict(zip(names[1:-1], mixers[1:-1], strict=True)),
        mixer8=nn.Sequential(mixers[-1], head),
    )


class _Basic(nn.Module):
    """Torchvision's basic block: two 3 × 3 convolutions with batch norm beside a shortcut."""

    def __init__(
        self, inputs: int, outputs: int, stride: int = 1, shortcut: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = shortcut

    def forward(self, x: Tensor) -> Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        joined: Tensor = self.relu(out)
        return joined


class _Embedding(nn.Module):
    """Patches of 4 × 4, class token, learned positions: [B, C, S, S] → [B, 1 + P, hidden]."""

    def __init__(self, channels: int, hidden: int, patches: int) -> None:
        super().__init__()
        self.patches = nn.Conv2d(channels, hidden, 4, 4)
        nn.init.trunc_normal_(self.patches.weight, std=(16 * channels) ** -0.5)
        nn.init.zeros_(cast(Tensor, self.patches.bias))
        self.token = nn.Parameter(torch.zeros(1, 1, hidden))
        self.positions = nn.Parameter(torch.empty(1, 1 + patches, hidden).normal_(std=0.02))

    def forward(self, x: Tensor) -> Tensor:
        patches = self.patches(x).flatten(2).mT
        token = self.token.expand(len(x), -1, -1)
        return torch.cat([token, patches], 1) + self.positions


class _Encoder(Tailed):
    """An encoder block, [B, T, hidden] → [B, T, hidden], or → [B, 1, hidden] of the first token.

    Torchvision's block costs a third more: its attention fills and copies tensors three times the
    size of its input on the way back, and its last block computes tokens that nobody reads.

    Args:
        hidden: width of a token.
        heads: of the attention.
        wide: hidden width of the MLP.
        only_first: whether only the first token is read after this block.
    """

    def __init__(self, hidden: int, heads: int, wide: int, only_first: bool) -> None:
        super().__init__()
        self.heads, self.only_first = heads, only_first
        self.project = _NormLinear(hidden, 3 * hidden)
        self.join = nn.Linear(hidden, hidden)
        self.widen = _NormLinear(hidden, wide)
        self.narrow = nn.Linear(wide, hidden)
        for weight in (self.project.weight, self.widen.weight, self.narrow.weight):
            nn.init.xavier_uniform_(weight)
        for bias in (self.project.bias, self.join.bias):
            nn.init.zeros_(bias)
        for bias in (self.widen.bias, self.narrow.bias):
            nn.init.normal_(bias, std=1e-6)

    @property
    def tail(self) -> nn.Linear:
        """The linear layer that ends the block, after `body`."""
        return self.narrow

    def body(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Skip connection [B, T, hidden] and input of the tail [B, T, wide]."""
        if self.only_first:
            keys = self.project(x, slice(x.shape[-1], None))
            x = x[:, :1]
            projected = self.project(x, slice(0, x.shape[-1])), *keys.chunk(2, -1)
        else:
            projected = self.project(x).chunk(3, -1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in projected)
        attended = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + self.join(attended.transpose(1, 2).flatten(2))
        return x, nn.functional.gelu(self.widen(x))


class _NormLinear(nn.Module):
    """Layer norm and a linear layer, W(γ ⊙ x̂ + β) + b, computed as (W diag γ) x̂ + (Wβ + b).

    So the gradients of γ and β come from that of the small matrix W diag γ, and where they alone
    are wanted no gradient is carried back to x̂: a product of the size of the layer itself.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))
        self.bias = nn.Parameter(torch.empty(outputs))
        self.gamma = nn.Parameter(torch.ones(inputs))
        self.beta = nn.Parameter(torch.zeros(inputs))

    def forward(self, x: Tensor, rows: slice = slice(None)) -> Tensor:
        weight, bias = self.weight[rows], self.bias[rows]
        normalized = nn.functional.layer_norm(x, self.gamma.shape, eps=1e-6)
        return nn.functional.linear(
            normalized, weight * self.gamma, torch.addmv(bias, weight, self.beta)
        )


class _Mixer(nn.Module):
    """A mixer block: an MLP over tokens, then one over channels, each with norm and shortcut."""

    def __init__(self, patches: int, hidden: int, tokens: int, wide: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(hidden), nn.LayerNorm(hidden)
        self.tokens = nn.Sequential(
            nn.Linear(patches, tokens), nn.GELU(), nn.Linear(tokens, patches)
        )
        self.channels = nn.Sequential(nn.Linear(hidden, wide), nn.GELU(), nn.Linear(wide, hidden))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).mT).mT
        mixed: Tensor = x + self.channels(self.norm2(x))
        return mixed


class _Mean(nn.Module):
    """Mean over tokens: [B, T, hidden] → [B, hidden]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(1)


class _Transpose(nn.Module):
    """[B, hidden, T] → [B, T, hidden]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mT


def _chain(**blocks: nn.Module) -> nn.Sequential:
    return nn.Sequential(OrderedDict(blocks))
