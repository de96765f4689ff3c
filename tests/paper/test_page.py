"""The page's data: what is on it, what is not, the runs behind a row, and that nothing escapes."""

import json
import re
from itertools import pairwise
from xml.etree import ElementTree as ET

import numpy as np
import pandas as pd
import pytest
from papers import SHOWN, paper_in, shown

from fgrad import jobs
from fgrad.options.functions import FunctionRun
from fgrad.options.quality import QualityRun
from fgrad.paper import contents, summary
from fgrad.paper.page import ending, render, rows
from fgrad.paper.page.drawings import Drawing

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> str:
    return paper_in(tmp_path_factory.mktemp("page")).read_text(encoding="utf-8")


def test_every_part_of_finished_sections_is_there(page):
    for section in contents.PAPER:
        there = section.name in SHOWN
        for figure in section.figures:
            assert (f'id="figure-{figure.name}"' in page) == there
        for table in section.tables:
            assert (f'id="table-{table.name}"' in page) == there
            part = page.partition(f'id="table-{table.name}"')[2]
            assert not there or part.index("One of tables") < 200
        for claim in section.claims:
            assert (f'id="claim-{claim.name}"' in page) == there
        assert page.count(f">{section.heading}<") >= 2
    assert "Not computed: 2 of 3 runs" in page
    assert "snakemake --cores 2 fc" in page


def test_identifiers_are_unique_and_what_is_referred_to_is_there(page):
    found = re.findall(r'\sid="([^"]+)"', page)
    assert len(found) == len(set(found))
    referred = set(re.findall(r'(?:href="|url\()#([\w.-]+)', page))
    assert referred <= set(found)


def test_nothing_is_loaded_and_nothing_ends_a_script(page):
    assert not re.search(r'(?:src|href)="(?!#|data:)', page)
    assert page.count("</script>") == 2
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in page
    assert "&lt;b&gt;more" in page


def test_headings_are_in_order(page):
    levels = [int(one) for one in re.findall(r"<h(\d)", page)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_what_figures_show_is_in_the_rows_behind_them(page):
    text = re.search(r'id="data">(.*?)</script>', page)
    assert text
    data = json.loads(text[1])
    for name in SHOWN:
        for figure in contents.SECTIONS[name].figures:
            assert bool(figure.values) == bool(figure.of), figure.name
            for one in figure.of:
                own = data["summaries"][one]
                assert set(figure.values) <= own["values"].keys()
                assert all("mean" in own["values"][value] for value in figure.values)
                assert all(data["runs"][kind] for kind in data["runs_of"][one])


def test_every_figure_that_shows_a_summary_says_which_values():
    for figure in contents.FIGURES.values():
        assert bool(figure.values) == bool(figure.of), figure.name


def test_columns_are_packed_without_loss():
    frame = pd.DataFrame({"n": [2] * 9 + [4], "gradient": "frog", "x_mean": np.arange(10) / 3})
    frame["x_low"] = [np.nan, np.inf, -np.inf, *range(7)]
    frame["x_high"] = 1.23456789
    found = rows.of_summary(frame, ["x"])
    assert found["names"]["n"] == {"of": [2, 4], "at": [0] * 9 + [1]}
    assert found["values"]["x"]["low"][:4] == [None, "∞", "−∞", 0]
    assert found["values"]["x"]["high"] == {"of": [1.2346], "at": [0] * 10}
    assert list(found["names"]) == ["n", "gradient"]


def test_each_row_has_the_runs_behind_it(tmp_path):
    """Of aggregations that are only normalised, and of angles with many digits, too."""
    quality = QualityRun(
        n=(4,), k=(2,), samples=3, aggregations=("projection",), normalized=("mean",)
    )
    angles = FunctionRun(
        function="sphere", n=4, gradient="frog", k=2, lr=0.1, steps=2, angle=(33.333333, 45.0)
    )
    for run, made in ((quality, summary.quality), (angles, summary.functions)):
        path = str(tmp_path / f"{type(run).__name__}.parquet")
        jobs.carry_out(run, path)
        frame = made([path])
        names = rows.of_summary(frame, [])["names"]
        (found,) = rows.of_runs([path], [])
        for row in range(len(frame)):
            of = {name: values[row] for name, values in names.items()}
            for name, option in found["is"].items():
                assert of.get(name) in (None, *(option if isinstance(option, list) else [option]))
            if "angle_deg" in of:
                assert of["angle_deg"] in {angle for _, angle, _ in found["ends"]}


def test_a_drawing_keeps_its_text_and_gets_names_of_its_own():
    text = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="72pt" height="9pt"'
        ' viewBox="0 0 72 9"><style>*{}</style><g id="axes_1"><defs><path id="m1"/></defs><use xlink:href="#m1"/>'
        '<g clip-path="url(#p2)"><text style="font-size: 8px; font-family: \'DejaVu Sans\'">a &lt; b</text></g>'
        '<clipPath id="p2"/></g></svg>'
    )
    one = Drawing(text, "mine", 'Of "x" < y')
    root = ET.fromstring(one.svg)
    assert {e.get("id") for e in root.iter() if e.get("id")} == {"mine-m1", "mine-p2"}
    assert 'href="#mine-m1"' in one.svg
    assert "url(#mine-p2)" in one.svg
    assert root.get("aria-label") == 'Of "x" < y'
    assert one.fonts == {("DejaVu Sans", "normal"): set("a < b")}
    assert "'DejaVu Sans', Verdana" in one.svg


def test_the_lines_at_the_end(tmp_path):
    judged = tmp_path / "a.json"
    judged.write_text(json.dumps([{"verdict": "holds"}, {"verdict": "fails"}]))
    first, second, third = ending.lines("p/index.html", [str(judged)], shown())
    assert first == "claims: 1 holds, 1 fails, 0 not decidable"
    assert second.endswith("/p/index.html")
    assert third == (
        "not computed: 4.3 Tangents at an angle (2 of 3 runs), 4.4 Fully connected networks (2 of 3 "
        "runs), 4.5 ResNet18 and ViT (2 of 3 runs)"
    )
    assert ending.lines("p", [], [])[2] == "not computed: nothing"


def test_another_template_is_noticed(monkeypatch, tmp_path):
    before = render.digest()
    for path in render.TEMPLATES.iterdir():
        (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.setattr(render, "TEMPLATES", tmp_path)
    assert render.digest() == before
    (tmp_path / "style.css").write_text("")
    assert render.digest() != before
