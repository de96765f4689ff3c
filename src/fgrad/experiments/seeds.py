"""Seeds of every stream of random numbers of a job; torch is not imported."""

from typing import Literal


def repeat_seeds(seed: int, purpose: Literal["search", "fresh"], count: int) -> list[int]:
    """Seeds of the runs a search tries rates with, and of fresh ones that judge what it found."""
    from numpy.random import SeedSequence

    stream = {"search": 0, "fresh": 1}[purpose]
    return [int(word) for word in SeedSequence((seed, stream)).generate_state(count)]


def stream_seed(seed: int, stream: Literal["parameters", "order", "tangents", "crops"]) -> int:
    """Seed of one stream of a training; those of a training are independent of each other."""
    from numpy.random import SeedSequence

    number = {"parameters": 0, "order": 1, "tangents": 2, "crops": 3}[stream]
    return int(SeedSequence((seed, number)).generate_state(1)[0])
