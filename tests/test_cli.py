"""The command line, as a user calls it."""

import os
import subprocess
import sys

import numpy as np
import pytest

from fgrad.experiments import descent, quality
from fgrad.options.functions import FunctionRun
from fgrad.options.quality import QualityRun
from fgrad.store import parquet, schemas

pytestmark = pytest.mark.long


def fgrad(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-W", "error", "-c", "from fgrad.cli import main; main()"]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_descend(tmp_path):
    path = tmp_path / "run.parquet"
    done = fgrad(
        *[
            "descend",
            "--function",
            "sphere",
            "--n",
            "64",
            "--gradient",
            "frog",
            "--k",
            "16",
            "--lr",
            "0.01",
        ],
        *f"--seeds 0 1 2 --steps 30 --output {path}".split(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "seed 0: completed after 30 steps"
    run = FunctionRun(
        function="sphere", n=64, gradient="frog", k=16, lr=0.01, seeds=(0, 1, 2), steps=30
    )
    expected = np.concatenate(descent.descend(run).values)
    np.testing.assert_array_equal(parquet.read(path)["value"], expected.astype(float))


def test_train(tmp_path):
    path = tmp_path / "run.parquet"
    done = fgrad(
        *[
            "train",
            "--model",
            "fc",
            "--width",
            "32",
            "--dataset",
            "mnist5k",
            "--gradient",
            "frog",
            "--k",
            "4",
            "--lr",
            "0.1",
        ],
        *f"--seed 1 --epochs 1 --perturb activations --mode sim --device cpu --output {path}".split(),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "completed after 1 epochs"
    assert [line for line in done.stderr.splitlines() if " epoch 1/1: train " in line]
    frame = parquet.read(path)
    assert list(frame.columns) == list(schemas.NETWORKS)
    assert frame["epoch"].tolist() == [0, 1]
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--dataset mnist", "fgrad: data set mnist needs data_dir, the folder of its published files"),
        ("--dataset mnist --data-dir .", "train-images-idx3-ubyte.gz (and 3 more) not found in ."),
        ("--dataset imagenet", "unknown dataset; allowed: mnist, fashion-mnist"),
        ("--device cuda:99", "fgrad: device = 'cuda:99': no such GPU here; there are cpu"),
        ("--perturb weights --tangents explicit --k 10000000", "10,000,000 explicit tangents of n = 269,322 take 10,772,880,000,000 bytes"),
        ("--tangents exact", "sampling exact needs perturb weights"),
        ("--epochs -1", "epochs = -1"),
    ],
)  # fmt: skip
def test_wrong_training(tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    given = [
        "train",
        "--model",
        "fc",
        "--gradient",
        "frog",
        "--k",
        "4",
        "--lr",
        "0.1",
        "--output",
        "run.parquet",
    ]
    done = fgrad(*given, *arguments.split())
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


FOR_DESCENT = "--k 4 --function sphere --n 8 --lr 0.05 --steps 20 --output run.parquet"
OWN = "import torch\n\n\ndef whole(f, x, k, generator):\n    return 2 * x\n\n\ndef half(v, d):\n    return d / 2\n"


@pytest.mark.parametrize(
    ("given", "approach"),
    [
        ("--gradient frog --tangents rademacher", {"aggregation": "projection", "sampler": "rademacher"}),
        ("--gradient fg-mean --sampler=basis", {"aggregation": "mean", "sampler": "basis"}),
        ("--gradient frog --scale --independent", {"aggregation": "projection", "scale": True, "independent": True}),
        ("--gradient mine --aggregation own.py:half", {"aggregation": "own.py:half"}),
        ("--gradient frog", {"aggregation": "projection"}),
        ("--gradient mine --estimator own.py:whole", {"aggregation": None, "estimator": "own.py:whole"}),
    ],
)  # fmt: skip
def test_whole_approaches(given, approach, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    done = fgrad("descend", *given.split(), *FOR_DESCENT.split())
    assert done.returncode == 0, done.stderr
    used = parquet.provenance(tmp_path / "run.parquet")["run"]["approach"]
    plain = {
        "sampler": "normal",
        "normalize": False,
        "independent": False,
        "scale": False,
        "max_length": 1.0,
    }
    assert used == plain | approach


def test_the_quality_of_an_approach(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    given = "--n 8 --k 2 4 --samples 5 --tangents rademacher --aggregation own.py:half --name signs"
    done = fgrad("measure", *given.split(), "--output", "q.parquet")
    assert done.returncode == 0, done.stderr
    frame = parquet.read(tmp_path / "q.parquet")
    assert set(frame["aggregation"]) == {"signs"}
    assert set(frame["k"]) == {2, 4}
    for given, message in (
        ("--tangents rademacher", "an approach needs an aggregation or an estimator"),
        ("--name signs", "approach and name go together"),
        ("--aggregation own.py:half --angle 30", "an approach is measured by method direct"),
    ):
        done = fgrad("measure", "--n", "8", *given.split(), "--output", "r.parquet")
        assert message in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--gradient nobody", "unknown gradient; allowed: bp, fg-mean, frog, or another name with an aggregation or estimator"),
        ("--gradient frog --tangents sobol", "unknown sampler; allowed: normal"),
        ("--gradient frog --estimator own.py:whole", "an estimator is a whole gradient: no aggregation"),
        ("--gradient mine --estimator own.py:none", "defines no none; it has torch, whole, half"),
        ("--gradient mine --estimator mean", "approach.estimator = 'mean'"),
        ("--gradient frog --max-length 2", "max_length 2.0 needs the sampler orthogonal"),
        ("--gradient mine --estimator own.py:whole --normalize", "normalize True needs an aggregation"),
    ],
)  # fmt: skip
def test_wrong_approaches(given, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.py").write_text(OWN)
    done = fgrad("descend", *given.split(), *FOR_DESCENT.split())
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "run.parquet").exists()


def test_measure(tmp_path):
    path = tmp_path / "q.parquet"
    done = fgrad(
        *[
            "measure",
            "--n",
            "64",
            "--k",
            "1",
            "4",
            "16",
            "--samples",
            "20",
            "--method",
            "direct",
            "--angle",
            "30",
        ],
        *f"--output {path}".split(),
    )
    assert done.returncode == 0, done.stderr
    run = QualityRun(n=(64,), k=(1, 4, 16), samples=20, angle=30.0)
    frame = parquet.read(path)
    assert (frame["angle_deg"] == 30).all()
    np.testing.assert_array_equal(frame["cosine"], quality.direct(run, 64).values[..., 5].ravel())


def test_measure_exact(tmp_path):
    path = tmp_path / "q.parquet"
    done = fgrad(
        *[
            "measure",
            "--n",
            "1000000000",
            "--k",
            "1024",
            "--samples",
            "50",
            "--method",
            "exact",
            "--normalized",
        ],
        *f"--output {path}".split(),
    )
    assert done.returncode == 0, done.stderr
    assert len(parquet.read(path)) == 150


@pytest.mark.parametrize("command", ["measure", "descend", "quality", "optimize"])
def test_help(command):
    done = fgrad(command, "--help")
    assert done.returncode == 0
    assert "--output" in done.stdout
    assert "section" in done.stdout


def test_forward_mode_warns_of_nothing_in_torch(tmp_path):
    done = fgrad(*f"descend {RUN} --steps 3 --mode fwad --output {tmp_path / 'r.parquet'}".split())
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("old", "new", "options"),
    [
        ("optimize", "descend", "--function sphere --n 4 --gradient frog --k 2 --lr 0.1 --steps 9"),
        ("quality", "measure", "--n 4 --samples 3"),
    ],
)
def test_a_command_by_its_old_name(tmp_path, old, new, options):
    """The same file, and a line that says what it is called now."""
    results = []
    for command in (old, new):
        path = tmp_path / f"{command}.parquet"
        done = fgrad(command, *options.split(), "--output", str(path))
        assert done.returncode == 0, done.stderr
        said = [line for line in done.stderr.splitlines() if "is now called" in line]
        assert said == ([f"fgrad: {old} is now called {new}"] if command == old else [])
        results.append(parquet.read(path))
    assert results[0].equals(results[1])


RUN = "--function sphere --n 4 --gradient frog --k 2 --lr 0.1"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (
            f"descend {RUN.replace('sphere', 'cube')}",
            "fgrad: function = 'cube': unknown function; a",
        ),
        (
            f"descend {RUN.replace('frog', 'toad')}",
            "fgrad: gradient = 'toad': unknown gradient; allowed: bp, fg-mean, f",
        ),
        (
            f"descend {RUN.replace('0.1', '-1')}",
            "fgrad: lr = -1.0: Input should be greater than 0",
        ),
        (
            f"descend {RUN.replace('0.1', 'nan')}",
            "fgrad: lr = nan: Input should be a finite number",
        ),
        (
            f"descend {RUN.replace('--k 2', '--k 0')}",
            "fgrad: k = 0: Input should be greater than or",
        ),
        (f"descend {RUN} --seeds", "fgrad: seeds = (): Tuple should have at least 1 item"),
        (f"descend {RUN} --angle 200", "fgrad: angle.0 = 200.0: Input should be less than 180"),
        ("measure --n 0", "fgrad: n.0 = 0: Input should be greater than or equal to 1"),
        (
            "measure --n 4 --method exact --normalized mean",
            "fgrad: method exact knows normal tangents",
        ),
        (
            "measure --n 4 --aggregations best",
            "fgrad: aggregations.0 = 'best': unknown aggregation",
        ),
    ],
)
def test_wrong_input_is_one_line(tmp_path, arguments, expected):
    done = fgrad(*arguments.split(), "--output", str(tmp_path / "run.parquet"))
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    assert expected in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [f"descend {RUN}", "measure --n 4"])
def test_output_that_cannot_be_written(tmp_path, arguments):
    (tmp_path / "file").touch()
    done = fgrad(*arguments.split(), "--output", str(tmp_path / "file" / "run.parquet"))
    assert done.returncode != 0
    assert "file is a file; a folder that can be written is needed" in done.stderr
    assert len(done.stderr.splitlines()) == 1


ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def test_a_locale_that_knows_no_degrees(tmp_path, monkeypatch):
    for name, value in ASCII.items():
        monkeypatch.setenv(name, value)
    run = RUN.replace("--gradient frog", "--gradient frog --angle 90")
    done = fgrad(*f"descend {run} --steps 1 --output {tmp_path / 'r.parquet'}".split())
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("seed 0 angle 90?: ")


@pytest.mark.parametrize("name", ["é.parquet", "é/r.parquet"])
def test_a_name_that_the_locale_cannot_write(name, tmp_path, monkeypatch):
    for key, value in ASCII.items():
        monkeypatch.setenv(key, value)
    done = fgrad(*f"descend {RUN} --output {tmp_path / name}".split())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("fgrad: '")
    assert "no UTF-8; choose another folder or name" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [b"\xe9.parquet", b"\xe9/r.parquet"])
def test_a_name_that_is_no_text(name, tmp_path):
    done = fgrad(
        *f"descend {RUN} --output".split(), os.fsdecode(os.fsencode(tmp_path) + b"/" + name)
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"fgrad: '{tmp_path}/")
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_is_no_output(tmp_path):
    done = fgrad(*f"descend {RUN} --output {tmp_path}".split())
    assert done.returncode != 0
    assert "a folder; a file name is needed" in done.stderr


def test_an_unknown_option_is_named(tmp_path):
    done = fgrad(*f"descend {RUN} --momentum 0.9 --output {tmp_path / 'x'}".split())
    assert done.returncode != 0
    assert "--momentum" in done.stderr
    assert "Traceback" not in done.stderr


SEARCH = "search functions --function sphere --n 8 --gradient frog --k 2 --steps 40 --repeats 2"


def test_search(tmp_path):
    output = tmp_path / "sphere"
    done = fgrad(*f"{SEARCH} --evaluations 12 --seed 0 --output {output}".split())
    assert done.returncode == 0, done.stderr
    assert {path.name for path in output.iterdir()} == {
        "learning_rates.csv", "trials.parquet", "search.pdf", "search.png",
    }  # fmt: skip
    rate = parquet.provenance(output / "trials.parquet")["found"]["lr"]
    assert (output / "learning_rates.csv").read_text() == (
        f"function,n,gradient,k,lr\nsphere,8,frog,2,{rate:.6g}\n"
    )
    assert done.stdout.startswith(f"learning rate {rate:g}, loss ")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--evaluations 0", "evaluations = 0"),
        ("--range 1 0.1", "range = (1.0, 0.1): the first bound must be below the second"),
        ("--range 1e3 1e4 --evaluations 4", "fgrad: function sphere, n 8, gradient frog, k 2: range = [1000, 10000]: all 2 rates diverge"),
        ("--function spear", "unknown function; allowed: sphere"),
    ],
)  # fmt: skip
def test_wrong_search(tmp_path, arguments, message):
    done = fgrad(*SEARCH.split(), *arguments.split(), "--output", str(tmp_path / "out"))
    assert done.returncode != 0
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out/trials.parquet").exists()


def test_a_search_into_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    done = fgrad(*SEARCH.split(), "--output", str(tmp_path / "file"))
    assert "file': a file; a folder is needed" in done.stderr
    assert (tmp_path / "file").read_text() == "mine"
