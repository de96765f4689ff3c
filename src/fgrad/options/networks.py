"""The options of a training run (sections 4.4 and 4.5); torch is not imported."""

import re
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from fgrad.gradients.approach import has_law
from fgrad.gradients.registry import LAWS, MODES
from fgrad.options.base import Count, JobOptions, Name, Rate, Seed, Threads
from fgrad.options.gradient import Derivatives, GradientTask
from fgrad.options.search import SearchOptions
from fgrad.plugins import is_reference
from fgrad.problems.registry import DATASETS, MODELS
from fgrad.validation import Told, one_of

LOST = 10.0
"""A validation loss of this much or NaN ends a run."""

ModelName = Annotated[str, one_of("model", MODELS, own=True)]
DatasetName = Annotated[str, one_of("dataset", DATASETS, own=True)]


_NUMBERED = "^cuda:(0|[1-9][0-9]{0,2})$"
_DEVICES = {
    "type": "string",
    "anyOf": [
        {"enum": ["auto", "cpu", "cuda"]},
        {"pattern": _NUMBERED, "examples": ["cuda:1"]},
    ],
}


def _device(name: str) -> str:
    if name not in ("auto", "cpu", "cuda") and not re.fullmatch(_NUMBERED, name):
        raise ValueError("unknown device; allowed: auto, cpu, cuda, cuda:0, cuda:1 and so on")
    return name


class TrainOptions(Derivatives):
    """How a network is trained, whichever network and gradient."""

    renamed: ClassVar[Mapping[str, str]] = {"tangents": "sampling"}

    reduce: Count = 1
    """Divide every hidden size by this, for quick tries."""
    epochs: Annotated[int, Field(ge=0, le=10**6)] = 200
    """Epochs at most."""
    batch: Count | None = None
    """Batch size; none for the paper's: 64, of `cifar10` and `svhn` 128."""
    patience: Count = 10
    """Stop after so many epochs in a row without a lower validation loss."""
    perturb: Literal["activations", "weights"] = "activations"
    """What the tangents perturb."""
    sampling: Literal["auto", "exact", "explicit"] = "auto"
    """Of perturbed weights in mode `sim`: `exact` draws the estimate from its law, `explicit` the
    tangents one by one; `auto` is the former wherever the law is known."""
    chunk: Count | None = None
    """Tangents in one pass of mode `fwad`; none for all at once."""
    optimizer: Literal["sgd", "nesterov", "adam", "adamw"] = "sgd"
    """Plain SGD; SGD with momentum 0.9, Nesterov and weight decay 5e-4; Adam; AdamW."""
    schedule: Literal["constant", "exponential", "steps", "cosine", "plateau"] = "constant"
    """Of the learning rate: `exponential` is exp(−10⁻⁴ step), `steps` a tenth after ½ and ¾ of the
    epochs, `cosine` half a cosine to zero, `plateau` a tenth when the validation loss has not
    fallen for half of the patience."""
    augment: bool = False
    """Random crops of the training batches, and flips where they keep the class."""
    device: Annotated[str, Told(_device, _DEVICES)] = "auto"
    """`auto` is a GPU that has a slot free, or waits for one; the CPU if there is no GPU. A GPU
    that is named is taken without waiting, and refused before any job if it is not there; `cuda` is
    `cuda:0`."""
    gpu_slots: Annotated[int, Field(ge=1, le=64)] = 1
    """Trainings that share a GPU at most; with device `auto` the others wait. Changes no result."""
    threads: Threads = 1
    """Threads on the CPU; their number may change the last bits."""
    precision: Literal["float32", "tf32", "bf16"] = "float32"
    """Of matrix products: `tf32` on the GPU, `bf16` by autocast."""
    deterministic: bool = False
    """Only algorithms that give the same bits every time."""
    statistics: bool = False
    """Record norms of the gradient and its estimate and their cosine, in columns of their own;
    costs a backward pass."""


class TrainTask(TrainOptions, GradientTask):
    """Training of a network with one gradient approach, whichever its learning rate and seed."""

    experiment: Name = "single"
    """What the run belongs to."""
    model: ModelName
    """The network, a chain of blocks."""
    width: Count | None = None
    """Hidden width of fc (256 if none is given); no other model has one."""
    dataset: DatasetName = "mnist5k"
    """The data set."""
    checkpoint_minutes: Annotated[float, Field(ge=0, le=10**6)] = 0
    """Least time between two checkpoints; 0 for one each epoch."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.width is not None and self.model != "fc" and not is_reference(self.model):
            raise ValueError(f"width = {self.width}: model {self.model} has none, only fc")
        if self.how.estimator is not None and (self.perturb, self.mode) != ("weights", "sim"):
            raise ValueError(
                f"gradient {self.gradient}: a whole gradient needs perturb weights and mode sim"
            )
        if self.how.sampler == "angle":
            raise ValueError("tangents at an angle are for sections 4.1 to 4.3")
        if self.sampling == "exact" and not self._lawful:
            raise ValueError(
                "sampling exact needs perturb weights, mode sim and an aggregation of normal "
                "tangents whose law is known"
            )
        if self.precision == "bf16" and self.mode == "fwad":
            raise ValueError("precision bf16 needs mode sim")
        return self

    def named(self) -> list[str]:
        """Definitions that names among the options stand for."""
        problem = [MODELS.defined(self.model), DATASETS.defined(self.dataset)]
        return [*problem, *self.gradient_code(), *self._mode_code()]

    @property
    def _lawful(self) -> bool:
        """Whether the estimate may be drawn from its law."""
        return has_law(self.how) and self.perturb == "weights" and self.mode == "sim"

    def _mode_code(self) -> list[str]:
        aggregation = self.named_approach.aggregation
        if self.how.estimator is not None:
            return [MODES.where["weights-whole"]]
        if aggregation is None:
            return [MODES.where["backpropagation"]]
        if self._lawful and self.sampling != "explicit":
            return [MODES.where["weights-exact"], LAWS.where[aggregation]]
        return [MODES.where[f"{self.perturb}-{self.mode}"]]


class UnratedTrainRun(TrainTask, JobOptions):
    """Training of a network whose learning rate is still searched for."""

    seed: Seed = 0
    """Of the initial parameters, the order of the batches and the tangents."""
    profile: bool = False
    """Write a trace of the first steps beside the output."""

    def code(self) -> tuple[str, ...]:
        """As `JobOptions.code`."""
        return ("fgrad.experiments.training:compute", *self.named())


class TrainRun(UnratedTrainRun):
    """Training of a network with one gradient approach and seed (sections 4.4 and 4.5): one job."""

    lr: Rate
    """Learning rate."""


class NetworkSearchOptions(SearchOptions):
    """How the learning rate of a network is searched for, on its validation loss."""

    epochs: Annotated[int, Field(ge=1, le=10**6)] = 200
    """Epochs of a trial at most; the lowest validation loss is its loss."""
    patience: Count = 10
    """Stop a trial after so many epochs in a row without a lower validation loss."""
    pruning: Literal["median", "none"] = "median"
    """`median` ends a trial whose lowest validation loss is above the median, at the same epoch, of
    the trials of earlier generations that were not pruned, from five of them on. There is no
    hyperband: it compares trials that are trained at the same time, so that their order would
    change the result."""
    warmup: Annotated[int, Field(ge=0, le=10**6)] = 5
    """Epochs before a trial may be pruned, with pruning `median`."""
    generation: Count = 10
    """Trials that are not compared with each other, only with those of earlier generations."""
    in_flight: Annotated[int, Field(ge=1, le=64)] = 1
    """Trials trained at the same time, a generation at most; changes no result."""


class NetworkSearch(NetworkSearchOptions, TrainTask, JobOptions):
    """Search for the learning rate of a network (sections 4.4 and 4.5): one table row."""

    def code(self) -> tuple[str, ...]:
        """As `JobOptions.code`."""
        return ("fgrad.experiments.search.networks:compute", *self.named())
