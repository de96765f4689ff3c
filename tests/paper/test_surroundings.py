"""Figures are the same bytes whatever the user has set for matplotlib, the shell and Python."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

DRAW = """
from fgrad.paper.figures import files, forward_gradient, look, projection, style

figure, stacks = style.stacks([("one\\nof two", None), ("two", None)], 1.5, "loss")
for (axis,) in stacks:
    axis.plot([1, 1e4], [0.25, 1234.5], **style.drawn("frog", 4))
    style.log_ticks(axis, [1, 1e4])
style.legend(figure, [("frog", 4), ("bp", None)])
for name, drawn in (("p", projection.draw()), ("f", forward_gradient.draw()), ("s", figure)):
    files.save(drawn, [f"{name}.{kind}" for kind in ("pdf", "png", "svg")], note="said above")
"""

SETTINGS = """
text.usetex: True
axes.facecolor: black
savefig.facecolor: black
savefig.bbox: tight
figure.dpi: 300
font.family: serif
font.sans-serif: DejaVu Serif
axes.prop_cycle: cycler(color=['r'])
axes.formatter.use_locale: True
lines.dashed_pattern: 9, 9
path.simplify: False
pdf.compression: 0
backend: TkAgg
no.such.key: 1
"""


def drawn(folder: Path, environment: dict[str, str]) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", DRAW],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    images = sorted(path for path in folder.iterdir() if path.suffix in (".pdf", ".png", ".svg"))
    assert len(images) == 9
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in images}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, str]:
    return drawn(tmp_path_factory.mktemp("plain"), {})


@pytest.mark.long
@pytest.mark.parametrize(
    "environment",
    [
        {"MPLBACKEND": "module://matplotlib_inline.backend_inline"},
        {"MPLBACKEND": "nonsense"},
        {"MPLCONFIGDIR": "/proc/nowhere", "HOME": "/proc/nowhere", "TMPDIR": "/nowhere"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONHASHSEED": "7"},
        {"TZ": "Asia/Tokyo", "SOURCE_DATE_EPOCH": "1", "COLUMNS": "3", "NO_COLOR": "1"}
        | {"FREETYPE_PROPERTIES": "truetype:interpreter-version=35", "OMP_NUM_THREADS": "3"},
    ],
    ids=lambda environment: next(iter(environment)),
)
def test_the_environment(environment, plain, tmp_path):
    assert drawn(tmp_path, environment) == plain


@pytest.mark.long
@pytest.mark.parametrize("where", ["folder", "MATPLOTLIBRC", "MPLCONFIGDIR"])
def test_the_users_settings(where, plain, tmp_path):
    (tmp_path / "matplotlibrc").write_text(SETTINGS)
    work = tmp_path if where == "folder" else tmp_path / "work"
    work.mkdir(exist_ok=True)
    assert drawn(work, {} if where == "folder" else {where: str(tmp_path)}) == plain


SEARCH = "search functions --function sphere --n 2 --gradient bp --seed 0 --evaluations 4 --output"


@pytest.mark.long
def test_a_search_draws_the_same(tmp_path):
    """Its figure is the last thing it makes, and all that it has computed is there by then."""
    (tmp_path / "matplotlibrc").write_text(SETTINGS)
    around = {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "LC_ALL": "C"}
    for name, folder, environment in (("plain", "/", {}), ("hostile", tmp_path, around)):
        command = [sys.executable, "-m", "fgrad", *SEARCH.split(), str(tmp_path / name)]
        subprocess.run(command, cwd=folder, env=os.environ | environment, check=True)
    for name in ("search.pdf", "search.png", "learning_rates.csv"):
        first, second = ((tmp_path / one / name).read_bytes() for one in ("plain", "hostile"))
        assert first == second, name


def test_settings_that_are_no_text_are_refused_before_anything_is_searched(tmp_path):
    (tmp_path / "matplotlibrc").write_bytes(b"\xff\xfe")
    command = "search functions --function sphere --n 2 --gradient bp --seed 0 --output found"
    done = subprocess.run(
        [sys.executable, "-c", "from fgrad import cli; cli.main()", *command.split()],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("fgrad: ")]
    assert "(matplotlibrc) cannot be read" in line
    assert "Traceback" not in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["matplotlibrc"]
