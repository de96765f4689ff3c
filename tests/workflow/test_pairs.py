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

PAIRS = int(os.environ.get("FGRAD_PAIRS", "2"))
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


def results(project: Project) -> list[str]:
    """Every run and summary."""
    return sorted(str(path.relative_to(project.work)) for path in project.work.rglob("*.parquet"))


def values(path: Path) -> pd.DataFrame:
    """A run or a summary without the times it took."""
    frame = parquet.read(path)
    names = [str(name) for name in frame]
    timed = [name for name in names if "seconds" in name or name == "equal_time_accuracy"]
    return frame.drop(columns=timed)


@pytest.mark.parametrize("pair", drawn(), ids=" and ".join)
def test_one_invocation_is_enough_and_equals_a_run_from_scratch(pair, project, tmp_path):
    for name in pair:
        EDITS[name](project)
    project.run()
    assert project.planned() == {}
    scratch = project.copy(tmp_path / "scratch", results=False)
    scratch.run(*results(project))
    assert results(scratch) == results(project)
    shown = {"all", "page", "collect_claims", "judge_claims"}
    left = {rule for rule in scratch.planned() if not rule.startswith(("figure_", "table_"))}
    assert left <= shown, "what was kept is all there is to compute"
    for name in results(project):
        again, once = values(scratch.work / name), values(project.work / name)
        # a column that one of the edits adds is not in the runs that were kept
        assert set(once) <= set(again)
        pd.testing.assert_frame_equal(once, again[list(once)], check_exact=True, obj=name)
