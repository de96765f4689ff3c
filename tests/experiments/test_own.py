"""What is the user's own is tried on something small, and refused in a line."""

import pytest
import torch

from fgrad import plugins
from fgrad.errors import ConfigError
from fgrad.experiments import own
from fgrad.gradients import aggregation, tangents
from fgrad.problems import functions

HEAD = "import torch\nfrom torch import nn\nfrom fgrad.problems.datasets import Dataset\nfrom fgrad.problems.functions import Function\n\n\n"
SQUARE = "Function(lambda x: x.square().sum(-1), (1, 1), lambda n: 0.0"
TENSORS = "{'train_images': torch.zeros(9, 1, 8, 8).byte(), 'train_labels': torch.arange(9) % 2, 'test_images': torch.zeros(4, 1, 8, 8).byte(), 'test_labels': torch.arange(4) % 2}"
DATA = "Dataset(channels=1, size=8, mean=(0.5,), std=(0.5,), train=6, val=3, test=4, batch=2, classes=2"


@pytest.fixture
def tried(tmp_path, monkeypatch):
    """Tries what a text defines as ``own``."""
    monkeypatch.chdir(tmp_path)
    plugins._in_use.forget()

    def check(kind: str, text: str, dataset: str = "", **more) -> None:
        (tmp_path / "mine.py").write_text(HEAD + text + "\n")
        plugins.use(plugins.collect("mine.py:own", tmp_path))
        own.check(kind, "mine.py:own", dataset, **more)

    yield check
    plugins._in_use.forget()


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("aggregation", "def own(v, d):\n    return d / 2"),
        ("sampler", "def own(size, g, *, dtype):\n    return torch.randn(size, generator=g, dtype=dtype)"),
        ("sampler", "def own(size, g, *, dtype):\n    return torch.linalg.qr(torch.randn(size, generator=g, dtype=dtype).mT)[0].mT"),
        ("estimator", "def own(f, x, k, g):\n    return 2 * x * f(torch.ones_like(x)) / len(x)"),
        ("function", f"own = {SQUARE})"),
        ("function", f"own = {SQUARE}, lambda x: 2 * x)"),
        ("function", f"own = {SQUARE}, only_n=2)"),
        ("dataset", f"own = {DATA}, read=lambda folder: {TENSORS})"),
        ("model", "def own(channels, size, classes):\n    return nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(784, 8)), nn.Linear(8, classes))"),
    ],
)  # fmt: skip
def test_what_is_right(kind, text, tried):
    tried(kind, text, "mnist5k")


@pytest.mark.parametrize(
    ("kind", "text", "message"),
    [
        ("aggregation", "own = 3", "mine.py:own: an aggregation is a function (tangents, derivatives) → coefficients"),
        ("aggregation", "def own(v):\n    return v", "as aggregation: TypeError: own() takes 1 positional argument but 2 were given"),
        ("aggregation", "def own(v, d):\n    return 3.0", "gives float for tangents [3, 5], derivatives [3]: a tensor is expected"),
        ("aggregation", "def own(v, d):\n    return d.sum(-1)", "gives torch.float32 [] for tangents [3, 5], derivatives [3]: floats [3] are expected"),
        ("aggregation", "def own(v, d):\n    return d.long()", "gives torch.int64 [3]"),
        ("aggregation", "def own(v, d):\n    return d / 0", "gives numbers that are not finite"),
        ("aggregation", "def own(v, d):\n    return d.mul_(2)", "changes what it is given"),
        ("aggregation", "def own(v, d):\n    return (v @ v.mT).inverse() @ d", "as aggregation: RuntimeError"),
        ("aggregation", "def own(v, d):\n    raise KeyError('x')", "as aggregation: KeyError: 'x'"),
        ("sampler", "def own(size, g):\n    return torch.randn(size, generator=g)", "as sampler: TypeError: own() got an unexpected keyword argument 'dtype'"),
        ("sampler", "def own(size, g, *, dtype):\n    return torch.randn(size, generator=g)", "gives torch.float32 where dtype = torch.float64"),
        ("sampler", "def own(size, g, *, dtype):\n    return torch.randn(size[-2:], generator=g, dtype=dtype)", "gives torch.float32 [3, 8] for (4, 3, 8)"),
        ("sampler", "def own(size, g, *, dtype):\n    return torch.randn(size, dtype=dtype)", "gives other tangents for the same generator"),
        ("sampler", "def own(size, g, *, dtype):\n    torch.rand(1)\n    return torch.ones(size, dtype=dtype)", "draws from the global generator"),
        ("sampler", "class own:\n    def __call__(self, size, g, *, dtype):\n        return torch.randn(size, generator=g, dtype=dtype)", "has a method update(estimate)"),
        ("sampler", "class own:\n    last = 1.0\n\n    def __call__(self, size, g, *, dtype):\n        return self.last * torch.randn(size, generator=g, dtype=dtype)\n\n    def update(self, estimate):\n        self.last = estimate / estimate.norm()", "gives numbers that are not finite after an estimate of 0s"),
        ("sampler", "class own:\n    def __init__(self):\n        self.seen = []\n\n    def __call__(self, size, g, *, dtype):\n        return torch.randn(size, generator=g, dtype=dtype)\n\n    def update(self, estimate):\n        self.seen.append(estimate)", "keeps seen: tensors, numbers or None are expected"),
        ("estimator", "own = 3", "an estimator is a function (f, x, k, generator)"),
        ("estimator", "def own(f, x, k):\n    return x", "as estimator: TypeError: own() takes 3 positional arguments but 4 were given"),
        ("estimator", "def own(f, x, k, g):\n    return x[:2]", "gives torch.float32 [2] at a point [8] of torch.float32: floats [8] are expected"),
        ("estimator", "def own(f, x, k, g):\n    return x.float()", "gives torch.float32 at a point of torch.float64"),
        ("estimator", "def own(f, x, k, g):\n    return x.mul_(2)", "changes the point it is given"),
        ("estimator", "def own(f, x, k, g):\n    return x + torch.rand(1)", "gives another estimate for the same generator"),
        ("estimator", "def own(f, x, k, g):\n    torch.rand(1)\n    return x", "draws from the global generator"),
        ("function", "def own(x):\n    return x.sum(-1)", "is function: an fgrad.Function is expected"),
        ("function", "own = Function(lambda x: x.sum(), (1, 1), lambda n: 0.0)", "gives torch.float32 [] for points [3, 4]: floats [3] are expected"),
        ("function", f"own = {SQUARE}, lambda x: x)", "its gradient is not that of its value"),
        ("function", f"own = {SQUARE}, lambda x: x.sum(-1))", "as gradient for points [3, 4]"),
        ("function", "own = Function(lambda x: x.sum(-1), (1, 1), lambda n: None)", "its minimum is no number"),
        ("dataset", f"own = {DATA})", "it has no function read"),
        ("dataset", f"own = {DATA}, read=lambda: 0)", "as dataset: TypeError"),
        ("dataset", f"own = {DATA}, read=lambda folder: {TENSORS.replace('9, 1', '8, 1')})", "train images are torch.uint8 (8, 1, 8, 8), not torch.uint8 (9, 1, 8, 8)"),
        ("dataset", f"own = {DATA}, read=lambda folder: {TENSORS.replace('% 2', '% 3')})", "train labels are 0 to 2, not 0 to 1"),
        ("model", "def own(channels, size):\n    return nn.Linear(1, 1)", "as model: TypeError"),
        ("model", "def own(channels, size, classes):\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, 3))", "gives torch.float32 [2, 3] for images [2, 1, 28, 28]: floats [2, 10] are expected"),
        ("model", "class own(nn.Module):\n    def __init__(self, channels, size, classes):\n        super().__init__()\n        self.a = nn.Linear(784, classes)\n\n    def forward(self, x):\n        return self.a(x.flatten(1))", "own is no chain of blocks"),
    ],
)  # fmt: skip
def test_what_is_wrong(kind, text, message, tried):
    with pytest.raises(ConfigError) as caught:
        tried(kind, text, "mnist5k")
    assert message in str(caught.value)
    assert str(caught.value).startswith("mine.py:own: ")
    assert "\n" not in str(caught.value)


NO_CHAIN = "class own(nn.Module):\n    def __init__(self, channels, size, classes):\n        super().__init__()\n        self.a = nn.Linear(784, classes)\n\n    def forward(self, x):\n        return self.a(x.flatten(1))"


def test_a_model_is_tried_as_it_is_used(tried):
    tried("model", NO_CHAIN, "mnist5k", perturb="weights")
    with pytest.raises(ConfigError, match="unexpected keyword argument 'reduce'"):
        tried("model", NO_CHAIN, "mnist5k", perturb="weights", reduce=2)


def test_what_the_package_has_would_pass():
    for name in (
        "sum_",
        "mean",
        "mean_times_n",
        "max_",
        "max_normalized",
        "mean_of_best",
        "projection",
    ):
        own._aggregation(getattr(aggregation, name))
    for sampler in (tangents.normal, tangents.rademacher, tangents.basis, tangents.orthogonal):
        own._sampler(sampler)
    for name in ("SPHERE", "ROSENBROCK", "STYBLINSKI_TANG", "ACKLEY", "BEALE", "GOLDSTEIN_PRICE"):
        own._function(getattr(functions, name))
    assert torch.is_grad_enabled()
