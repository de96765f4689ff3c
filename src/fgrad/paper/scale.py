"""What the runs of a section cover, in words, for readers of its claims; torch is not imported."""

from typing import TYPE_CHECKING

from fgrad.options.search import FRESH, SearchOptions

if TYPE_CHECKING:
    from fgrad.plan.sections import Config, Experiment


def quality(config: "Config") -> str:
    """Dimensions, numbers of tangents and samples."""
    section = config.quality
    n = [n for block in section.direct for n in block.n]
    samples = sorted({block.samples for block in section.direct}, reverse=True)
    return (
        f"n = {min(n):,} to {max(n):,}, k = {min(section.k):,} to {max(section.k):,}, "
        f"{' or '.join(f'{count:,}' for count in samples)} samples; exact law "
        f"to n = {max(section.exact.n):,}."
    )


def functions(config: "Config") -> str:
    """Dimensions, seeds and steps."""
    section = config.functions
    steps = ", ".join(f"{section.steps[name]:,} on {name}" for name in section.functions)
    return (
        f"n = {min(section.n):,} to {max(section.n):,}, {len(section.seeds)} seeds, "
        f"at most {steps} steps{_rates(config)}."
    )


def angles(config: "Config") -> str:
    """Angles, samples and seeds."""
    section = config.angles
    return (
        f"n = {section.n}, {len(section.angle)} angles, {section.samples:,} samples, "
        f"{len(section.seeds)} seeds{_rates(config)}."
    )


def fc(config: "Config") -> str:
    """Networks, data, epochs and seeds."""
    return _experiment(config.networks.fc) + _rates(config) + "."


def sota(config: "Config") -> str:
    """Networks, data, epochs and seeds."""
    return _experiment(config.networks.sota) + _rates(config) + "."


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


def facts(config: "Config") -> dict[str, dict[str, str]]:
    """What the captions of a section's figures say of its runs.

    Returns:
        Section → ``rates`` (which learning rates), ``mean`` and ``log_mean`` (of what is drawn of
        its seeds, and on log scales; they begin with a small letter), ``seeds``, ``samples``,
        ``steps`` and ``epochs``, as far as it has them.
    """
    rates = {
        "published": "published learning rates",
        "searched": "learning rates that a search found",
    }[config.learning_rates]
    steps = config.functions.steps
    samples = sorted({block.samples for block in config.quality.direct}, reverse=True)
    found: dict[str, dict[str, str]] = {
        "concepts": {},
        "quality": {
            "samples": " or ".join(f"{count:,}" for count in samples),
            "exact_samples": f"{config.quality.exact.samples:,}",
        },
        "functions": _averages(len(config.functions.seeds))
        | {"steps": ", ".join(f"{steps[name]:,} ({name})" for name in config.functions.functions)},
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
    searches: dict[str, dict[str, str]] = {
        f"search_{name}": {} for name in ("functions", "angles", "fc", "sota", "networks")
    }
    return {name: own | {"rates": rates} for name, own in (found | searches).items()}


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


def _rates(config: "Config") -> str:
    return ", searched learning rates" if config.learning_rates == "searched" else ""


def _experiment(one: "Experiment") -> str:
    reduced = "" if one.reduce == 1 else f" with hidden sizes divided by {one.reduce}"
    widths = f" of widths {', '.join(map(str, one.widths))}" if one.widths else ""
    return (
        f"{', '.join(one.models)}{widths}{reduced} on {', '.join(one.datasets)}, "
        f"at most {one.epochs} epochs, {len(one.seeds)} seeds"
    )


def _search(options: SearchOptions, networks: "Experiment | None" = None) -> str:
    low, high = options.range
    of = networks.rates_of if networks else None
    on = f" on {', '.join(networks.datasets)}" if networks else ""
    return (
        f"{options.evaluations} learning rates from {low:g} to {high:g} for each row"
        f"{on}, seed {options.seed}; compared on {FRESH} fresh seeds with the published rates"
        + (f" of {of}." if of else ".")
    )
