"""`make`: what cannot be set up is refused before anything is downloaded or written."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    # whatever comes after the checks is left out
    command = ["make", f"PYTHON={sys.executable}", "VENV=new", "RUN=:", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)} | environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    "name", ["co:lon", 'quo"te', "dol$HOME", "back`tick", "back\\slash", "a\tb"]
)
def test_a_folder_in_which_no_environment_works_is_refused(name, tmp_path):
    done = make(tmp_path / name, "new/.ready")
    assert done.returncode != 0
    line, _ = done.stderr.splitlines()  # the last one is make's own
    assert line.startswith(f"fgrad cannot be set up in {str(tmp_path / name)!r}: ")
    assert not (tmp_path / name / "new").exists()


@pytest.mark.long
@pytest.mark.parametrize("name", ["with space", "[br](a){ck}et;s", "per%20#&'ünï✓"])
def test_in_any_other_it_is_set_up(name, tmp_path):
    done = make(tmp_path / name, "new/.ready")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / name / "new/.ready").exists()


def test_a_home_folder_that_cannot_be_written(tmp_path):
    for home, expected in ((str(tmp_path), ""), ("/proc/nowhere", str(tmp_path / "new/cache"))):
        show = "show: ; @echo $$XDG_CACHE_HOME\n"
        done = make(tmp_path, "--silent", "--eval", show, "show", HOME=home)
        assert done.stdout.strip() == expected
