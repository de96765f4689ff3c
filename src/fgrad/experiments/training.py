"""Training of a network with any gradient approach, evaluated every epoch (sections 4.4 and 4.5).

The data set is one tensor on the device and a batch is an index into it; nothing inside an epoch
waits for the device. Parameters, order of the batches and tangents come from generators of their
own, so a run's numbers depend on its options alone.

Source: the paper, sections 4.4 and 4.5.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim import lr_scheduler

from fgrad.errors import ConfigError
from fgrad.experiments.device import choose_device, profiler, settings
from fgrad.gradients.perturbation import Perturbation
from fgrad.options.networks import LOST, TrainRun
from fgrad.problems.data import Split, augment, load
from fgrad.problems.registry import DATASETS, MODELS
from fgrad.store import files, log, parquet, schemas
from fgrad.store.source import fingerprint

EVALUATED = 1000
"""Samples evaluated at a time."""

Data = tuple[Split, Split, Split]
Epoch = dict[str, float]
Say = Callable[[str], None]


@dataclass(frozen=True)
class Training:
    """Metrics of every epoch from 0, and why it ended.

    Args:
        epochs: for each epoch the columns of `fgrad.store.schemas.NETWORKS` from the losses on, and
            those of `fgrad.store.schemas.STATISTICS` where they were asked for.
        stop: ``completed`` all epochs, ``stalled`` (no lower validation loss for `patience` epochs)
            or ``diverged`` (validation loss NaN or at least `LOST`); ``pruned`` by the caller.
        n: dimension of the space the tangents live in.
    """

    epochs: list[Epoch]
    stop: str
    n: int


def build(run: TrainRun) -> nn.Sequential:
    """The network of a run with its initial parameters, on the CPU.

    The same parameters on every device; the global generator is left as it was.
    """
    data = DATASETS[run.dataset]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_seed(run, 0))
        model = MODELS[run.model]
        chain: nn.Sequential = model(data.channels, data.size, data.classes, run.width, run.reduce)
    return chain


def train(
    run: TrainRun,
    data: Data,
    checkpoint: Path | None = None,
    say: Say = lambda _: None,
    progress: log.PROGRESS = lambda done, total: None,
    trace: Path | None = None,
    parts: Sequence[str] = schemas.PARTS,
    prune: Callable[[list[float]], bool] = lambda losses: False,
) -> Training:
    """Train and evaluate, epoch by epoch.

    Args:
        run: what to do.
        data: training, validation and test data on the device of the run.
        checkpoint: file to resume from, if it is there, and to write to after an epoch.
        say: told about every epoch in a line.
        progress: called with epochs done and epochs at most.
        trace: where the profiler writes what the first steps did.
        parts: of the data that are evaluated; ``val`` must be among them.
        prune: given the validation losses from epoch 0 on, whether to end the run here.

    Returns:
        Metrics and stop reason. A resumed run ends with the very numbers of an undisturbed one, on
        the CPU to the last bit.

    Raises:
        ConfigError: if the checkpoint cannot be read or is of another run or version.
    """
    state = _State(run, data)
    n = state.gradient.n(data[0].images[:2], data[0].labels[:2])
    history = state.resume(checkpoint) if checkpoint and checkpoint.exists() else []
    if history:
        say(f"resumed after epoch {len(history) - 1}")
    start = saved = time.monotonic()
    first = len(history)
    while not (stop := _stop(run, history, prune)):
        epoch = len(history)
        began = time.monotonic()
        statistics = {}
        if epoch:
            with profiler(trace if epoch == 1 else None) as after_step:
                statistics = state.step_through(after_step)
            state.wait()
        trained = time.monotonic()
        measured = state.evaluate(parts)
        state.end_epoch(measured["val_loss"], bool(epoch))
        seconds = {
            "train_seconds": trained - began if epoch else 0.0,
            "eval_seconds": time.monotonic() - trained,
        }
        history.append(measured | seconds | (statistics or state.no_statistics))
        each = (time.monotonic() - start) / (len(history) - first)
        say(_line(run, history, each))
        progress(epoch, run.epochs)
        if checkpoint and time.monotonic() - saved >= 60 * run.checkpoint_minutes:
            state.save(checkpoint, history)
            saved = time.monotonic()
    return Training(history, stop, n)


def write(
    run: TrainRun,
    path: Path | str,
    source: Path | None = None,
    say: Say = log.log_line,
    progress: log.PROGRESS = lambda done, total: None,
) -> None:
    """Train and write the Parquet file, one row for each epoch.

    A checkpoint lies beside the file while the run goes on; the same call takes it up again.

    Args:
        run: what to do.
        path: Parquet file.
        source: prepared file or folder of the data set, see `fgrad.problems.data.load`.
        say: told about every epoch in a line.
        progress: called with epochs done and epochs at most.

    Raises:
        ConfigError: as `train`, or if there is no such device or no such data.
    """
    target, start = Path(path), log.now()
    device = choose_device(run.device)
    with settings(run):
        data = load(run.dataset, source, device)
        trace = target.with_suffix(".trace.json") if run.profile else None
        checkpoint = checkpoint_of(run, target)
        trained = train(run, data, checkpoint, say, progress, trace)
    columns: dict[str, Any] = {
        name: np.array([epoch[name] for epoch in trained.epochs]) for name in trained.epochs[0]
    }
    columns |= run.model_dump(include=set(schemas.NETWORKS)) | {
        "epoch": np.arange(len(trained.epochs))
    }
    parquet.write(
        target,
        schemas.NETWORKS | (schemas.STATISTICS if run.statistics else {}),
        columns,
        run=run.model_dump(mode="json"),
        device=str(device) if device.type == "cpu" else torch.cuda.get_device_name(device),
        threads=run.threads,
        start=start,
        end=log.now(),
        stop=trained.stop,
        n=trained.n,
    )
    files.forget(target, "checkpoint")


def checkpoint_of(run: TrainRun, path: Path) -> Path:
    """The checkpoint of a run: beside its output, named by everything its numbers depend on."""
    return files.beside(path, _key(run), "checkpoint")


class _State:
    """Everything that changes while a run goes on."""

    def __init__(self, run: TrainRun, data: Data) -> None:
        self.run, self.data = run, data
        self.device = data[0].images.device
        self.chain = build(run).to(self.device)
        self.order = torch.Generator().manual_seed(_seed(run, 1))
        self.tangents = torch.Generator(self.device).manual_seed(_seed(run, 2))
        self.crops = torch.Generator(self.device).manual_seed(_seed(run, 3))
        self.gradient = Perturbation(
            self.chain, run.how, run.k, self.tangents, perturb=run.perturb, mode=run.mode,
            tangents=run.tangents, chunk=run.chunk,
        )  # fmt: skip
        self.optimizer = _optimizer(run, self.chain)
        self.schedule, self.each_step = _schedule(run, self.optimizer)
        nothing = dict.fromkeys(schemas.STATISTICS, math.nan)
        self.no_statistics: Epoch = nothing if run.statistics else {}

    def step_through(self, after_step: Callable[[], None] = lambda: None) -> Epoch:
        """One epoch of steps; means of the gradient statistics where they are asked for."""
        images, labels = self.data[0].images, self.data[0].labels
        order = torch.randperm(len(labels), generator=self.order)
        if self.device.type == "cuda":
            order = order.pin_memory().to(self.device, non_blocking=True)
        sums = torch.zeros(3, device=self.device)
        self.chain.train()
        batches = list(order.split(self.run.batch_size))
        if len(batches) > 1 and len(batches[-1]) == 1:  # batch norm needs two samples
            batches[-2:] = [torch.cat(batches[-2:])]
        for index in batches:
            x, y = images[index], labels[index]
            if self.run.augment:
                x = augment(x, self.crops, DATASETS[self.run.dataset].flips)
            with self.autocast():
                true = self.gradient.true_gradient(x, y) if self.run.statistics else None
                self.gradient(x, y)
            if true is not None:
                sums += _compare(true, self.gradient.parameters)
            self.optimizer.step()
            if self.each_step:
                self.schedule.step()
            after_step()
        if not self.run.statistics:
            return {}
        return dict(zip(schemas.STATISTICS, (sums / len(batches)).tolist(), strict=True))

    def evaluate(self, chosen: Sequence[str] = schemas.PARTS) -> Epoch:
        """Loss and accuracy on training, validation and test data, or the chosen of them."""
        self.chain.eval()
        found = []
        with torch.inference_mode(), self.autocast():
            for part in chosen:
                split = self.data[schemas.PARTS.index(part)]
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
        elif trained and not self.each_step:
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

    def save(self, path: Path, history: list[Epoch]) -> None:
        """Write the checkpoint, whole or not at all."""
        parts = {name: part.state_dict() for name, part in self._parts().items()}
        generators = {name: part.get_state() for name, part in self._generators().items()}
        state = {"key": _key(self.run), "history": history, **parts, **generators}
        with files.atomic(path) as temporary:
            torch.save(state, temporary)

    def resume(self, path: Path) -> list[Epoch]:
        """Go back to where a checkpoint was written; raises ConfigError as `train`."""
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            history: list[Epoch] = state["history"]
            if state["key"] == _key(self.run):
                for name, part in self._parts().items():
                    part.load_state_dict(state[name])
                for name, generator in self._generators().items():
                    generator.set_state(state[name].cpu())
                return history
        except Exception as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ConfigError(
                f"{path}: not a whole checkpoint, delete it to start anew: {reason}"
            ) from None
        raise ConfigError(f"{path}: checkpoint of another run or version, delete it to start anew")

    def _parts(self) -> dict[str, Any]:
        return {"chain": self.chain, "optimizer": self.optimizer, "schedule": self.schedule}

    def _generators(self) -> dict[str, torch.Generator]:
        return {"order": self.order, "tangents": self.tangents, "crops": self.crops}


def _stop(run: TrainRun, history: list[Epoch], prune: Callable[[list[float]], bool]) -> str:
    """Why a run ends after these epochs; empty if it goes on."""
    if not history:
        return ""
    losses = [epoch["val_loss"] for epoch in history]
    if not losses[-1] < LOST:
        return "diverged"
    if len(losses) > run.epochs:
        return "completed"
    lowest = min(range(len(losses)), key=losses.__getitem__)
    if len(losses) - 1 - lowest >= run.patience:
        return "stalled"
    return "pruned" if prune(losses) else ""


def _optimizer(run: TrainRun, chain: nn.Module) -> torch.optim.Optimizer:
    parameters = list(chain.parameters())
    if run.optimizer == "adam":
        return torch.optim.Adam(parameters, run.lr)
    if run.optimizer == "adamw":
        return torch.optim.AdamW(parameters, run.lr)
    if run.optimizer == "nesterov":
        return torch.optim.SGD(
            parameters, run.lr, momentum=0.9, nesterov=True, weight_decay=5e-4
        )  # fmt: skip
    return torch.optim.SGD(parameters, run.lr)


def _schedule(run: TrainRun, optimizer: torch.optim.Optimizer) -> tuple[Any, bool]:
    """The schedule, and whether it moves each step (else each epoch)."""
    match run.schedule:
        case "exponential":
            return lr_scheduler.ExponentialLR(optimizer, math.exp(-1e-4)), True
        case "steps":
            milestones = [math.ceil(run.epochs / 2), math.ceil(3 * run.epochs / 4)]
            return lr_scheduler.MultiStepLR(optimizer, milestones, 0.1), False
        case "cosine":
            return lr_scheduler.CosineAnnealingLR(optimizer, max(1, run.epochs)), False
        case "plateau":
            patience = max(0, run.patience // 2 - 1)
            return lr_scheduler.ReduceLROnPlateau(optimizer, patience=patience), False
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


def _seed(run: TrainRun, stream: int) -> int:
    """Parameters, order, tangents and crops of a seed are independent of each other."""
    return int(np.random.SeedSequence((run.seed, stream)).generate_state(1)[0])


def _key(run: TrainRun) -> str:
    """Hash of everything a run's numbers depend on."""
    plain = run.model_dump(mode="json", exclude={"checkpoint_minutes", "profile"})
    versions = (
        fingerprint("experiments.training"),
        str(torch.__version__),
        choose_device(run.device).type,
    )
    text = json.dumps([plain, versions])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _line(run: TrainRun, history: list[Epoch], each: float) -> str:
    epoch, last = len(history) - 1, history[-1]
    parts = [
        f"{part} {last[f'{part}_loss']:.4f} ({last[f'{part}_accuracy']:.2%})"
        for part in schemas.PARTS
        if f"{part}_loss" in last
    ]
    left = timedelta(seconds=round(each * (run.epochs - epoch)))
    seconds = last["train_seconds"] + last["eval_seconds"]
    return (
        f"{log.now()} epoch {epoch}/{run.epochs}: {', '.join(parts)}; {seconds:.1f} s, "
        f"at most {left} left"
    )
