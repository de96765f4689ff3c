"""No stale edge: after any two edits one invocation leaves nothing for a second to do."""

import os
import random
from itertools import combinations, islice
from pathlib import Path
from tempfile import TemporaryDirectory

import pandas as pd
import pytest
from edits import BY_GIT, NOTHING, SOME
from projects import Project

from fgrad.store import parquet

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

PAIRS = int(os.environ.get("FGRAD_PAIRS", "4"))
"""Pairs that are tried; which is drawn with the seed FGRAD_SEED."""

EDITS = {name: edit for name, (edit, _) in SOME.items()} | NOTHING
CHANGING = [pair for pair in combinations(EDITS, 2) if set(pair) & set(SOME)]


def drawn() -> list[tuple[str, str]]:
    """Pairs that change something, of which neither edits what the other looks for."""
    pairs = [pair for pair in CHANGING if not set(pair) & BY_GIT]
    random.Random(int(os.environ.get("FGRAD_SEED", "0"))).shuffle(pairs)
    return list(islice(filter(fit, pairs), PAIRS))


def fit(pair: tuple[str, str]) -> bool:
    """Whether both edits can be made, one after the other."""
    with TemporaryDirectory() as folder:
        project = Project(Path(folder))
        try:
            for name in pair:
                EDITS[name](project)
        except AssertionError:
            return False
    return True


def values(project: Project) -> dict[str, pd.DataFrame]:
    """Every run and summary, without the times they took."""
    folder = project.work / "results"
    found = {}
    for path in sorted(folder.rglob("*.parquet")):
        frame = parquet.read(path)
        timed = [
            name for name in frame.columns if "seconds" in name or name == "equal_time_accuracy"
        ]
        found[str(path.relative_to(folder))] = frame.drop(columns=timed)
    return found


@pytest.mark.parametrize("pair", drawn(), ids=" and ".join)
def test_one_invocation_is_enough_and_equals_a_run_from_scratch(pair, project, tmp_path):
    for name in pair:
        EDITS[name](project)
    project.run()
    assert project.planned() == {}
    scratch = project.copy(tmp_path / "scratch", results=False)
    scratch.run()
    again, once = values(scratch), values(project)
    assert again.keys() == once.keys()
    for name, frame in again.items():
        # a column that one of the edits adds is not in the runs that were kept
        assert set(once[name]) <= set(frame)
        kept = frame[list(once[name])]
        pd.testing.assert_frame_equal(once[name], kept, check_exact=True, obj=name)
