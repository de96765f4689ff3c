"""The networks: sizes and functions against torchvision's, initial statistics, reduced sizes."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import ResNet, VisionTransformer, resnet18

from fgrad.gradients.approach import Approach
from fgrad.gradients.perturbation import Perturbation
from fgrad.problems import models
from fgrad.problems.registry import MODELS

MNIST, CIFAR = (1, 28), (3, 32)
NAMES = MODELS
BLOCKS = {"fc": 3, "lenet5": 5, "resnet18": 6, "vit": 6, "mlpmixer": 8}


def make(name: str, data: tuple[int, int] = CIFAR, seed: int = 0, **options) -> nn.Sequential:
    torch.manual_seed(seed)
    return getattr(models, name)(*data, 10, **options)


def images(data: tuple[int, int], batch: int = 4, dtype: torch.dtype = torch.float32) -> Tensor:
    channels, size = data
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, channels, size, size, generator=generator, dtype=dtype)


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def their_resnet(channels: int) -> ResNet:
    torch.manual_seed(0)
    theirs = resnet18(num_classes=10)
    if channels != 3:
        theirs.conv1 = nn.Conv2d(channels, 64, 7, 2, 3, bias=False)
        nn.init.kaiming_normal_(theirs.conv1.weight, mode="fan_out", nonlinearity="relu")
    return theirs


def their_vit(channels: int = 3, size: int = 32, reduce: int = 1) -> VisionTransformer:
    torch.manual_seed(0)
    theirs = VisionTransformer(
        image_size=size, patch_size=4, num_layers=6, num_heads=4,
        hidden_dim=256 // reduce, mlp_dim=512 // reduce, num_classes=10,
    )  # fmt: skip
    if channels != 3:
        theirs.conv_proj = nn.Conv2d(channels, 256 // reduce, 4, 4)
    return theirs


def vit_pairs(chain: Any, theirs: Any) -> dict[Tensor, Tensor]:
    """Our parameter for each of theirs."""
    embedding, first = chain[0]
    encoders = [first, *chain[1:5], chain[5][0]]
    pairs = {
        embedding.patches.weight: theirs.conv_proj.weight,
        embedding.patches.bias: theirs.conv_proj.bias,
        embedding.token: theirs.class_token,
        embedding.positions: theirs.encoder.pos_embedding,
        chain[5][2].weight: theirs.encoder.ln.weight,
        chain[5][2].bias: theirs.encoder.ln.bias,
        chain[5][3].weight: theirs.heads.head.weight,
        chain[5][3].bias: theirs.heads.head.bias,
    }
    for ours, layer in zip(encoders, theirs.encoder.layers, strict=True):
        attention, mlp = layer.self_attention, layer.mlp
        pairs |= {
            ours.project.weight: attention.in_proj_weight,
            ours.project.bias: attention.in_proj_bias,
            ours.project.gamma: layer.ln_1.weight,
            ours.project.beta: layer.ln_1.bias,
            ours.join.weight: attention.out_proj.weight,
            ours.join.bias: attention.out_proj.bias,
            ours.widen.weight: mlp[0].weight,
            ours.widen.bias: mlp[0].bias,
            ours.widen.gamma: layer.ln_2.weight,
            ours.widen.beta: layer.ln_2.bias,
            ours.narrow.weight: mlp[3].weight,
            ours.narrow.bias: mlp[3].bias,
        }
    return pairs


def loss_and_gradients(module: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    output = module(x)
    labels = torch.arange(len(x)) % 10
    nn.functional.cross_entropy(output, labels).backward()
    return output.detach(), labels


@pytest.mark.parametrize(
    ("name", "data", "options", "n"),
    [
        ("fc", MNIST, {}, 522),
        ("fc", MNIST, {"width": 1024}, 2_058),
        ("fc", MNIST, {"width": 4096}, 8_202),
        ("resnet18", CIFAR, {}, 11_786),
        ("vit", CIFAR, {}, 83_210),
        ("vit", MNIST, {}, 5 * 50 * 256 + 10),
        ("lenet5", MNIST, {}, 6 * 14**2 + 16 * 5**2 + 120 + 84 + 10),
        ("mlpmixer", CIFAR, {}, 7 * 64 * 512 + 10),
    ],
)
def test_the_block_outputs_have_the_papers_dimension(name, data, options, n):
    chain = make(name, data, **options)
    gradient = Perturbation(chain, Approach())
    assert gradient.n(images(data, 2), torch.zeros(2, dtype=torch.long)) == n


@pytest.mark.parametrize("name", NAMES)
def test_a_model_is_a_chain_of_so_many_blocks(name):
    chain = make(name, MNIST, reduce=16)
    assert type(chain) is nn.Sequential
    assert len(chain) == len(list(chain.named_children())) == BLOCKS[name]


def test_every_model_is_known_here():
    assert set(NAMES) == set(BLOCKS)


@pytest.mark.parametrize("channels", [1, 3])
def test_resnet18_has_as_many_parameters_as_torchvisions(channels):
    ours, theirs = make("resnet18", (channels, 32)), their_resnet(channels)
    assert count(ours) == count(theirs)
    assert count(ours) == 11_181_642 - (3 - channels) * 64 * 49


def test_vit_has_as_many_parameters_as_torchvisions():
    assert count(make("vit")) == count(their_vit())


def test_mlpmixer_has_as_many_parameters_as_its_paper_says():
    tokens = 64 * 256 + 256 + 256 * 64 + 64
    channels = 512 * 2048 + 2048 + 2048 * 512 + 512
    mixers = 8 * (tokens + channels + 4 * 512)
    assert count(make("mlpmixer")) == mixers + 48 * 512 + 512 + 2 * 512 + 512 * 10 + 10


def test_lenet5_has_as_many_parameters_as_lecuns_and_its_norms():
    assert count(make("lenet5", MNIST)) == 61_706 + 2 * (6 + 16 + 120 + 84)


@pytest.mark.parametrize("training", [True, False])
def test_resnet18_is_torchvisions_function(training):
    ours, theirs = make("resnet18").double(), their_resnet(3).double()
    randomise = torch.Generator().manual_seed(2)
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for tensor in (module.weight, module.bias, module.running_mean):
                tensor.data.normal_(0.5, 0.3, generator=randomise)
            module.running_var.uniform_(0.5, 2, generator=randomise)
    state = zip(ours.state_dict().items(), theirs.state_dict().values(), strict=True)
    ours.load_state_dict({name: value for (name, _), value in state})
    ours.train(training)
    theirs.train(training)
    x = images(CIFAR, 4, torch.float64)
    found, _ = loss_and_gradients(ours, x)
    expected, _ = loss_and_gradients(theirs, x)
    torch.testing.assert_close(found, expected)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad)
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other)


@pytest.mark.parametrize(("data", "reduce"), [(CIFAR, 1), (MNIST, 8)])
def test_vit_is_torchvisions_function(data, reduce):
    ours = make("vit", data, reduce=reduce).double()
    theirs = their_vit(data[0], data[1], reduce).double()
    pairs = vit_pairs(ours, theirs)
    assert {id(p) for p in pairs} == {id(p) for p in ours.parameters()}
    assert {id(p) for p in pairs.values()} == {id(p) for p in theirs.parameters()}
    randomise = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for mine, other in pairs.items():
            # norms away from one and zero, head and biases away from zero
            other.add_(torch.empty_like(other).normal_(0, 0.1, generator=randomise))
            mine.copy_(other)
    x = images(data, 4, torch.float64)
    found, _ = loss_and_gradients(ours, x)
    expected, _ = loss_and_gradients(theirs, x)
    assert expected.std() > 0.05
    torch.testing.assert_close(found, expected)
    for mine, other in pairs.items():
        assert other.grad is not None
        assert other.grad.abs().max() > 0
        torch.testing.assert_close(mine.grad, other.grad)


def same_law(ours: Tensor, theirs: Tensor) -> None:
    """Zero, constant or of the same mean, standard deviation and range within sampling error."""
    if theirs.std() == 0:
        assert torch.equal(ours, theirs)
        return
    error = 5 / math.sqrt(theirs.numel())
    assert abs(ours.std() / theirs.std() - 1) < error
    assert abs(ours.mean() - theirs.mean()) < error * theirs.std() * 1.5
    # a uniform law ends at √3 deviations, a truncated normal one at 2, a normal one further out
    assert abs(ours.abs().max() / theirs.abs().max() - 1) < 0.35
    assert (ours.abs().max() < 1.8 * ours.std()) == (theirs.abs().max() < 1.8 * theirs.std())


@pytest.mark.parametrize("channels", [1, 3])
def test_resnet18_begins_like_torchvisions(channels):
    ours, theirs = make("resnet18", (channels, 32), seed=3), their_resnet(channels)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        if b.numel() > 10:
            same_law(a.detach(), b.detach())
    for mine, other in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert torch.equal(mine, other)


def test_vit_begins_like_torchvisions():
    ours, theirs = make("vit", seed=3), their_vit()
    for a, b in vit_pairs(ours, theirs).items():
        same_law(a.detach(), b.detach())


def test_the_positions_of_vit_have_deviation_two_hundredths():
    assert make("vit").get_parameter("encoder1.0.positions").std().item() == pytest.approx(
        0.02, rel=0.02
    )


@pytest.mark.parametrize("data", [MNIST, CIFAR])
def test_the_head_of_vit_is_zero_at_the_start(data):
    chain = make("vit", data, reduce=4)
    assert not chain.get_parameter("encoder6.3.weight").any()
    assert not chain.get_parameter("encoder6.3.bias").any()
    assert not chain(images(data)).any()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("data", [MNIST, CIFAR])
@pytest.mark.parametrize("reduce", [3, 16, 10**6])
def test_every_model_can_be_reduced(name, data, reduce):
    chain = make(name, data, reduce=reduce)
    assert count(chain) < count(make(name, data, reduce=1 if name == "fc" else 2))
    output = chain(images(data))
    assert output.shape == (4, 10)
    output.square().sum().backward()
    for parameter in chain.parameters():
        assert parameter.numel() > 0
        assert parameter.grad is not None


@pytest.mark.parametrize("reduce", [1, 16])
def test_hidden_sizes_are_divided(reduce):
    def shapes(name: str, **options) -> list[tuple[int, ...]]:
        return [tuple(p.shape) for p in make(name, reduce=reduce, **options).parameters()]

    assert (256 // reduce, 256 // reduce) in shapes("fc")
    assert (1024 // reduce, 1024 // reduce) in shapes("fc", width=1024)
    assert (512 // reduce, 512 // reduce, 3, 3) in shapes("resnet18")
    assert (512 // reduce, 256 // reduce) in shapes("vit")
    assert (2048 // reduce, 512 // reduce) in shapes("mlpmixer")
    assert (256 // reduce, 64) in shapes("mlpmixer")
    assert (84 // reduce, 120 // reduce) in shapes("lenet5")


@pytest.mark.parametrize("name", NAMES)
def test_samples_do_not_see_each_other_when_evaluated(name):
    chain = make(name, MNIST, reduce=16).double().eval()
    nn.init.normal_(list(chain.parameters())[-2])
    x = images(MNIST, 5, torch.float64)
    output = chain(x)
    assert not torch.allclose(output[0], output[1])
    torch.testing.assert_close(chain(x.flip(0)).flip(0), output)
    torch.testing.assert_close(chain(x[:1]), output[:1])


@pytest.mark.parametrize("name", ["fc", "lenet5"])
def test_every_hidden_block_ends_in_a_relu(name):
    chain = make(name, MNIST)
    a = images(MNIST)
    for block in chain[:-1]:
        a = block(a)
        assert a.min() == 0 if name == "fc" else a.min() >= 0
    assert chain[-1](a).min() < 0


def test_the_hidden_layers_of_fc_are_as_wide_as_asked():
    chain = make("fc", MNIST, width=300)
    assert [a.shape[1] for a in outputs(chain, images(MNIST))] == [300, 300, 10]


def outputs(chain: nn.Sequential, x: Tensor) -> list[Tensor]:
    found = []
    for block in chain:
        x = block(x)
        found.append(x)
    return found


def test_the_mixer_is_the_published_one():
    """A mixer block written out: tokens are mixed with shared weights for every channel."""
    block: Any = make("mlpmixer", MNIST, reduce=32)[1].double()
    x = torch.randn(2, 49, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    normed = nn.functional.layer_norm(x, (16,), block.norm1.weight, block.norm1.bias)
    mixed = x.clone()
    for channel in range(16):
        mixed[:, :, channel] += block.tokens(normed[:, :, channel])
    normed = nn.functional.layer_norm(mixed, (16,), block.norm2.weight, block.norm2.bias)
    for token in range(49):
        mixed[:, token] += block.channels(normed[:, token])
    torch.testing.assert_close(block(x), mixed)


def test_lenet5_pads_small_images_only():
    assert make("lenet5", MNIST).get_submodule("conv1.0").padding == (2, 2)
    assert make("lenet5", CIFAR).get_submodule("conv1.0").padding == (0, 0)
