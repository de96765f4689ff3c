"""How figures look, what is drawn around means, and what is written into the files."""

import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from PIL import Image

from fgrad import jobs
from fgrad.options.functions import FunctionRun
from fgrad.paper import summary
from fgrad.paper.evidence.stats import half_width
from fgrad.paper.figures import (
    aggregations,
    descent_curves,
    files,
    final_values,
    gain,
    gap_to_bp,
    intervals,
    look,
    quality_predicts,
    style,
)
from fgrad.plan.sections import FiguresSection
from fgrad.store import identity, parquet


@pytest.fixture(autouse=True)
def usual() -> Iterator[None]:
    yield
    look.use(look.Look())


def observed(values: list[list[float]], minimum: float = 0.0, start: float = 8.0) -> pd.DataFrame:
    """A summary of final values: a row for each n = 2, 4, …, of these seeds."""
    rows = []
    for i, seeds in enumerate(values):
        row = {"function": "sphere", "n": 2 ** (i + 1), "gradient": "frog", "k": 2, "start": start}
        row |= {"minimum": minimum, "degenerate": False, "count": len(seeds)}
        known = np.array(seeds)
        parts = {"final": known, "log_gap": np.log10(known - minimum)}
        parts["log_left"] = np.log10(np.maximum((known - minimum) / (start - minimum), 1e-6))
        for name, of in parts.items():
            mean, std = of.mean(), pd.Series(of).std()
            half = half_width(pd.Series([std]), pd.Series([len(of)])).iloc[0]
            row |= {f"{name}_mean": mean, f"{name}_std": std}
            row |= {f"{name}_low": mean - half, f"{name}_high": mean + half}
        rows.append(row)
    return pd.DataFrame(rows).astype({"k": "Int64"})


def test_two_observations_are_drawn_themselves():
    frame = observed([[1.0, 3.0], [2.0, 2.5]])
    seen = intervals.arithmetic(frame, "final")
    assert seen.low == pytest.approx([1.0, 2.0])
    assert seen.high == pytest.approx([3.0, 2.5])
    seen = intervals.of_function(frame, "final", 8.0)
    assert seen.mean == pytest.approx([3**0.5, 5**0.5])
    assert seen.low == pytest.approx([1.0, 2.0])
    assert seen.high == pytest.approx([3.0, 2.5])
    figure = final_values.draw(frame)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "each of two seeds" in said
    assert "95 % interval" not in said


def test_three_have_an_interval_of_logarithms_where_the_scale_is():
    frame = observed([[1.0, 10.0, 100.0]])
    seen = intervals.of_function(frame, "final", 8.0)
    half = 4.302652729911275 / 3**0.5  # Student's t with two degrees of freedom
    assert seen.mean == pytest.approx([10.0])
    assert np.log10(seen.low) == pytest.approx([1 - half])
    assert np.log10(seen.high) == pytest.approx([1 + half])
    assert (seen.low > 0).all()


def test_one_observation_has_nothing_around_it():
    frame = observed([[1.0], [2.0]])
    assert np.isnan(intervals.arithmetic(frame, "final").low).all()
    assert intervals.explained(frame) == []


def crosses(figure: Figure) -> list[tuple[float, float]]:
    return [
        (float(x), float(y))
        for axis in figure.axes
        for line in axis.lines
        if line.get_marker() == "x"
        for x, y in np.asarray(line.get_xydata())[:1]
    ]


@pytest.mark.parametrize("draw", [final_values.draw, gap_to_bp.draw])
def test_two_that_diverge_in_one_dimension_are_both_seen(draw):
    methods = [("bp", None), ("frog", 2), ("frog", 4), ("fg-mean", 2)]
    frames = []
    for gradient, k in methods:
        frame = observed([[1.0, 2.0, 3.0]] * 2).assign(gradient=gradient, k=k)
        if k == 2:
            lost = [
                name for name in frame.columns if name.endswith(("_mean", "_std", "_low", "_high"))
            ]
            frame.loc[1, lost] = np.nan
            frame.loc[1, [name for name in lost if name.endswith("_mean")]] = np.inf
        frames.append(frame.astype({"k": "Int64"}))
    figure = draw(pd.concat(frames, ignore_index=True))
    found = crosses(figure)
    assert len(found) == 2
    assert abs(found[0][1] - found[1][1]) > 0.05
    assert "a seed diverged" in [text.get_text() for text in figure.legends[0].get_texts()]


def curve(values: list[float], k: int) -> pd.DataFrame:
    known = np.array(values)
    logs = np.log10(known)
    ends = {
        f"{name}_{side}": of
        for name, of in (("value", known), ("log_gap", logs))
        for side in ("mean", "low", "high")
    }
    frame = pd.DataFrame({"step": range(len(values)), **ends})
    frame = frame.assign(value_std=0.0, log_gap_std=0.0, count=3, function="sphere", n=8)
    frame = frame.assign(gradient="frog", k=k, minimum=0.0, degenerate=False)
    return frame.astype({"k": "Int64"})


def test_a_curve_that_diverges_ends_in_a_cross_and_stretches_no_axis():
    calm, wild = curve([4.0, 1.0, 0.5, 0.2], 2), curve([4.0, 9.0, 1e15, np.inf], 4)
    figure = descent_curves.draw(pd.concat([calm, wild]))
    (axis,) = figure.axes
    assert 4 < axis.get_ylim()[1] < 400
    ((step, value),) = crosses(figure)
    assert step < 2
    assert axis.get_ylim()[0] < value <= axis.get_ylim()[1]


def test_methods_differ_without_colour():
    looks = [
        (style.marker(k), str(style.line_of(gradient)))
        for gradient in ("fg-mean", "frog")
        for k in (1, 2, 4, 8, 16, 64)
    ]
    assert len(set(looks)) == len(looks)


def test_lines_upon_each_other_are_named():
    lines = {("projection", False): np.array([1.0, 0.5]), ("mean", False): np.array([0.9, 0.3])}
    lines[("sum", False)] = lines["mean", False] * 1.001
    assert aggregations.coinciding(lines) == [[("mean", False), ("sum", False)]]


@pytest.mark.long
def test_the_gain_is_that_of_cosines_of_the_same_tangents():
    """The delta method against the deviation of the ratio over repetitions."""
    rng = np.random.default_rng(0)
    repeats = []
    for _ in range(400):
        common = rng.normal(0, 0.1, 200)
        p, m = 0.6 + common, 0.4 + common / 2 + rng.normal(0, 0.02, 200)
        rows = []
        for name, cosine in (("projection", p), ("mean", m)):
            row = {
                "aggregation": name,
                "cosine_mean": cosine.mean(),
                "cosine_std": cosine.std(ddof=1),
            }
            rows.append(row | {"margin_std": (p - cosine).std(ddof=1)})
        repeats.append(
            gain.ratios(pd.DataFrame(rows).assign(n=8, k=2, count=200, normalized=False))
        )
    found = pd.concat(repeats)
    assert found["gain_mean"].mean() == pytest.approx(1.5, rel=0.01)
    assert found["gain_std"].mean() / 200**0.5 == pytest.approx(found["gain_mean"].std(), rel=0.1)


def test_how_far_behind_and_expected_quality(tmp_path):
    paths = []
    for gradient, k in (("bp", None), ("frog", 2)):
        paths.append(str(tmp_path / f"{gradient}.parquet"))
        run = dict[str, Any](function="sphere", n=8, gradient=gradient, k=k, lr=0.02, steps=20)
        jobs.carry_out(FunctionRun(**run, seeds=(0, 1, 2)), paths[-1])
    frame = summary.functions(paths)
    (row,) = gap_to_bp.behind(frame).to_dict("records")
    left = frame.set_index("gradient")["log_left_mean"]
    assert row["behind_mean"] == pytest.approx(left["frog"] - left["bp"])
    assert row["behind_std"] == pytest.approx(frame["log_left_std"].iloc[1])
    cosine = quality_predicts.expected(frame).set_index("gradient")["cosine"]
    assert cosine["bp"] == 1
    assert cosine["frog"] == pytest.approx(16 / 35)  # √B of Beta(1, 3), on average


def test_every_choice_of_the_configuration_is_known():
    fields = FiguresSection.model_fields
    assert set(get_args(fields["palette"].annotation)) == look.PALETTES.keys()
    assert set(get_args(fields["font"].annotation)) == look.FONTS.keys()
    assert {f".{one}" for one in ("pdf", "png", "svg")} == files.KEYS.keys()
    own = FiguresSection().model_dump(exclude={"formats"})
    assert look.Look(**own) == look.Look()


@pytest.mark.parametrize("palette", look.PALETTES)
def test_figures_follow_the_look(palette, tmp_path):
    frame = observed([[1.0, 2.0, 3.0]] * 3)
    look.use(look.Look(column_width=3.25, font_size=10, font="serif", palette=palette))
    figure = final_values.draw(frame)
    assert figure.get_figwidth() == 3.25
    files.save(figure, [str(tmp_path / "f.pdf")])
    assert b"STIXGeneral" in (tmp_path / "f.pdf").read_bytes()
    assert figure.axes[0].xaxis.label.get_fontsize() == 10
    assert to_rgb(look.PALETTES[palette][2]) == look.colour("frog")
    box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
    assert box.x0 > -0.02
    assert box.x1 < width + 0.02
    assert box.y1 < height + 0.02


def test_files_say_what_they_show(tmp_path):
    run = FunctionRun(function="sphere", n=2, gradient="bp", lr=0.1, steps=3, seeds=(0, 1))
    result, path = str(tmp_path / "r.parquet"), str(tmp_path / "functions.parquet")
    done = jobs.carry_out(run, result)
    asked = identity.Asked(result, "fgrad.options.functions:FunctionRun", {}, (done.facts["code"],))
    known = identity.record([asked.plain()], "code")
    assert known["made_of"] == identity.made_of([asked.plain()], "code")
    assert known["runs"] == 1
    assert known["commits"] == [parquet.provenance(result)["commit"] or "unknown"]
    assert known["options"]["seeds"] == [[0, 1]]
    assert known["options"]["function"] == ["sphere"]
    summary.write(summary.functions([result]), path, known)
    paths = [tmp_path / f"final_values.{kind}" for kind in ("png", "pdf", "svg")]
    files.save(final_values.draw(parquet.read(path)), map(str, paths), shows=files.shown([path]))
    with Image.open(paths[0]) as image:
        text = image.info
    assert text["Title"] == "final_values"
    said = (known["made_of"], known["commits"][0])
    assert all(part in text["Source"] for part in said)
    assert '"function": ["sphere"]' in text["Description"]
    for other in paths[1:]:
        content = other.read_text(encoding="latin-1").replace("\\", "")
        assert all(part in content for part in ("final_values", *said))
        assert re.search(r'(&quot;|")function(&quot;|"): \[(&quot;|")sphere', content)
    assert b"CreationDate" not in paths[1].read_bytes()


def test_many_values_of_an_option_are_counted(tmp_path):
    asked = []
    for i in range(identity.MANY + 1):
        path = str(tmp_path / f"{i}.parquet")
        run = FunctionRun(function="sphere", n=2, gradient="bp", lr=0.1 + i, steps=1, seeds=(0,))
        jobs.carry_out(run, path)
        asked.append(identity.Asked(path, "", {}, (None,)).plain())
    options = identity.record(asked)["options"]
    assert options["lr"] == "17 values"
    assert options["n"] == [2]


def test_a_figure_is_drawn_without_seaborn():
    code = "import sys; from fgrad.paper.figures import final_values; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"seaborn", "torch"} & set(done.stdout.split())
