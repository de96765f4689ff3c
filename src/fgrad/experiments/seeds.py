"""Seeds of every stream of random numbers; torch is not imported."""

from typing import Literal


def repeat_seeds(seed: int, purpose: Literal["search", "fresh"], count: int) -> list[int]:
    """Seeds of the runs a search tries rates with, and of fresh ones that judge what it found."""
    from numpy.random import SeedSequence

    stream = {"search": 0, "fresh": 1}[purpose]
    return [int(word) for word in SeedSequence((seed, stream)).generate_state(count)]
