"""Figures: every one draws what it is given, in one set of colours; looks are for eyes."""

from itertools import combinations
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgb

from fgrad import jobs
from fgrad.options.functions import FunctionRun
from fgrad.options.quality import QualityRun
from fgrad.paper import summary
from fgrad.paper.contents import FIGURES
from fgrad.paper.figures import files, look, style
from fgrad.store import parquet, schemas

TRAINED = [("bp", None), ("fg-mean", 1), ("fg-mean", 2), ("fg-mean", 16)]
TRAINED += [("frog", 2), ("frog", 16), ("mine", 2)]
TRAINING = {"fc_training": "fc_curves", "sota_training": "sota_curves"}
TIMES = ("fc_time", "sota_time")
OBSERVED = ("mean", "std", "low", "high", "min", "max", "loss", "accuracy")
UNKNOWN = [
    ("gradient", "mine", np.nan), ("gradient", "mine", np.inf), ("gradient", "bp", np.nan),
    ("model", "vit", np.inf), ("n", 16, np.nan),
]  # fmt: skip
TANGENTS = {name: FIGURES[name].of for name in ("fc_tangents", "sota_tangents", *TIMES)}


@pytest.fixture(scope="module")
def summaries(tmp_path_factory) -> dict[str, pd.DataFrame]:
    """Real summaries of small runs, a diverging one and an unknown gradient among them."""
    folder = tmp_path_factory.mktemp("runs")

    def path(name: str) -> str:
        return str(folder / f"{name}.parquet")

    jobs.carry_out(QualityRun(n=(1, 4, 16), k=(1, 4), samples=20), path("q"))
    exact = dict[str, Any](n=(4, 10**9), k=(1, 4), samples=20, method="exact", normalized=())
    jobs.carry_out(QualityRun(**exact), path("e"))
    for alpha in (30.0, 90.0):
        jobs.carry_out(QualityRun(n=(16,), k=(4,), samples=20, angle=alpha), path(f"a{alpha:g}"))
    runs, angles = [], []
    own = {"aggregation": "max", "sampler": "rademacher"}
    for function in ("sphere", "styblinski-tang"):
        for n in (2, 16):
            for gradient, k, approach in (("bp", None, None), ("frog", 2, None), ("mine", 2, own)):
                lr = 50.0 if gradient == "mine" and n == 16 else 0.01
                run = dict[str, Any](function=function, n=n, gradient=gradient, k=k, lr=lr)
                runs.append(path(f"{function}{n}{gradient}"))
                run |= {"seeds": (0, 1), "steps": 30, "approach": approach}
                jobs.carry_out(FunctionRun(**run), runs[-1])
    for gradient in ("fg-mean", "frog"):
        run = dict[str, Any](function="styblinski-tang", n=16, gradient=gradient, k=4, lr=0.01)
        angles.append(path(f"angle{gradient}"))
        jobs.carry_out(FunctionRun(**run, seeds=(0, 1), steps=30, angle=(30.0, 90.0)), angles[-1])
    nets: dict[str, list[tuple[tuple[str, int | None, str], Path]]] = {
        "fc": [(("fc", 16, "mnist5k"), folder), (("fc", 64, "mnist5k"), folder)],
        "sota": [((model, None, "cifar10"), folder) for model in ("resnet18", "vit", "own")],
    }
    fc, sota = ([file for net in part for file in trained(*net)] for part in nets.values())
    return {
        "fc": summary.networks(fc),
        "fc_curves": summary.network_curves(fc),
        "sota": summary.networks(sota),
        "sota_curves": summary.network_curves(sota),
        "quality": summary.quality([path("q")]),
        "exact": summary.quality([path("e")]),
        "angle_quality": summary.quality([path("a30"), path("a90")]),
        "functions": summary.functions(runs),
        "curves": summary.curves(runs),
        "angle_curves": summary.curves(angles),
        "search_functions": pd.concat(
            searched(function=function, n=n, gradient=gradient, k=k, minimum=minimum)
            for function, minimum in (("sphere", 0.0), ("styblinski-tang", -80.0))
            for n in (2, 16)
            for gradient, k in (("bp", None), ("frog", 2), ("mine", 2))
        ),
        "search_angles": pd.concat(
            searched(gradient=gradient, k=16, angle_deg=angle, minimum=-80.0)
            for gradient, angle in (("fg-mean", 30.0), ("fg-mean", 90.0), ("frog", np.nan))
        ),
        **{
            f"search_{name}": pd.concat(
                searched(
                    **dict[str, Any](zip(style.NETWORK, network, strict=True)), gradient=g, k=k
                )
                for network, _ in networks
                for g, k in TRAINED
            )
            for name, networks in (("fc", nets["fc"]), ("sota", nets["sota"]))
        },
    }


def searched(minimum: float = 0.0, **row) -> pd.DataFrame:
    """A search of seven rates: the fourth is the best, the last diverges, the first was pruned."""
    loss = minimum + np.array([9.0, 8.0, 4.0, 1.0, 2.0, 7.0, np.inf])
    frame = pd.DataFrame({"lr": np.geomspace(1e-6, 1, 7), "loss": loss, "stop": "completed"})
    frame.loc[0, "stop"] = "pruned"
    constant = dict[str, Any](published=10**-2.5, minimum=minimum, start=minimum + 10, edge="")
    frame = frame.assign(selected=frame.index == 3, **constant, **row)
    return frame.astype({"k": "Int64"} | ({"width": "Int64"} if "width" in frame else {}))


def trained(network: tuple[str, int | None, str], folder: Path) -> list[str]:
    """Runs of a network: losses fall, frog with k = 16 stops early, mine diverges in epoch 3."""
    model, width, dataset = network
    paths = []
    for gradient, k in TRAINED:
        for seed in range(3):
            epoch = np.arange(4 if (gradient, k) == ("frog", 16) else 6)
            loss = 2.3 * (0.001 if k is None else 0.8) ** epoch * (1 + 0.01 * seed)
            if gradient == "mine":
                loss[3:] = np.nan
            accuracy: Any = 0.9 - 0.8 * np.exp(-epoch) + 0.01 * seed
            columns = dict.fromkeys(schemas.NETWORKS, accuracy)
            columns |= dict.fromkeys(("train_loss", "val_loss", "test_loss"), loss)
            columns |= {"experiment": "x", "model": model, "width": width, "dataset": dataset}
            columns |= {"gradient": gradient, "k": k, "lr": 0.1, "seed": seed, "epoch": epoch}
            seconds = 2.0 if k is None else 3.0 + k / 16
            columns |= {"train_seconds": np.where(epoch > 0, seconds, np.nan)}
            paths.append(str(folder / f"{model}{width}{dataset}{gradient}{k}{seed}.parquet"))
            stop = "diverged" if gradient == "mine" else "completed"
            parquet.write(paths[-1], schemas.NETWORKS, columns, run={"epochs": 5}, n=100, stop=stop)
    return paths


def draw(name: str, summaries: dict[str, pd.DataFrame], **changed: pd.DataFrame):
    figure = FIGURES[name]
    return resolve_name(figure.draws)(*((summaries | changed)[one] for one in figure.of))


@pytest.mark.long
@pytest.mark.parametrize("name", FIGURES)
def test_draws_and_saves(name, summaries, tmp_path):
    figure = draw(name, summaries)
    assert figure.get_size_inches()[0] in (look.column(), look.page())
    pdf, png = str(tmp_path / "figure.pdf"), str(tmp_path / "figure.png")
    files.save(figure, (pdf, png))
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
    figure = draw(name, summaries)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert "mine, $k$ = 2" in texts
    assert len(set(texts)) == len(texts)


@pytest.mark.long
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_known_of_one_method_or_panel(name, summaries, tmp_path):
    """All of its seeds diverged at the first step, say: the others are drawn."""
    for column, one, value in UNKNOWN:
        changed = {}
        for key in FIGURES[name].of:
            frame = summaries[key].copy()
            if column in frame and (own := frame[column] == one).any():
                what = [c for c in frame.select_dtypes("float") if c.rpartition("_")[2] in OBSERVED]
                what = [c for c in what if np.isnan(value) or "seconds" not in c]
                frame.loc[own, what] = value
                changed[key] = frame
        if changed:
            files.save(draw(name, summaries, **changed), (str(tmp_path / "figure.png"),))


def test_a_diverged_run_is_marked(summaries):
    figure = draw("final_values", summaries)
    assert any(line.get_marker() == "x" and len(line.get_xdata()) for line in figure.axes[0].lines)


@pytest.mark.parametrize("name", ["final_values", "descent_curves"])
def test_nothing_but_degenerate_runs(name, summaries):
    only = {key: frame.assign(degenerate=True) for key, frame in summaries.items()}
    figure = draw(name, only)
    assert figure.texts[0].get_text() == "nothing to show at this scale"


@pytest.mark.parametrize("name", ["quality", "extension", "aggregations", "angle_quality"])
def test_one_aggregation_alone(name, summaries):
    only = {
        key: frame[frame["aggregation"] == "projection"] if "aggregation" in frame else frame
        for key, frame in summaries.items()
    }
    assert draw(name, only).axes


@pytest.mark.long
def test_equal_figures_are_equal_files(summaries, tmp_path):
    paths = []
    for i in range(2):
        (tmp_path / str(i)).mkdir()
        paths.append([str(tmp_path / f"{i}/figure.{kind}") for kind in ("pdf", "png", "svg")])
        files.save(draw("quality", summaries), paths[-1])
    for first, second in zip(*paths, strict=True):
        assert Path(first).read_bytes() == Path(second).read_bytes()


def test_one_colour_for_a_method_everywhere():
    assert look.colour("frog", 4) == look.colour("projection", 4)
    assert look.colour("fg-mean", 4) == look.colour("mean", 4)
    assert look.colour("bp") == to_rgb("black")


def luminance(colour: tuple[float, float, float]) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
    return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))


def test_more_tangents_are_darker():
    for method in ("frog", "fg-mean"):
        shades = [luminance(look.colour(method, k)) for k in (1, 2, 4, 16, 64, 1024)]
        assert shades == sorted(shades, reverse=True)


def test_families_differ_for_the_colour_blind():
    """Distance in simulated deuteranopia (Machado et al. 2009, severity 1), linear RGB."""
    seen = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    families = [look.BLACK, look.BLUE, look.VERMILLION, look.AMBER]
    for a, b in combinations(families, 2):
        assert np.linalg.norm(seen @ (np.array(to_rgb(a)) - to_rgb(b))) > 0.2


def lines(axis, colour) -> list:
    """Curves of a colour, without crosses and dots, and what is around them."""
    found = [line for line in axis.lines if np.allclose(to_rgb(line.get_color()), colour)]
    return [
        one for one in found if one.get_linestyle() in ("-", "--") and one.get_linewidth() > 0.8
    ]


def crosses(axis) -> list:
    return [line for line in axis.lines if line.get_marker() == "x" and len(line.get_xdata())]


def titles(figure) -> list[str]:
    return [axis.get_title() for axis in figure.axes if axis.get_title()]


@pytest.mark.parametrize(("name", "source"), TRAINING.items())
def test_training_has_a_column_for_each_network(name, source, summaries):
    figure, frame = draw(name, summaries), summaries[source]
    networks = style.networks(frame)
    assert len(figure.axes) == 2 * len(networks)
    assert titles(figure) == [title for title, _ in networks]
    labels = [axis.get_ylabel() for axis in figure.axes if axis.get_ylabel()]
    assert labels == ["training loss", "validation accuracy (%)"]
    losses, accuracies = np.split(np.array(figure.axes), 2)
    for (_, part), loss, accuracy in zip(networks, losses, accuracies, strict=True):
        assert loss.get_yscale() == "log"
        assert accuracy.get_yscale() == "linear"
        assert accuracy.get_xlabel() == "epoch"
        for gradient, k in TRAINED:
            one = style.of(part, gradient, k)
            known = np.isfinite(one["train_loss_mean"])
            for axis, mean in (
                (loss, 10 ** one["log_train_loss_mean"]),
                (accuracy, 100 * one["val_accuracy_mean"]),
            ):
                (line,) = lines(axis, look.colour(gradient, k))
                assert line.get_xdata() == pytest.approx(one["epoch"])
                assert line.get_ydata() == pytest.approx(mean.where(known), nan_ok=True)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    methods = [style.label(gradient, k) for gradient, k in TRAINED]
    assert texts == [*methods, "95 % interval", "a seed diverged"]


def test_network_titles(summaries):
    titled = [title for title, _ in style.networks(summaries["fc"])]
    assert titled == [f"FC, width {width}\nMNIST, 5,000 digits" for width in (16, 64)]
    titled = [title for title, _ in style.networks(summaries["sota"])]
    assert titled == ["ResNet18\nCIFAR-10", "ViT\nCIFAR-10", "own\nCIFAR-10"]


def test_a_diverged_training_ends_in_a_cross(summaries):
    """In both rows, at the last epoch with a loss; a diverged network's accuracy is not drawn."""
    figure = draw("fc_training", summaries)
    for axis in figure.axes:
        (cross,) = crosses(axis)
        (line,) = lines(axis, look.colour("mine", 2))
        assert list(cross.get_xdata()) == [2]
        assert cross.get_ydata() == [line.get_ydata()[2]]
        assert np.isnan(line.get_ydata()[3:]).all()
    frame = summaries["fc_curves"]
    sound = draw("fc_training", summaries, fc_curves=frame[frame["gradient"] != "mine"])
    assert not [cross for axis in sound.axes for cross in crosses(axis)]


def test_few_epochs_are_whole_numbers(summaries):
    frame = summaries["fc_curves"]
    for last in (0, 1, 2, 5):
        figure = draw("fc_training", summaries, fc_curves=frame[frame["epoch"] <= last])
        figure.draw_without_rendering()
        assert all(tick == round(tick) for axis in figure.axes for tick in axis.get_xticks())


def test_the_loss_of_bp_does_not_flatten_the_others(summaries):
    """It falls to 1e-15, but the axis ends two decades below the forward gradients."""
    figure, frame = draw("fc_training", summaries), summaries["fc_curves"]
    forward = frame.loc[frame["k"].notna(), "train_loss_mean"].min()
    for axis in figure.axes[:2]:
        bottom, top = axis.get_ylim()
        assert forward / 200 < bottom < forward / 50
        assert 2.3 < top < 3
    exploded = frame.assign(log_train_loss_mean=9 + frame["log_train_loss_mean"])
    assert draw("fc_training", summaries, fc_curves=exploded).axes[0].get_ylim()[1] < 20


def test_an_interval_below_zero_stays_on_the_log_scale(summaries):
    """It is of logarithms: as far above the geometric mean as below it."""
    frame = summaries["fc_curves"]
    wide = frame[frame["k"].notna()].assign(log_train_loss_low=-3.0, train_loss_low=-1.0)
    axis = draw("fc_training", summaries, fc_curves=wide).axes[0]
    paths = [path.vertices for band in axis.collections for path in band.get_paths()]
    assert min(path[:, 1].min() for path in paths) == pytest.approx(1e-3)


def alone(frame: pd.DataFrame) -> pd.DataFrame:
    """As of one seed: without intervals."""
    bounds = [name for name in frame.columns if name.endswith(("_low", "_high", "_std"))]
    return frame.assign(count=1, **dict.fromkeys(bounds, np.nan))


@pytest.mark.long
@pytest.mark.parametrize("name", [*TRAINING, *TANGENTS])
def test_a_single_seed_and_a_single_network(name, summaries, tmp_path):
    """Narrow, without bands, but with every line; nothing beyond the page."""
    fc = {
        key: alone(frame[frame["width"] == 16])
        for key, frame in summaries.items()
        if key.startswith("fc")
    }
    sota = {
        key: alone(frame[frame["model"] == "vit"])
        for key, frame in summaries.items()
        if key.startswith("sota")
    }
    figure = draw(name, summaries | fc, **sota)
    assert figure.get_figwidth() == look.column()
    assert len(figure.axes) == (2 if name in TRAINING else 1)
    for axis in figure.axes:
        for gradient, k in TRAINED:
            assert lines(axis, look.colour(gradient, k if name in TRAINING else None))
    test_draws_and_saves(name, summaries | fc | sota, tmp_path)


def marks(axis, colour, filled: bool) -> list[tuple[float, float]]:
    """Where single markers of a colour stand."""
    return [
        tuple(line.get_xydata()[0])
        for line in axis.lines
        if np.allclose(to_rgb(line.get_color()), colour)
        and line.get_linestyle() == "None"
        and line.get_marker() not in ("x", "|")
        and (line.get_fillstyle() == "full") == filled
    ]


@pytest.mark.parametrize("name", ["search_functions", "search_fc", "search_sota"])
def test_searches_mark_what_was_selected_and_what_was_published(name, summaries):
    figure = draw(name, summaries)
    colour = look.colour("frog", 2)
    for axis in figure.axes:
        (curve,) = [line for line in lines(axis, colour) if len(line.get_xdata()) > 2]
        network = name != "search_functions"
        rates = np.geomspace(1e-6, 1, 7)[network:6]  # the last diverges, the first is pruned
        assert curve.get_xdata() == pytest.approx(rates)
        assert axis.get_xscale() == "log"
        (selected,) = marks(axis, colour, filled=True)
        assert selected == pytest.approx((1e-3, np.interp(-3, np.log10(rates), curve.get_ydata())))
        (published,) = marks(axis, colour, filled=False)
        assert published[0] == pytest.approx(10**-2.5)
        around = curve.get_ydata()[[list(rates).index(r) for r in rates if 9e-4 < r < 2e-2]]
        assert around.min() < published[1] < around.max()
        assert len(crosses(axis)) == (len(TRAINED) if network else 0)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts[-4:] == ["tried", "selected", "published", "diverged"]
    unknown = summaries[name].assign(published=np.nan)
    figure = draw(name, summaries, **{name: unknown})
    assert "published" not in [text.get_text() for text in figure.legends[0].get_texts()]
    assert not marks(figure.axes[0], colour, filled=False)


def test_found_and_published_rates_over_the_dimension(summaries):
    """A row for each gradient, so that no panel holds more lines than it has numbers of tangents."""
    figure = draw("found_rates", summaries)
    rows = np.array(figure.axes).reshape(3, 2)
    for row, method in zip(rows, [("bp", None), ("frog", 2), ("mine", 2)], strict=True):
        for axis in row:
            (line,) = lines(axis, look.colour(*method))
            assert len(axis.lines) == 2
            rate = pytest.approx(1e-3)
            assert line.get_xydata().tolist() == [[2.0, rate], [16.0, rate]]
            assert marks(axis, look.colour(*method), filled=False)[0][1] == pytest.approx(10**-2.5)


@pytest.mark.parametrize("name", ["search_functions", "found_rates", "search_fc", "search_sota"])
def test_searches_with_nothing_to_show(name, summaries):
    nothing = {key: f.iloc[:0] for key, f in summaries.items() if key.startswith("search_")}
    figure = draw(name, summaries | nothing)
    assert figure.texts[0].get_text() == "nothing to show at this scale"


@pytest.mark.parametrize(("name", "sources"), TANGENTS.items())
def test_tangents_have_a_panel_for_each_network(name, sources, summaries):
    figure = draw(name, summaries)
    networks = [one for source in sources for one in style.networks(summaries[source])]
    assert titles(figure) == [title for title, _ in networks]
    label = "time of an epoch / bp" if name in TIMES else "test accuracy (%)"
    assert {axis.get_ylabel() for axis in figure.axes} - {""} == {label}
    for (_, part), axis in zip(networks, figure.axes, strict=True):
        bp = style.of(part, "bp", None)
        value, unit = ("test_accuracy_mean", 100)
        if name in TIMES:
            value, unit = ("train_seconds_mean", 1 / bp["train_seconds_mean"].item())
        assert axis.get_xlabel() == "number of tangents $k$"
        (level,) = lines(axis, look.colour("bp"))
        assert level.get_ydata() == pytest.approx([unit * bp[value].item()] * 2)
        for gradient, ks in (("fg-mean", (1, 2, 16)), ("frog", (2, 16)), ("mine", (2,))):
            (line,) = lines(axis, look.colour(gradient))
            assert line.get_xdata() == pytest.approx(np.array(ks), rel=0.1)
            expected = unit * part.loc[part["gradient"] == gradient, value]
            assert line.get_ydata() == pytest.approx(expected)
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    methods = [style.label(name) for name in ("bp", "fg-mean", "frog", "mine")]
    assert texts == [*methods, "95 % interval"]


def test_the_projection_starts_at_the_single_tangent(summaries):
    def dashes(frame):
        axis = draw("fc_tangents", summaries, fc=frame).axes[0]
        (dashed,) = [line for line in axis.lines if line.get_linestyle() == ":"]
        ends = [lines(axis, look.colour(name))[0].get_xydata()[0] for name in ("fg-mean", "frog")]
        return dashed, ends

    dashed, ends = dashes(summaries["fc"])
    assert dashed.get_xydata() == pytest.approx(np.array(ends))
    assert to_rgb(dashed.get_color()) == look.colour("frog")
    frame = summaries["fc"]
    without = frame[~((frame["gradient"] == "fg-mean") & (frame["k"] == 1).fillna(False))]
    assert len(dashes(without)[0].get_xdata()) == 1  # too little for a line


def test_intervals_are_drawn(summaries):
    frame = summaries["fc"]
    figure = draw("fc_tangents", summaries)
    (bars,) = [
        bar
        for bar in figure.axes[0].collections
        if isinstance(bar, LineCollection)
        and np.allclose(np.array(bar.get_colors())[0, :3], look.colour("frog"))
    ]
    frog = frame[(frame["gradient"] == "frog") & (frame["width"] == 16)]
    drawn = np.array(bars.get_segments())[:, :, 1]
    assert drawn == pytest.approx(
        100 * frog[["test_accuracy_low", "test_accuracy_high"]].to_numpy()
    )


@pytest.mark.parametrize("count", [1, 2, 4, 5, 7])
def test_stacks_beside_each_other(count):
    figure, stacks = style.stacks([(str(i), pd.DataFrame()) for i in range(count)], 1.5, "a", "b")
    figure.draw_without_rendering()
    assert [stack[0].get_title() for stack in stacks] == [str(i) for i in range(count)]
    assert len(figure.axes) == 2 * count
    boxes = [[axis.get_position() for axis in stack] for stack in stacks]
    for index, (above, below) in enumerate(boxes):
        assert above.x0 == pytest.approx(below.x0)
        assert above.y0 > below.y1
        first = index % 4 == 0
        assert [axis.get_ylabel() for axis in stacks[index]] == (["a", "b"] if first else ["", ""])
        if not first:
            assert above.x0 > boxes[index - 1][0].x1
            assert above.y0 == pytest.approx(boxes[index - 1][0].y0)
        elif index:
            assert above.y1 < boxes[0][1].y0


@pytest.mark.parametrize("name", [*TRAINING, *TANGENTS])
def test_titles_do_not_overlap(name, summaries):
    figure = draw(name, summaries)
    figure.draw_without_rendering()
    boxes = [axis.title.get_window_extent() for axis in figure.axes if axis.get_title()]
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))


@pytest.mark.parametrize("name", [*TRAINING, *TANGENTS])
def test_no_networks(name, summaries):
    figure = draw(name, {key: frame.iloc[:0] for key, frame in summaries.items()})
    assert figure.texts[0].get_text() == "nothing to show at this scale"


def test_no_time_to_relate_to(summaries):
    """Without bp, or without an epoch of training, there is nothing to show of a network."""
    frame = summaries["fc"]
    for changed in (frame[frame["k"].notna()], frame.assign(train_seconds_mean=np.nan)):
        figure = draw("fc_time", summaries, fc=changed)
        assert figure.texts[0].get_text() == "nothing to show at this scale"
    some = frame[frame["k"].notna() | (frame["width"] == 16)]
    assert len(draw("fc_time", summaries, fc=some).axes) == 1
