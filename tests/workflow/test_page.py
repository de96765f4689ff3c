"""The page of what is finished: it starts no run, and shows none that is not asked for."""

import re

import pytest
from projects import Project

pytestmark = [pytest.mark.workflow, pytest.mark.slow]

RATE = ("config/learning_rates/functions.csv", "sphere,2,frog,2,")
PAGE = "results/paper/index.html"


def page_of(project: Project) -> str:
    text = (project.work / PAGE).read_text(encoding="utf-8")
    return re.sub(r"<[^>]+>|\s+", " ", text.partition("<script")[0])


def test_the_page_of_what_is_finished(project):
    assert project.planned("page") == {}
    training = next(path for name, path in project.runs().items() if name.startswith("fc/"))
    training.unlink()
    assert project.planned("page") == {"page": 1}
    said = project.run("page")
    trainings = len(list(training.parents[2].rglob("*.parquet"))) + 1
    assert re.search(rf"not computed: 4\.4[^()]*\(1 of {trainings} runs\)", said)
    assert "fc_curves" not in page_of(project)
    assert not training.exists()
    assert project.planned("page") == {}

    table = project.home / RATE[0]
    row = next(line for line in table.read_text().splitlines() if line.startswith(RATE[1]))
    project.edit(RATE[0], row, f"{RATE[1]}0.0123")
    assert project.planned("page") == {"page": 1}
    project.run("page")
    assert "Descent curves" not in page_of(project)
    assert project.planned("functions", "page")["descend_function"] == 1
    said = project.run("functions", "page")
    assert "Descent curves" in page_of(project)
    assert "0.0123" in (project.work / PAGE).read_text(encoding="utf-8")
    assert re.search(r"not computed: 4\.4[^,]*\n", said)
    assert project.planned("page") == {}
