"""Figures are the same bytes whatever the user has set for matplotlib, the shell and Python."""

import os
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

DRAW = """
from fgrad.paper.figures import forward_gradient, projection, style

figure, stacks = style.stacks([("one\\nof two", None), ("two", None)], 1.5, "loss")
for (axis,) in stacks:
    axis.plot([1, 1e4], [0.25, 1234.5], color=style.colour("frog", 4), marker=style.marker(4))
    style.log2_ticks(axis, 1e4)
style.legend(figure, [("frog", 4), ("bp", None)], columns=2)
for name, drawn in (("p", projection.draw()), ("f", forward_gradient.draw()), ("s", figure)):
    style.save(drawn, f"{name}.pdf", f"{name}.png", note="said above")
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
    images = sorted(path for path in folder.iterdir() if path.suffix in (".pdf", ".png"))
    assert len(images) == 6
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in images}


@pytest.fixture(scope="module")
def plain(tmp_path_factory) -> dict[str, str]:
    return drawn(tmp_path_factory.mktemp("plain"), {})


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


@pytest.mark.parametrize("where", ["folder", "MATPLOTLIBRC", "MPLCONFIGDIR"])
def test_the_users_settings(where, plain, tmp_path):
    (tmp_path / "matplotlibrc").write_text(SETTINGS)
    work = tmp_path if where == "folder" else tmp_path / "work"
    work.mkdir(exist_ok=True)
    assert drawn(work, {} if where == "folder" else {where: str(tmp_path)}) == plain


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
