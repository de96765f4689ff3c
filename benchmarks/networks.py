"""Speed and memory of training with forward gradients, as ratios in one process on one thread.

Each step is compared with a step of backpropagation by the same code, and with the plain way of
writing it: backpropagation for the activations' gradients, tangents and coefficients by the
textbook formula, a second forward pass for the parameters' gradients. An epoch is compared with a
`DataLoader` that transforms sample by sample.

Usage: python benchmarks/networks.py
"""

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from statistics import median

import torch
from speed import compare, cpu
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.profiler import ProfilerActivity, profile
from torch.utils.data import DataLoader, Dataset

from fgrad.experiments.state import PlainSGD, State, build
from fgrad.gradients.approach import Approach
from fgrad.gradients.perturbation import Perturbation
from fgrad.options.networks import TrainRun
from fgrad.problems.data import Split
from fgrad.problems.registry import DATASETS

FROG = Approach(aggregation="projection")
REPEATS = 9
Step = Callable[[Tensor, Tensor], object]


def network(
    model: str, dataset: str, width: int | None = None
) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A network, and a batch as large as the paper's."""
    data = DATASETS[dataset]
    size = data.batch, data.channels, data.size, data.size
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(10, size[:1], generator=generator)
    chain = build(model, dataset, width, reduce=1, seed=0)
    return chain.train(), torch.randn(size, generator=generator), labels


def plain(chain: nn.Sequential, k: int) -> Step:
    """A step's gradient as one would first write it."""

    def step(x: Tensor, y: Tensor) -> None:
        outputs, a = [], x
        for block in chain:
            a = block(a)
            a.retain_grad()
            outputs.append(a)
        cross_entropy(a, y).backward()
        gradient = torch.cat([output.grad.flatten(1) for output in outputs], 1)
        v = torch.randn(gradient.shape[1], k)
        estimate = (v @ torch.linalg.solve(v.T @ v, v.T @ gradient.T)).T
        chain.zero_grad()
        a, start = x, 0
        for block in chain:
            output = block(a.detach())
            size = output[0].numel()
            output.backward(estimate[:, start : start + size].view(output.shape))
            a, start = output, start + size

    return step


def step_row(name: str, model: str, dataset: str, width: int | None, wanted: str) -> str:
    """Times of a step with its update: ours, backpropagation's, the plain one's."""
    chain, x, y = network(model, dataset, width)
    steps: list[Step] = [
        Perturbation(chain, Approach()),
        Perturbation(chain, FROG, 16),
        plain(chain, 16),
    ]
    optimizer = PlainSGD(chain, 1e-6)

    def run(step: Step) -> float:
        def work() -> None:
            step(x, y)
            optimizer.step()

        return cpu(work)

    for step in steps:
        run(step)
    times = [[run(step) for step in steps] for _ in range(REPEATS)]
    bp, ours, plainly = (median(column) for column in zip(*times, strict=True))
    ratio = median(own / true for true, own, _ in times)
    worse = median(other / true for true, _, other in times)
    seconds = " | ".join(f"{time:.3g}" for time in (bp, ours, plainly))
    return f"| {name} | {seconds} | {ratio:.2f} | {worse:.2f} | {wanted} |"


def by_hand(chain: nn.Sequential, k: int, lr: float) -> Step:
    """A step with its update as the least there is: no autograd, weights updated by the product."""
    layers = [m for m in chain.modules() if isinstance(m, nn.Linear)]
    weights = [layer.weight.detach().clone() for layer in layers]
    biases = [layer.bias.detach().clone() for layer in layers]
    sizes = [len(bias) for bias in biases]
    generator = torch.Generator().manual_seed(0)

    @torch.inference_mode()
    def step(x: Tensor, y: Tensor) -> None:
        inputs = [x.flatten(1)]
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            inputs.append(torch.addmm(bias, inputs[-1], weight.T).relu_())
        delta = torch.addmm(biases[-1], inputs[-1], weights[-1].T).softmax(1)
        delta[torch.arange(len(x)), y] -= 1
        deltas = [delta.div_(len(x))]
        for a, weight in zip(inputs[:0:-1], weights[:0:-1], strict=True):
            deltas.insert(0, torch.where(a > 0, deltas[0] @ weight, 0.0))
        v = torch.empty(k, sum(sizes)).normal_(generator=generator)
        parts = v.split(sizes, 1)
        d = torch.stack([a @ part.T for a, part in zip(deltas, parts, strict=True)]).sum(0)
        c = torch.cholesky_solve(d.T, torch.linalg.cholesky(v @ v.T)).T
        for i, (weight, bias, part) in enumerate(zip(weights, biases, parts, strict=True)):
            g = c @ part
            if i + 1 < len(weights):
                g = torch.where(inputs[i + 1] > 0, g, 0.0)
            weight.addmm_(g.T, inputs[i], alpha=-lr)
            bias.sub_(g.sum(0), alpha=lr)

    return step


def hand_row(width: int) -> str:
    """A frog step with its update against the one that is written by hand."""
    chain, x, y = network("fc", "mnist", width)
    frog, optimizer = Perturbation(chain, FROG, 16), PlainSGD(chain, 1e-6)
    hand = by_hand(chain, 16, 1e-6)
    many = 50 if width < 1000 else 10

    def ours() -> None:
        for _ in range(many):
            frog(x, y)
            optimizer.step()

    def theirs() -> None:
        for _ in range(many):
            hand(x, y)

    own, other, ratio = compare(ours, theirs)
    name = f"FC-{width}, frog k = 16, {many} steps: ours against written by hand"
    return f"| {name} | {own:.3g} | {other:.3g} | {1 / ratio:.2f} | ≤ 1.25 |"


class PerSample(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets give them: through PIL and transforms, one by one."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        from torchvision import transforms

        self.images, self.labels = images, labels
        normalize = transforms.Normalize((0.1307,), (0.3081,))
        self.transform = transforms.Compose([transforms.ToTensor(), normalize])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        from PIL import Image

        image = Image.fromarray(self.images[index, 0].numpy())
        return self.transform(image), int(self.labels[index])


def epoch_row() -> str:
    """One epoch of FC-256 and the evaluation of all data, at MNIST's size."""
    run = TrainRun(model="fc", width=256, dataset="mnist", gradient="frog", k=16, lr=0.0423)
    generator = torch.Generator().manual_seed(0)
    sizes = 50_000, 10_000, 10_000
    shapes = [(n, 1, 28, 28) for n in sizes]
    raw = [torch.randint(256, s, dtype=torch.uint8, generator=generator) for s in shapes]
    labels = [torch.randint(10, (n,), generator=generator) for n in sizes]

    splits = [Split(x.float() / 255, y) for x, y in zip(raw, labels, strict=True)]

    def ours() -> None:
        state = State(run, (splits[0], splits[1], splits[2]))
        state.step_through()
        state.evaluate()

    def theirs() -> None:
        chain = build(run.model, run.dataset, run.width, run.reduce, run.seed)
        step, optimizer = plain(chain, 16), torch.optim.SGD(chain.parameters(), run.lr)
        data = [PerSample(x, y) for x, y in zip(raw, labels, strict=True)]
        for x, y in DataLoader(data[0], 64, shuffle=True):
            step(x, y)
            optimizer.step()
            optimizer.zero_grad()
        with torch.no_grad():
            for split in data:
                loss = right = 0.0
                for x, y in DataLoader(split, 64):
                    logits = chain(x)
                    loss += cross_entropy(logits, y, reduction="sum").item()
                    right += (logits.argmax(1) == y).sum().item()

    own, other = (min(cpu(work), cpu(work)) for work in (ours, theirs))
    name = "FC-256, an epoch and the evaluation of 70,000 images"
    return f"| {name} | {own:.3g} | {other:.3g} | {other / own:.1f} | ≥ 8 |"


def floor_row() -> str:
    """The products of that epoch alone, at the speed of one large product."""
    a, b = torch.randn(1000, 784), torch.randn(784, 1024)
    speed = 2 * a.numel() * b.shape[1] / min(cpu(lambda: a @ b) for _ in range(50))
    layers = 784 * 256, 256 * 256, 256 * 10
    trained = 2 * (3 * sum(layers) - layers[0]) * 50_000
    evaluated = 2 * sum(layers) * 70_000
    seconds = (trained + evaluated) / speed
    return f"| the same, products alone at {speed / 1e9:.0f} GFLOP/s | {seconds:.3g} |  |  |  |"


def law_row() -> str:
    """A step with perturbed weights from the exact law, for one and for 65,536 tangents."""
    chain, x, y = network("fc", "mnist", 1024)
    few, many = (Perturbation(chain, FROG, k, perturb="weights") for k in (1, 65_536))
    one, other, ratio = compare(lambda: few(x, y), lambda: many(x, y))
    name = "FC-1024, weights, exact law: k = 65,536 against k = 1"
    return f"| {name} | {other:.3g} | {one:.3g} | {ratio:.2f} | ≤ 1.2 |"


def forward_row() -> str:
    """16 tangents in one forward-mode pass, and in 16 passes."""
    chain, x, y = network("fc", "mnist", 1024)
    batched, separate = (Perturbation(chain, FROG, 16, mode="fwad", chunk=c) for c in (16, 1))
    own, other, ratio = compare(lambda: batched(x, y), lambda: separate(x, y))
    name = "FC-1024, fwad, k = 16: one pass against 16"
    return f"| {name} | {own:.3g} | {other:.3g} | {1 / ratio:.2f} | ≤ 0.6 |"


def peak(step: Step, x: Tensor, y: Tensor) -> float:
    """Megabytes of tensors that a step adds to what was there, at its peak."""
    step(x, y)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step(x, y)
    assert profiler.profiler is not None
    events = profiler.profiler.kineto_results.events()
    sizes = [(e.start_ns(), e.nbytes()) for e in events if e.name() == "[memory]"]
    total = accumulate(size for _, size in sorted(sizes, key=lambda pair: pair[0]))
    return float(max(total)) / 1e6


def memory_rows() -> list[str]:
    """Peak memory of a step of ViT, and of perturbed weights for two k."""
    rows = []
    vit, x, y = network("vit", "cifar10")
    chain, *_ = network("resnet18", "cifar10")
    pairs = {
        "ViT, CIFAR-10, a step at k = 16 against bp": (
            Perturbation(vit, FROG, 16),
            Perturbation(vit, Approach()),
            "≤ 1.3",
        ),
        "ResNet18, CIFAR-10, weights, exact law: k = 65,536 against k = 1": (
            Perturbation(chain, FROG, 65_536, perturb="weights"),
            Perturbation(chain, FROG, 1, perturb="weights"),
            "1",
        ),
    }
    for name, (step, against, wanted) in pairs.items():
        own, other = peak(step, x, y), peak(against, x, y)
        rows.append(f"| {name} | {own:.0f} | {other:.0f} | {own / other:.2f} | {wanted} |")
    return rows


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    print("| step, k = 16, one thread | bp, s | frog, s | plain, s | frog / bp | plain / bp | ≤ |")
    print("|---|---|---|---|---|---|---|")
    for name, model, dataset, width, wanted in (
        ("FC-256, MNIST, batch 64", "fc", "mnist", 256, ""),
        ("FC-1024, MNIST, batch 64", "fc", "mnist", 1024, "1.3"),
        ("FC-4096, MNIST, batch 64", "fc", "mnist", 4096, ""),
        ("ResNet18, MNIST, batch 64", "resnet18", "mnist", None, "1.35"),
        ("ResNet18, CIFAR-10, batch 128", "resnet18", "cifar10", None, "1.35"),
        ("ViT, MNIST, batch 64", "vit", "mnist", None, "1.2"),
        ("ViT, CIFAR-10, batch 128", "vit", "cifar10", None, "1.2"),
    ):
        print(step_row(name, model, dataset, width, wanted), flush=True)
    print("\n| work, one thread | CPU s | against, CPU s | ratio | wanted |\n|---|---|---|---|---|")
    for row in (
        partial(hand_row, 256), partial(hand_row, 1024),
        epoch_row, floor_row, law_row, forward_row,
    ):  # fmt: skip
        print(row(), flush=True)
    print("\n| peak memory of a step | MB | against, MB | ratio | wanted |\n|---|---|---|---|---|")
    for line in memory_rows():
        print(line, flush=True)


if __name__ == "__main__":
    main()
