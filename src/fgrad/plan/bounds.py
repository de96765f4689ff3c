"""How many jobs can be planned."""

from math import prod

from fgrad.errors import ConfigError

JOBS = 20_000
"""Jobs of a section at most: of many more the plan alone would take hours."""


def refuse_many(where: str, **numbers: int) -> None:
    """Refuse more jobs than can be planned, before they are.

    Args:
        where: section of the configuration.
        numbers: key → how many jobs it stands for; their product counts.

    Raises:
        ConfigError: with the number of jobs and the keys it is made of.
    """
    jobs = prod(numbers.values())
    if jobs > JOBS:
        factors = ", ".join(f"{number:,} {key}" for key, number in numbers.items())
        of = f": {factors}" if len(numbers) > 1 else ""
        raise ConfigError(f"{where}: {jobs:,} jobs; {JOBS:,} at most{of}")
