"""Figures: every one draws what it is given, in one set of colours; looks are for eyes."""

from importlib import import_module
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb

from fgrad import descent, figures, quality, summary
from fgrad.config import FunctionRun, QualityRun
from fgrad.figures import style

NAMES = sorted(path.stem for path in Path(figures.__file__).parent.glob("*.py"))
NAMES = [name for name in NAMES if name not in ("__init__", "style")]


@pytest.fixture(scope="module")
def summaries(tmp_path_factory) -> dict[str, pd.DataFrame]:
    """Real summaries of small runs, a diverging one and an unknown gradient among them."""
    folder = tmp_path_factory.mktemp("runs")

    def path(name: str) -> str:
        return str(folder / f"{name}.parquet")

    quality.write(QualityRun(n=(1, 4, 16), k=(1, 4), samples=20), path("q"))
    exact = {"n": (4, 10**9), "k": (1, 4), "samples": 20, "method": "exact", "normalized": ()}
    quality.write(QualityRun(**exact), path("e"))
    for alpha in (30.0, 90.0):
        quality.write(QualityRun(n=(16,), k=(4,), samples=20, angle=alpha), path(f"a{alpha:g}"))
    runs, angles = [], []
    own = {"aggregation": "max", "tangents": "rademacher"}
    for function in ("sphere", "styblinski-tang"):
        for n in (2, 16):
            for gradient, k, approach in (("bp", None, None), ("frog", 2, None), ("mine", 2, own)):
                lr = 50.0 if gradient == "mine" and n == 16 else 0.01
                run = {"function": function, "n": n, "gradient": gradient, "k": k, "lr": lr}
                runs.append(path(f"{function}{n}{gradient}"))
                run |= {"seeds": (0, 1), "steps": 30, "approach": approach}
                descent.write(FunctionRun(**run), runs[-1])
    for gradient in ("fg-mean", "frog"):
        run = {"function": "styblinski-tang", "n": 16, "gradient": gradient, "k": 4, "lr": 0.01}
        angles.append(path(f"angle{gradient}"))
        descent.write(FunctionRun(**run, seeds=(0, 1), steps=30, angle=(30.0, 90.0)), angles[-1])
    return {
        "quality": summary.quality([path("q")]),
        "exact": summary.quality([path("e")]),
        "angle_quality": summary.quality([path("a30"), path("a90")]),
        "functions": summary.functions(runs),
        "curves": summary.curves(runs),
        "angle_curves": summary.curves(angles),
    }


@pytest.mark.parametrize("name", NAMES)
def test_draws_and_saves(name, summaries, tmp_path):
    figure = import_module(f"fgrad.figures.{name}").draw(summaries)
    assert figure.get_size_inches()[0] in (style.COLUMN, style.PAGE)
    pdf, png = str(tmp_path / "figure.pdf"), str(tmp_path / "figure.png")
    style.save(figure, pdf, png)
    assert Path(pdf).read_bytes().startswith(b"%PDF")
    assert Path(png).read_bytes().startswith(b"\x89PNG")
    # nothing is drawn beyond the page
    box = figure.get_tightbbox()
    width, height = figure.get_size_inches()
    assert box.x0 > -0.02
    assert box.y0 > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


@pytest.mark.parametrize("name", ["final_values", "descent_curves"])
def test_a_new_gradient_appears(name, summaries):
    figure = import_module(f"fgrad.figures.{name}").draw(summaries)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "mine, $k$ = 2" in texts
    assert len(texts) == 3


def test_a_diverged_run_is_marked(summaries):
    figure = import_module("fgrad.figures.final_values").draw(summaries)
    assert any(line.get_marker() == "x" and len(line.get_xdata()) for line in figure.axes[0].lines)


@pytest.mark.parametrize("name", ["final_values", "descent_curves"])
def test_nothing_but_degenerate_runs(name, summaries):
    only = {key: frame.assign(degenerate=True) for key, frame in summaries.items()}
    figure = import_module(f"fgrad.figures.{name}").draw(only)
    assert figure.texts[0].get_text() == "nothing to show at this scale"


@pytest.mark.parametrize("name", ["quality", "extension", "aggregations", "angle_quality"])
def test_one_aggregation_alone(name, summaries):
    only = {
        key: frame[frame["aggregation"] == "projection"] if "aggregation" in frame else frame
        for key, frame in summaries.items()
    }
    assert import_module(f"fgrad.figures.{name}").draw(only).axes


def test_equal_figures_are_equal_files(summaries, tmp_path):
    paths = []
    for i in range(2):
        paths.append((str(tmp_path / f"{i}.pdf"), str(tmp_path / f"{i}.png")))
        style.save(import_module("fgrad.figures.quality").draw(summaries), *paths[-1])
    for first, second in zip(*paths, strict=True):
        assert Path(first).read_bytes() == Path(second).read_bytes()


def test_one_colour_for_a_method_everywhere():
    assert style.colour("frog", 4) == style.colour("projection", 4)
    assert style.colour("fg-mean", 4) == style.colour("mean", 4)
    assert style.colour("bp") == to_rgb("black")


def luminance(colour: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_more_tangents_are_darker():
    for method in ("frog", "fg-mean"):
        shades = [luminance(style.colour(method, k)) for k in (1, 2, 4, 16, 64, 1024)]
        assert shades == sorted(shades, reverse=True)


def test_families_differ_for_the_colour_blind():
    """Distance in simulated deuteranopia (Machado et al. 2009, severity 1), linear RGB."""
    seen = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    families = [style.BLACK, style.BLUE, style.VERMILLION, style.AMBER]
    for a, b in combinations(families, 2):
        assert np.linalg.norm(seen @ (np.array(to_rgb(a)) - to_rgb(b))) > 0.2
