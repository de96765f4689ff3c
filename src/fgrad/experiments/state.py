"""Everything that changes while a training goes on: parameters, optimiser, schedule, generators.

The data set is one tensor on the device and a batch is an index into it; nothing inside an epoch
waits for the device. Parameters, order of the batches and tangents come from generators of their
own, so a run's numbers depend on its options alone.
"""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import lr_scheduler

from fgrad.experiments.replay import Replay
from fgrad.experiments.seeds import stream_seed
from fgrad.gradients.perturbation import Perturbation
from fgrad.gradients.stateful import Kept
from fgrad.options.networks import TrainRun
from fgrad.plugins import references
from fgrad.problems.data import Split, augment
from fgrad.problems.registry import DATASETS, MODELS
from fgrad.store.checkpoints import Checkpoint

PARTS = ("train", "val", "test")
"""Of a data set, in the order they are evaluated."""

STATISTICS = ("gradient_norm", "estimate_norm", "cosine")
"""Means over the steps of an epoch, where they are asked for."""

EVALUATED = 1000
"""Samples evaluated at a time."""

Data: TypeAlias = tuple[Split, Split, Split]
Epoch: TypeAlias = dict[str, float]


def build(model: str, dataset: str, width: int | None, reduce: int, seed: int) -> nn.Sequential:
    """A network with its initial parameters, on the CPU.

    The same parameters on every device; the global generator is left as it was.
    """
    data = DATASETS[dataset]
    # one of the user's own need not know what it is not asked for
    sizes = {"width": width} if width is not None else {}
    sizes |= {"reduce": reduce} if reduce != 1 else {}
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(stream_seed(seed, "parameters"))
        chain: nn.Sequential = MODELS[model](data.channels, data.size, data.classes, **sizes)
    return chain


class State:
    """A training between two epochs.

    Args:
        run: what to do.
        data: training, validation and test data on the device of the run.
    """

    def __init__(self, run: TrainRun, data: Data) -> None:
        self.run, self.data = run, data
        self.device = data[0].images.device
        self.chain = build(run.model, run.dataset, run.width, run.reduce, run.seed)
        self.chain = self.chain.to(self.device)
        known = DATASETS[run.dataset]
        self.batch, self.flips = run.batch or known.batch, known.flips
        self.order = torch.Generator().manual_seed(stream_seed(run.seed, "order"))
        self.tangents = torch.Generator(self.device).manual_seed(stream_seed(run.seed, "tangents"))
        self.crops = torch.Generator(self.device).manual_seed(stream_seed(run.seed, "crops"))
        self.gradient = Perturbation(
            self.chain, run.how, run.k, self.tangents, perturb=run.perturb, mode=run.mode,
            sampling=run.sampling, chunk=run.chunk,
        )  # fmt: skip
        self.optimizer: PlainSGD | torch.optim.Optimizer
        self.schedule: Any = None
        self.each_step = False
        if (run.optimizer, run.schedule) == ("sgd", "constant"):
            self.optimizer = PlainSGD(self.chain, run.lr)
        else:
            self.optimizer = _optimizer(run.optimizer, self.chain, run.lr)
            self.schedule, self.each_step = _schedule(
                run.schedule, self.optimizer, run.epochs, run.patience
            )
        nothing = dict.fromkeys(STATISTICS, math.nan)
        self.no_statistics: Epoch = nothing if run.statistics else {}
        self.sums = torch.zeros(3, device=self.device)
        self.estimate: Callable[[Tensor], None] = self._estimate
        if self.device.type == "cuda" and _repeats(run):
            drawn = [self.tangents, self.crops]
            self.estimate = Replay(self._estimate, self.batch, self.gradient.parameters, drawn)

    def step_through(self, after_step: Callable[[], None] = lambda: None) -> Epoch:
        """One epoch of steps; means of the gradient statistics where they are asked for."""
        order = torch.randperm(len(self.data[0].labels), generator=self.order)
        if self.device.type == "cuda":
            order = order.pin_memory().to(self.device, non_blocking=True)
        self.sums.zero_()
        self.chain.train()
        batches = list(order.split(self.batch))
        if len(batches) > 1 and len(batches[-1]) == 1:  # batch norm needs two samples
            batches[-2:] = [torch.cat(batches[-2:])]
        for index in batches:
            self.estimate(index)
            self.optimizer.step()
            if self.each_step:
                self.schedule.step()
            after_step()
        if not self.run.statistics:
            return {}
        return dict(zip(STATISTICS, (self.sums / len(batches)).tolist(), strict=True))

    def _estimate(self, index: Tensor) -> None:
        """The gradient of a batch into ``.grad``, its statistics onto the sums."""
        x, y = self.data[0].images[index], self.data[0].labels[index]
        if self.run.augment:
            x = augment(x, self.crops, self.flips)
        with self.autocast():
            true = self.gradient.true_gradient(x, y) if self.run.statistics else None
            self.gradient(x, y)
        if true is not None:
            self.sums += _compare(true, self.gradient.parameters)

    def evaluate(self, chosen: Sequence[str] = PARTS) -> Epoch:
        """Loss and accuracy on training, validation and test data, or the chosen of them."""
        self.chain.eval()
        found = []
        with torch.inference_mode(), self.autocast():
            for part in chosen:
                split = self.data[PARTS.index(part)]
                loss = torch.zeros((), dtype=torch.float64, device=self.device)
                right = torch.zeros((), dtype=torch.int64, device=self.device)
                batches = split.images.split(EVALUATED), split.labels.split(EVALUATED)
                for x, y in zip(*batches, strict=True):
                    logits = self.chain(x)
                    loss += cross_entropy(logits, y, reduction="sum")
                    right += (logits.argmax(1) == y).sum()
                found += [loss / len(split.labels), right.double() / len(split.labels)]
        names = [f"{part}_{what}" for part in chosen for what in ("loss", "accuracy")]
        return dict(zip(names, torch.stack(found).tolist(), strict=True))

    def end_epoch(self, val_loss: float, trained: bool) -> None:
        """Move the schedules that are counted in epochs."""
        if isinstance(self.schedule, lr_scheduler.ReduceLROnPlateau):
            self.schedule.step(val_loss)
        elif self.schedule and trained and not self.each_step:
            self.schedule.step()

    def wait(self) -> None:
        """Until the device has done what it was told."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def autocast(self) -> AbstractContextManager[object]:
        """Products in bfloat16 where they are asked for."""
        return torch.autocast(
            self.device.type, torch.bfloat16, enabled=self.run.precision == "bf16"
        )

    def content(self, history: list[Epoch]) -> dict[str, Any]:
        """All that `resume` needs: metrics up to here, and what changes."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        generators = {name: part.get_state() for name, part in self._generators().items()}
        return {"history": history, **parts, **generators}

    def resume(self, checkpoint: Checkpoint) -> list[Epoch]:
        """Go back to where the checkpoint was written, if it was; the metrics up to there.

        Raises:
            ConfigError: if the checkpoint cannot be read or is of another run or version.
        """
        state = checkpoint.load(self.device)
        if state is None:
            return []
        try:
            history: list[Epoch] = state["history"]
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            for name, generator in self._generators().items():
                generator.set_state(state[name].cpu())
        except Exception as error:  # whatever a damaged file holds, loading it may fail in any way
            raise checkpoint.damaged(error) from None
        return history

    def _parts(self) -> dict[str, Any]:
        sampler = self.gradient.approach.sampler
        parts = {"chain": self.chain, "optimizer": self.optimizer, "schedule": self.schedule}
        parts |= {"sampler": sampler if isinstance(sampler, Kept) else None}
        return {name: part for name, part in parts.items() if part is not None}

    def _generators(self) -> dict[str, torch.Generator]:
        return {"order": self.order, "tangents": self.tangents, "crops": self.crops}


class PlainSGD:
    """θ ← θ − η g, the paper's; the first optimiser of `torch.optim` costs a second of imports.

    Args:
        chain: whose parameters θ move.
        lr: η.
    """

    def __init__(self, chain: nn.Module, lr: float) -> None:
        self.parameters, self.lr = list(chain.parameters()), lr

    @torch.no_grad()
    def step(self) -> None:
        """Move every parameter against its ``.grad``."""
        gradients = [p.grad for p in self.parameters]
        # None where the estimate has not been written: it is, before every step
        torch._foreach_add_(self.parameters, gradients, alpha=-self.lr)  # type: ignore[arg-type]

    def state_dict(self) -> dict[str, Any]:
        """Nothing: it has no memory."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        if state:
            raise ValueError("the state of another optimiser")


def _repeats(run: TrainRun) -> bool:
    """Whether every step launches the same kernels: what is the user's own may do as it likes."""
    own = any(references([run.model, run.named_approach.model_dump()]))
    return run.mode == "sim" and not run.statistics and not own


def _optimizer(name: str, chain: nn.Module, lr: float) -> torch.optim.Optimizer:
    parameters = list(chain.parameters())
    if name == "adam":
        return torch.optim.Adam(parameters, lr)
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr)
    if name == "nesterov":
        return torch.optim.SGD(
            parameters, lr, momentum=0.9, nesterov=True, weight_decay=5e-4
        )  # fmt: skip
    return torch.optim.SGD(parameters, lr)


def _schedule(
    name: str, optimizer: torch.optim.Optimizer, epochs: int, patience: int
) -> tuple[Any, bool]:
    """The schedule, and whether it moves each step (else each epoch)."""
    match name:
        case "exponential":
            return lr_scheduler.ExponentialLR(optimizer, math.exp(-1e-4)), True
        case "steps":
            milestones = [math.ceil(epochs / 2), math.ceil(3 * epochs / 4)]
            return lr_scheduler.MultiStepLR(optimizer, milestones, 0.1), False
        case "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, max(1, epochs)), False
        case "plateau":
            half = max(0, patience // 2 - 1)
            return lr_scheduler.ReduceLROnPlateau(optimizer, patience=half), False
    return lr_scheduler.ConstantLR(optimizer, 1.0), False


def _compare(true: list[Tensor], parameters: list[nn.Parameter]) -> Tensor:
    """‖∇f‖, ‖g‖ and cos(g, ∇f) of all parameters together: [3]."""
    pairs = [
        (t.flatten(), p.grad.flatten())
        for t, p in zip(true, parameters, strict=True)
        if p.grad is not None
    ]
    norm = torch.stack([t @ t for t, _ in pairs]).sum().sqrt()
    estimate = torch.stack([g @ g for _, g in pairs]).sum().sqrt()
    dot = torch.stack([t @ g for t, g in pairs]).sum()
    return torch.stack([norm, estimate, dot / norm / estimate])
