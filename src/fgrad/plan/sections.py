"""The sections of the configuration, one for each section of the paper; torch is not imported."""

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from fgrad.errors import ConfigError, unique
from fgrad.options import effect
from fgrad.options.approach import Aggregation, NamedApproach
from fgrad.options.base import (
    Count,
    Degrees,
    FilePath,
    Name,
    Number,
    Seed,
    Several,
    TrueGradient,
    Unique,
)
from fgrad.options.functions import FunctionName, FunctionSearchOptions
from fgrad.options.networks import DatasetName, ModelName, NetworkSearchOptions, TrainOptions
from fgrad.store import files
from fgrad.validation import Model

LAST_GPU = 127
"""Number at most: torch keeps it in 8 bits with a sign, and takes a larger one for another."""


class Gradient(NamedApproach):
    """An approach and the numbers of tangents it is run with; none for backpropagation."""

    k: Several[Count] = ()
    """Numbers of tangents."""

    max_length: Annotated[float, Field(ge=1, le=10**6)] = 1.0

    @model_validator(mode="after")
    def _needs_k(self) -> Self:
        effect.check(self)
        if self.how.estimates != (self.k != ()):
            raise ValueError("k lists the numbers of tangents of an estimate; bp has none")
        return self


class QualityBlock(Model):
    """Dimensions that share a number of samples."""

    n: Unique[Count]
    samples: Count


class QualitySection(Model):
    """Section 4.1."""

    seed: Seed
    gradient: TrueGradient
    k: Unique[Count]
    aggregations: Unique[Aggregation]
    normalized: Several[Aggregation]
    direct: Annotated[tuple[QualityBlock, ...], Field(min_length=1, max_length=1000, strict=False)]
    exact: QualityBlock
    job_size: Count
    """n × samples of one job at most."""
    approaches: Several[Name] = ()
    """Gradients measured besides, each with its own tangents; of its k those up to n."""

    @model_validator(mode="after")
    def _dimensions_once(self) -> Self:
        unique(tuple(n for block in self.direct for n in block.n))
        return self


class FunctionsSection(Model):
    """Section 4.2."""

    learning_rates: str
    functions: Unique[FunctionName]
    n: Unique[Count]
    steps: dict[FunctionName, Count]
    patience: Count
    seeds: Unique[Seed]
    mode: Literal["sim", "fwad"]
    search: FunctionSearchOptions = FunctionSearchOptions()

    @model_validator(mode="after")
    def _steps_given(self) -> Self:
        missing = [name for name in self.functions if name not in self.steps]
        if missing:
            raise ValueError(f"steps: no number of steps for {', '.join(missing)}")
        return self


class AnglesSection(Model):
    """Section 4.3."""

    learning_rates: str
    angle: Unique[Degrees]
    n: Annotated[int, Field(ge=2, le=10**12)]
    quality_k: Unique[Count]
    samples: Count
    function: FunctionName
    optimize_k: Unique[Count]
    gradients: Unique[Name]
    seeds: Unique[Seed]
    search: FunctionSearchOptions = FunctionSearchOptions()


class Experiment(TrainOptions):
    """Networks of section 4.4 or 4.5, data sets and seeds, and how they are trained."""

    models: Unique[ModelName]
    widths: Several[Count] = ()
    """Hidden widths of fc."""
    datasets: Unique[DatasetName]
    rates_of: DatasetName | None = None
    """Data set whose published learning rates are taken; none for each data set's own."""
    seeds: Unique[Seed]
    search: NetworkSearchOptions = NetworkSearchOptions()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        effect.check(self)
        effect.check(self.search)
        if int(self.device.partition(":")[2] or 0) > LAST_GPU:
            raise ValueError(f"device {self.device}: the last GPU that can be is cuda:{LAST_GPU}")
        if self.widths and "fc" not in self.models:
            raise ValueError("widths are for model fc, which is not among the models")
        return self


def _expanded(folder: str) -> str:
    try:
        return str(files.expanded(folder))
    except ConfigError as error:
        raise ValueError(str(error).partition(": ")[2]) from None


class NetworksSection(Model):
    """Sections 4.4 and 4.5."""

    learning_rates: str
    data_dir: Annotated[FilePath, AfterValidator(_expanded)]
    fc: Experiment
    sota: Experiment


class FiguresSection(Model):
    """How figures look; it changes no number."""

    column_width: Annotated[Number, Field(ge=2.5, le=20)] = 3.5
    """Inches of a column."""
    page_width: Annotated[Number, Field(ge=5, le=40)] = 7.16
    """Inches of the page."""
    font_size: Annotated[Number, Field(ge=5, le=14)] = 8.0
    """Points of labels."""
    font: Literal["sans", "serif"] = "sans"
    formats: Unique[Literal["pdf", "png", "svg"]] = ("pdf", "png")
    palette: Literal["okabe-ito", "tol", "grey"] = "okabe-ito"

    @model_validator(mode="after")
    def _page_is_wider(self) -> Self:
        if self.page_width < self.column_width:
            raise ValueError(
                f"page_width = {self.page_width:g} is less than column_width = "
                f"{self.column_width:g}; a page holds a column at least"
            )
        return self


class Config(Model):
    """The whole configuration."""

    learning_rates: Literal["published", "missing", "searched"] = "published"
    """Where the rates of all runs come from: the tables, or a search for each of their rows."""
    published_results: str = "published_results.csv"
    """The table of what the paper reports, where somebody has entered it."""
    orphans: Literal["refuse", "wait", "cancel"] = "refuse"
    """What becomes of jobs that are at work since an earlier start, whose main process was killed:
    this start is refused, waits for them, or cancels them."""
    figures: FiguresSection = FiguresSection()
    gradients: Annotated[dict[Name, Gradient], Field(min_length=1)]
    quality: QualitySection
    functions: FunctionsSection
    angles: AnglesSection
    networks: NetworksSection

    @model_validator(mode="after")
    def _known_gradients(self) -> Self:
        with_k = [name for name, one in self.gradients.items() if one.k]
        at_angle = [name for name in with_k if self.gradients[name].aggregation]
        new = [name for name in with_k if name not in self.quality.aggregations]
        for key, names, allowed in (
            ("angles.gradients", self.angles.gradients, at_angle),
            ("quality.approaches", self.quality.approaches, new),
        ):
            for name in names:
                if name not in allowed:
                    raise ValueError(
                        f"{key}: {name!r} is no gradient with tangents; "
                        f"allowed: {', '.join(allowed)}"
                    )
        if self.angles.function not in self.functions.steps:
            raise ValueError(f"functions.steps: no number of steps for {self.angles.function}")
        return self
