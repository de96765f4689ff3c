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
    TablePath,
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
    """Numbers of tangents, each an approach of its own."""

    max_length: Annotated[float, Field(ge=1, le=10**6)] = 1.0
    """L of the sampler `orthogonal`, whose tangents have lengths U[1, L]."""

    @model_validator(mode="after")
    def _needs_k(self) -> Self:
        effect.check(self)
        if self.how.estimates != (self.k != ()):
            raise ValueError("k lists the numbers of tangents of an estimate; bp has none")
        return self


class QualityBlock(Model):
    """Dimensions that share a number of samples."""

    n: Unique[Count]
    """Dimensions."""
    samples: Count
    """Samples of each."""


class QualitySection(Model):
    """Approximation quality of estimates (section 4.1)."""

    seed: Seed
    """Of all samples."""
    gradient: TrueGradient
    """The true gradient."""
    k: Unique[Count]
    """Numbers of tangents."""
    aggregations: Unique[Aggregation]
    """What is compared."""
    normalized: Several[Aggregation]
    """Which of them are also computed with normalised tangents."""
    direct: Annotated[tuple[QualityBlock, ...], Field(min_length=1, max_length=1000, strict=False)]
    """Dimensions that are computed on real vectors."""
    exact: QualityBlock
    """Dimensions that are sampled from the exact law."""
    job_size: Count
    """n × samples of one job at most; what is small makes many jobs."""
    approaches: Several[Name] = ()
    """Gradients measured besides, each with its own tangents; of its k those up to n."""

    @model_validator(mode="after")
    def _dimensions_once(self) -> Self:
        unique(tuple(n for block in self.direct for n in block.n))
        return self


class FunctionsSection(Model):
    """Gradient descent on test functions (section 4.2)."""

    learning_rates: TablePath
    """The table of rates, relative to the folder of `config.yaml`; `./x.csv` lies beside the file
    that says it."""
    functions: Unique[FunctionName]
    """What is minimised."""
    n: Unique[Count]
    """Dimensions."""
    steps: dict[FunctionName, Count]
    """Steps of gradient descent at most."""
    patience: Count
    """Stop after so many steps in a row without a value below the one before."""
    seeds: Unique[Seed]
    """One descent each."""
    mode: Literal["sim", "fwad"]
    """Directional derivatives from the known gradient, or by forward-mode differentiation."""
    search: FunctionSearchOptions = FunctionSearchOptions()
    """How the rate of each row is searched for."""

    @model_validator(mode="after")
    def _steps_given(self) -> Self:
        missing = [name for name in self.functions if name not in self.steps]
        if missing:
            raise ValueError(f"steps: no number of steps for {', '.join(missing)}")
        return self


class AnglesSection(Model):
    """Tangents at an angle (section 4.3)."""

    learning_rates: TablePath
    """The table of rates, relative to the folder of `config.yaml`; `./x.csv` lies beside the file
    that says it."""
    angle: Unique[Degrees]
    """Angles of all tangents to the first, in degrees."""
    n: Annotated[int, Field(ge=2, le=10**12)]
    """Dimension."""
    quality_k: Unique[Count]
    """Numbers of tangents whose quality is measured."""
    samples: Count
    """Samples of the quality."""
    function: FunctionName
    """What is minimised."""
    optimize_k: Unique[Count]
    """Numbers of tangents of the descent."""
    gradients: Unique[Name]
    """Approaches of the descent, names from `gradients`."""
    seeds: Unique[Seed]
    """One descent each."""
    search: FunctionSearchOptions = FunctionSearchOptions()
    """How the rate of each row is searched for."""


class Experiment(TrainOptions):
    """Networks of section 4.4 or 4.5, data sets and seeds, and how they are trained."""

    models: Unique[ModelName]
    """Networks, each a chain of blocks."""
    widths: Several[Count] = ()
    """Hidden widths of `fc`."""
    datasets: Unique[DatasetName]
    """`mnist5k` is 5,000 digits that are shipped with a package."""
    rates_of: DatasetName | None = None
    """Data set whose published learning rates are taken; none for each data set's own."""
    seeds: Unique[Seed]
    """One job each: initial parameters, order of the batches, tangents."""
    search: NetworkSearchOptions = NetworkSearchOptions()
    """How the rate of each row is searched for."""

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
    """Training of networks (sections 4.4 and 4.5)."""

    learning_rates: TablePath
    """The table of rates, relative to the folder of `config.yaml`; `./x.csv` lies beside the file
    that says it."""
    data_dir: Annotated[FilePath, AfterValidator(_expanded)]
    """Folder of the published files, packed or unpacked, known by their contents; what is missing
    there is downloaded into it. Relative to the working directory; `~`, `~user` and `$NAME` are as
    in a shell."""
    fc: Experiment
    """The experiment of section 4.4."""
    sota: Experiment
    """The experiment of section 4.5."""


class FiguresSection(Model):
    """How figures look; it changes no number."""

    column_width: Annotated[Number, Field(ge=2.5, le=20)] = 3.5
    """Inches of figures that fill a column: 3.5 for IEEE, 5.5 for NeurIPS and ICLR, 3.25 for
    ICML."""
    page_width: Annotated[Number, Field(ge=5, le=40)] = 7.16
    """Inches of figures that span the page, `column_width` or more: 7.16 for IEEE, 5.5 for NeurIPS
    and ICLR, 6.75 for ICML."""
    font_size: Annotated[Number, Field(ge=5, le=14)] = 8.0
    """Points of labels and titles; ticks and legends are an eighth smaller."""
    font: Literal["sans", "serif"] = "sans"
    """DejaVu Sans, or STIX, which has the shapes of Times."""
    formats: Unique[Literal["pdf", "png", "svg"]] = ("pdf", "png")
    """Files of each figure; the report shows the PNG, without it the SVG, without both the PDF."""
    palette: Literal["okabe-ito", "tol", "grey"] = "okabe-ito"
    """Colours; the first two are distinct for the colour-blind, and lines and markers tell methods
    apart in all of them."""

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
    """Where the rates of all runs come from: `published` are the tables; `missing` searches for
    those that they lack, in the same DAG; `searched` for the rate of every row, and a run then
    needs no row in its table, which only the comparison reads."""
    published_results: TablePath = "published_results.csv"
    """The table of what the paper reports, where somebody has entered it, relative to the folder of
    `config.yaml`; `./x.csv` lies beside the file that says it."""
    orphans: Literal["refuse", "wait", "cancel"] = "refuse"
    """What a start does when jobs of an earlier one are still at work, as their main process was
    killed: `refuse` names them and ends, `wait` waits for them to end, `cancel` ends them first.
    Nothing is computed twice either way."""
    figures: FiguresSection = FiguresSection()
    """How figures look."""
    gradients: Annotated[dict[Name, Gradient], Field(min_length=1)]
    """Approaches: sampler + aggregation + options."""
    quality: QualitySection
    """Section 4.1."""
    functions: FunctionsSection
    """Section 4.2."""
    angles: AnglesSection
    """Section 4.3."""
    networks: NetworksSection
    """Sections 4.4 and 4.5."""

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
