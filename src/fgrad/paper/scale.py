"""What the runs of a section cover, in words, for readers of its claims; torch is not imported."""

from pathlib import Path
from typing import TYPE_CHECKING

from fgrad.options.search import FRESH, SearchOptions
from fgrad.paper.tables.digits import shortest
from fgrad.plugins import short

if TYPE_CHECKING:
    from fgrad.plan.sections import Config, Experiment


PUBLISHED = {"functions.csv", "angles.csv", "networks.csv"}
"""Tables of rates that were searched for at the paper's own steps and epochs."""


def tuned(config: "Config", section: str) -> bool:
    """Whether a section's rates are of its own runs: searched for, or from another table."""
    if config.learning_rates == "searched" or section in ("quality", "concepts"):
        return True
    return Path(_table(config, section)).name not in PUBLISHED


def _table(config: "Config", section: str) -> str:
    """Table of a section's learning rates."""
    owner = section if section in ("functions", "angles") else "networks"
    path: str = getattr(config, owner).learning_rates
    return path


def quality(config: "Config") -> str:
    """Dimensions, numbers of tangents and samples."""
    return f"{_direct(config)}; exact law to n = {max(config.quality.exact.n):,}."


def _direct(config: "Config") -> str:
    section = config.quality
    n = [n for block in section.direct for n in block.n]
    samples = sorted({block.samples for block in section.direct}, reverse=True)
    return (
        f"n = {min(n):,} to {max(n):,}, k = {min(section.k):,} to {max(section.k):,}, "
        f"{' or '.join(f'{count:,}' for count in samples)} samples"
    )


def functions(config: "Config") -> str:
    """Dimensions, seeds and steps."""
    section = config.functions
    steps = ", ".join(f"{section.steps[name]:,} on {short(name)}" for name in section.functions)
    return (
        f"n = {min(section.n):,} to {max(section.n):,}, {_seeds(section.seeds)}, "
        f"at most {steps} steps, {_rates(config, 'functions')}."
    )


def angles(config: "Config") -> str:
    """Angles, samples and seeds."""
    section = config.angles
    return (
        f"n = {section.n}, {len(section.angle)} angles, {section.samples:,} samples, "
        f"{_seeds(section.seeds)}, {_rates(config, 'angles')}."
    )


def fc(config: "Config") -> str:
    """Networks, data, epochs and seeds."""
    return f"{_experiment(config.networks.fc)}, {_rates(config, 'fc')}."


def sota(config: "Config") -> str:
    """Networks, data, epochs and seeds."""
    return f"{_experiment(config.networks.sota)}, {_rates(config, 'sota')}."


def search_functions(config: "Config") -> str:
    """Rates tried, and how those found are compared."""
    return _search(config.functions.search)


def search_angles(config: "Config") -> str:
    """Rates tried, and how those found are compared."""
    return _search(config.angles.search)


def search_fc(config: "Config") -> str:
    """Rates tried, and how those found are compared."""
    return _search(config.networks.fc.search, config.networks.fc)


def search_sota(config: "Config") -> str:
    """Rates tried, and how those found are compared."""
    return _search(config.networks.sota.search, config.networks.sota)


def _rates(config: "Config", section: str) -> str:
    """Which learning rates a section has."""
    if config.learning_rates == "searched":
        return "learning rates that a search found"
    also = ", searched for where there are none" if config.learning_rates == "missing" else ""
    if tuned(config, section):
        return f"learning rates of {Path(_table(config, section)).name}{also}"
    networks = {"fc": config.networks.fc, "sota": config.networks.sota}.get(section)
    of = f" of {networks.rates_of}" if networks and networks.rates_of else ""
    return f"published learning rates{of}{also}"


def _names(names: tuple[str, ...]) -> str:
    return ", ".join(map(short, names))


def _seeds(seeds: tuple[int, ...]) -> str:
    return f"{len(seeds)} seed{'s' * (len(seeds) != 1)}"


def facts(config: "Config") -> dict[str, dict[str, str]]:
    """What the captions of a section's figures and tables say of its runs.

    Returns:
        Section → ``covers`` (all that was run), ``rates`` (which learning rates), ``mean`` and
        ``log_mean`` (of what is drawn of its seeds, and on log scales; they begin with a small
        letter), ``seeds``, ``samples``, ``steps`` and ``epochs``, as far as it has them.
    """
    rates = {name: _rates(config, name) for name in ("functions", "angles", "fc", "sota")}
    steps = config.functions.steps
    samples = sorted({block.samples for block in config.quality.direct}, reverse=True)
    found: dict[str, dict[str, str]] = {
        "concepts": {},
        "quality": {
            "samples": " or ".join(f"{count:,}" for count in samples),
            "exact_samples": f"{config.quality.exact.samples:,}",
        },
        "functions": _averages(len(config.functions.seeds))
        | {
            "steps": ", ".join(
                f"{steps[name]:,} ({short(name)})" for name in config.functions.functions
            )
        },
        "angles": _averages(len(config.angles.seeds))
        | {
            "samples": f"{config.angles.samples:,}",
            "function": config.angles.function,
            "steps": f"{steps[config.angles.function]:,}",
        },
    }
    for name in ("fc", "sota"):
        one: Experiment = getattr(config.networks, name)
        found[name] = _averages(len(one.seeds)) | {"epochs": f"{one.epochs:,}"}
    for name in ("functions", "angles", "fc", "sota", "networks"):
        found[f"search_{name}"] = {}
    covers = {
        "quality": _direct(config) + ".",
        "functions": functions(config),
        "angles": angles(config),
        "fc": fc(config),
        "sota": sota(config),
        "search_functions": search_functions(config),
        "search_angles": search_angles(config),
        "search_fc": search_fc(config),
        "search_sota": search_sota(config),
    }
    return {
        name: own | {"rates": rates.get(name, ""), "covers": covers.get(name, "")}
        for name, own in found.items()
    }


def _averages(seeds: int) -> dict[str, str]:
    """What figures draw of some seeds, in words."""
    if seeds == 1:
        return dict.fromkeys(("mean", "log_mean", "seeds"), "one seed")
    if seeds == 2:
        mean = "mean of two seeds, and a thin line or a dash for each"
        return {"mean": mean, "log_mean": f"geometric {mean}", "seeds": "two seeds"}
    return {
        "mean": f"mean over {seeds} seeds with its 95 % interval",
        "log_mean": f"geometric mean over {seeds} seeds with the 95 % interval of logarithms",
        "seeds": f"{seeds} seeds",
    }


def _experiment(one: "Experiment") -> str:
    reduced = "" if one.reduce == 1 else f" with hidden sizes divided by {one.reduce}"
    sizes = ", ".join(map(str, one.widths))
    widths = f" of width{'s' * (len(one.widths) > 1)} {sizes}" if sizes else ""
    return (
        f"{_names(one.models)}{widths}{reduced} on {_names(one.datasets)}, "
        f"at most {one.epochs} epoch{'s' * (one.epochs != 1)}, {_seeds(one.seeds)}"
    )


def _search(options: SearchOptions, networks: "Experiment | None" = None) -> str:
    low, high = options.range
    of = networks.rates_of if networks else None
    on = f" on {_names(networks.datasets)}" if networks else ""
    return (
        f"{options.evaluations} learning rates from {shortest(low)} to {shortest(high)} for each "
        f"row{on}, seed {options.seed}; compared on {FRESH} fresh seeds with the published rates"
        + (f" of {of}." if of else ".")
    )
