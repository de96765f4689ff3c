"""What a job will take: what the most similar one took, scaled by what both have to do."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import median

from fgrad.outlook.measured import USUAL, Ended, Measured, Start, rows_of, starts_of
from fgrad.outlook.work import Work

ELSEWHERE = 1.0
"""How much less like a job one of another machine is, see `Work.distance`."""

ALSO = {"search_network": ("search_network", "train_network")}
"""Kinds whose measurements serve for a kind, the first without being less alike for it."""


@dataclass(frozen=True)
class Cost:
    """What a job takes.

    Args:
        seconds: of a core or a GPU.
        at_most: likewise, if it does not stop early.
        memory_mb: on the CPU.
    """

    seconds: float
    at_most: float
    memory_mb: float


class Costs:
    """What jobs take, from the shipped table and from what has ended in a folder.

    Args:
        rows: of the shipped table.
        starts: of the shipped table.
        own: what has ended in the folder.
        known: what jobs of kinds without options took in the folder.
    """

    def __init__(
        self,
        rows: Iterable[Measured],
        starts: Mapping[str, Start],
        own: Iterable[Ended] = (),
        known: Mapping[str, Start] | None = None,
    ) -> None:
        jobs = list(own)
        self.starts = {**starts, **starts_of(jobs), **(known or {})}
        self._rows = [(row, ELSEWHERE) for row in rows]
        self.speed = 1.0
        """Seconds here for one of the table's."""
        mine = rows_of(jobs, self.starts)
        long = [row for row in mine if not row.gpu and row.seconds * row.work.units > 2]
        if len(long) >= 3:
            self.speed = median(row.seconds / self._unit(row.work, False)[0] for row in long)
        self._rows += [(row, 0.0) for row in mine]

    def of(self, work: Work, gpu: bool = False) -> Cost:
        """What a job takes."""
        start = self.start(work.kind)
        each, row = self._unit(work, gpu)
        share = row.share if row is not None else 1.0
        memory = max(start.memory_mb, row.memory_mb if row is not None and not row.gpu else 0)
        units = work.units * each
        return Cost(start.seconds + share * units, start.seconds + units, memory)

    def start(self, kind: str) -> Start:
        """What starting a job of a kind takes, which is all for one that has no options."""
        return self.starts.get(kind, USUAL)

    def measures(self, work: Work, gpu: bool) -> bool:
        """Whether anything like it has been measured."""
        return self._unit(work, gpu)[1] is not None

    def _unit(self, work: Work, gpu: bool) -> tuple[float, Measured | None]:
        """Seconds of a unit, and the row they are taken from."""
        kinds = ALSO.get(work.kind, (work.kind,))
        best, nearest, far = float("inf"), None, 0.0
        for row, elsewhere in self._rows:
            if row.gpu != gpu or row.work.kind not in kinds:
                continue
            apart = elsewhere + work.distance(row.work) + kinds.index(row.work.kind)
            if apart < best:
                best, nearest, far = apart, row, elsewhere
        speed = self.speed if not gpu else 1.0
        if nearest is None:
            return work.nominal * speed, None
        each = nearest.seconds * work.nominal / nearest.work.nominal
        return each * (speed if far else 1.0), nearest
