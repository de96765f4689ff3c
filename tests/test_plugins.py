"""Files of the user's own that names refer to."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import fgrad
from fgrad import jobs, plugins
from fgrad.errors import ConfigError
from fgrad.experiments import descent
from fgrad.gradients import stateful
from fgrad.options.functions import FunctionRun
from fgrad.options.networks import TrainRun
from fgrad.store import fingerprint as fp
from fgrad.store import parquet
from fgrad.store.context import Context

GRADIENTS = '''
"""Own aggregations."""
import torch
import helpers
from fgrad.gradients.aggregation import mean as theirs

SCALE = 0.5


def halved(tangents, derivatives):
    """Half of the mean."""
    return SCALE * theirs(tangents, derivatives)


def helped(tangents, derivatives):
    return helpers.factor() * derivatives


def unused(tangents, derivatives):
    return derivatives
'''
HELPERS = "def factor():\n    return 0.25\n"


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Iterator[Path]:
    """The working directory, with files of the user's own."""
    (tmp_path / "mine.py").write_text(GRADIENTS)
    (tmp_path / "helpers.py").write_text(HELPERS)
    monkeypatch.chdir(tmp_path)
    plugins._in_use.forget()
    yield tmp_path
    plugins._in_use.forget()


def sources(folder: Path) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in ("mine.py", "helpers.py")}


def run(name: str = "halved", **changes) -> FunctionRun:
    values = dict[str, Any](function="sphere", n=4, gradient=name, k=2, lr=0.1, steps=5)
    return FunctionRun(**values | {"approach": {"aggregation": f"mine.py:{name}"}} | changes)


def test_in_python(folder):
    x = torch.tensor([1.0, 2.0, 3.0])
    given = x, 2, torch.Generator().manual_seed(0)
    own = fgrad.forward_gradient(
        lambda x: x.square().sum(-1), *given, fgrad.Approach("mine.py:halved")
    )
    given[2].manual_seed(0)
    theirs = fgrad.forward_gradient(lambda x: x.square().sum(-1), *given, "fg-mean")
    torch.testing.assert_close(own, theirs / 2)


def test_functions_themselves(folder):
    x, generator = torch.ones(3), torch.Generator().manual_seed(0)
    approach = fgrad.Approach(lambda v, d: d, lambda size, g, dtype: torch.eye(3, dtype=dtype))
    g = fgrad.forward_gradient(lambda x: x.square().sum(-1), x, 3, generator, approach)
    torch.testing.assert_close(g, 2 * x)


def test_a_run_carries_its_sources(folder, tmp_path):
    jobs.carry_out(run(), tmp_path / "halved.parquet")
    jobs.carry_out(run(approach={"aggregation": "mean"}), tmp_path / "mean.parquet")
    known = fgrad.provenance(tmp_path / "halved.parquet")
    assert known["sources"] == sources(folder)
    assert known["run"]["approach"]["aggregation"] == "mine.py:halved"
    assert "sources" not in fgrad.provenance(tmp_path / "mean.parquet")
    own, theirs = (
        parquet.read(tmp_path / f"{name}.parquet")["value"] for name in ("halved", "mean")
    )
    assert not np.allclose(own, theirs)


def test_where_the_files_are_not(folder, tmp_path, monkeypatch):
    """As on another machine, which is handed the texts."""
    jobs.carry_out(run("helped"), tmp_path / "here.parquet")
    handed = plugins.follow(run("helped").model_dump(mode="json"))
    plugins._in_use.forget()
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    with pytest.raises(ConfigError, match=re.escape("mine.py:helped: there is no file")):
        jobs.carry_out(run("helped"), elsewhere / "there.parquet")
    plugins.use(handed)
    jobs.carry_out(run("helped"), elsewhere / "there.parquet")
    here, there = (
        parquet.read(path) for path in (tmp_path / "here.parquet", elsewhere / "there.parquet")
    )
    assert here.equals(there)
    codes = [
        fgrad.provenance(p)["code"]
        for p in (tmp_path / "here.parquet", elsewhere / "there.parquet")
    ]
    assert codes[0] == codes[1]


def fingerprint_of(name: str) -> str:
    plugins.use(plugins.collect(f"mine.py:{name}", Path.cwd()))
    return fp.fingerprint(*run(name).code())


@pytest.mark.long
@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("mine.py", '"""Half of the mean."""', '"""Half."""', set()),
        ("mine.py", "    return SCALE", "    # a comment\n\n    return SCALE", set()),
        ("mine.py", "import torch\n", "", set()),
        ("mine.py", "def unused(tangents, derivatives):\n    return derivatives", "", set()),
        ("mine.py", "SCALE = 0.5", "SCALE = 0.25", {"halved"}),
        ("mine.py", "SCALE * theirs", "theirs", {"halved"}),
        ("mine.py", "import mean as theirs", "import sum_ as theirs", {"halved"}),
        ("mine.py", "helpers.factor() * derivatives", "2 * derivatives", {"helped"}),
        ("helpers.py", "0.25", "0.125", {"helped"}),
        ("helpers.py", "def factor", "def other():\n    return 1\n\n\ndef factor", set()),
    ],
)
def test_an_edit_makes_stale_what_it_changes(file, old, new, changed, folder):
    names = ("halved", "helped")
    before = {name: fingerprint_of(name) for name in names}
    text = (folder / file).read_text()
    assert old in text
    (folder / file).write_text(text.replace(old, new))
    assert {name for name in names if fingerprint_of(name) != before[name]} == changed


def test_an_edit_is_seen_by_the_same_process(folder):
    x, generator = torch.ones(3), torch.Generator()

    def estimate() -> torch.Tensor:
        plugins.use(plugins.collect("mine.py:helped", folder))
        approach = fgrad.Approach("mine.py:helped")
        return fgrad.forward_gradient(lambda x: x.sum(-1), x, 2, generator.manual_seed(0), approach)

    before = estimate()
    (folder / "helpers.py").write_text(HELPERS.replace("0.25", "0.5"))
    torch.testing.assert_close(estimate(), 2 * before)


@pytest.mark.parametrize(
    ("reference", "text", "message"),
    [
        ("gone.py:f", None, "gone.py:f: there is no file"),
        (
            "mine.py:gone",
            None,
            "defines no gone; it has torch, helpers, theirs, SCALE, halved, helped, unused",
        ),
        ("mine.py:", None, "a file and a name in it are needed"),
        ("mine.py:a.b", None, "a file and a name in it are needed"),
        ("my-file.py:f", None, "a file and a name in it are needed"),
        ("../mine.py:f", None, "the path must lead to a file below"),
        ("/etc/mine.py:f", None, "the path must lead to a file below"),
        ("bad.py:f", "def f(:\n", "bad.py, line 1: invalid syntax"),
        ("bad.py:f", "\0", "bad.py"),
        ("bad.py:f", "f = 1\n" + "#" * 10**6, "more than 1,000,000 bytes"),
        ("bad.py:f", b"\xff\xfe", "cannot be read"),
        ("folder.py:f", "folder", "cannot be read"),
    ],
)
def test_what_is_no_such_file(reference, text, message, folder):
    if text == "folder":
        (folder / "folder.py").mkdir()
    elif text is not None:
        (folder / "bad.py").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        plugins.collect(reference, folder)
    assert "\n" not in str(caught.value)


def test_a_link_out_of_the_folder(folder, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside") / "mine.py"
    outside.write_text(GRADIENTS)
    (folder / "link.py").symlink_to(outside)
    with pytest.raises(ConfigError, match="the path must lead to a file below"):
        plugins.collect("link.py:halved", folder)


def test_what_cannot_be_imported(folder):
    (folder / "bad.py").write_text("import torch\n\n1 / 0\n\n\ndef f(v, d):\n    return d\n")
    with pytest.raises(
        ConfigError, match=r"bad.py:f: cannot be imported: ZeroDivisionError: division by zero"
    ):
        jobs.carry_out(run(approach={"aggregation": "bad.py:f"}), folder / "r.parquet")


def test_two_files_of_one_name(folder):
    (folder / "inner").mkdir()
    (folder / "inner/mine.py").write_text("def other(v, d):\n    return d\n")
    with pytest.raises(ConfigError, match=r"mine.py: two files of this name"):
        plugins.merged(
            plugins.collect("mine.py:halved", folder),
            plugins.collect("inner/mine.py:other", folder),
        )


def test_nothing_is_imported_when_it_is_looked_for(folder):
    (folder / "bad.py").write_text("raise SystemExit\n\n\ndef f(v, d):\n    return d\n")
    assert list(plugins.collect("bad.py:f", folder)) == ["bad.py"]


def test_a_module_of_the_name_of_another(folder):
    """Which would be imported in its place."""
    (folder / "decimal.py").write_text(HELPERS)
    (folder / "mine.py").write_text(GRADIENTS.replace("helpers", "decimal"))
    import decimal  # noqa: F401  that it is there is asked

    with pytest.raises(
        ConfigError, match=r"mine.py:helped: decimal.py: another module is called decimal"
    ):
        plugins.load("mine.py:helped")


def test_own_modules_hide_no_others(folder):
    """A file of the name of an installed module, beside the plug-in and not imported by it."""
    (folder / "random.py").write_text("1 / 0")
    assert "random.py" not in plugins.collect("mine.py:halved", folder)


def test_an_own_model_and_data_set(folder):
    (folder / "nets.py").write_text(
        "import torch\nfrom torch import nn\nfrom fgrad.problems.datasets import Dataset\n\n\n"
        "def small(channels, size, classes):\n"
        "    return nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(size * size, 8), nn.ReLU()), nn.Linear(8, classes))\n\n\n"
        "def _read(folder):\n"
        "    labels = torch.arange(120) % 3\n"
        "    images = (labels[:, None, None, None] * 80 + torch.zeros(1, 1, 4, 4)).to(torch.uint8)\n"
        "    return {'train_images': images[:100], 'train_labels': labels[:100], 'test_images': images[100:], 'test_labels': labels[100:]}\n\n\n"
        "steps = Dataset(channels=1, size=4, mean=(0.3,), std=(0.3,), train=80, val=20, test=20, batch=16, classes=3, read=_read)\n"
    )
    run = TrainRun(model="nets.py:small", dataset="nets.py:steps", gradient="bp", lr=0.5, epochs=20)
    jobs.carry_out(run, folder / "r.parquet")
    frame = parquet.read(folder / "r.parquet")
    assert set(frame["model"]) == {"small"}
    assert set(frame["dataset"]) == {"steps"}
    assert frame["test_accuracy"].iloc[-1] == 1


BIASED = '''
import torch


class biased:
    """Tangents around the last estimate."""

    def __init__(self):
        self.last = None

    def __call__(self, size, generator, *, dtype):
        v = torch.randn(size, generator=generator, dtype=dtype)
        return v if self.last is None else v + 30 * self.last.to(dtype)

    def update(self, estimate):
        self.last = torch.nn.functional.normalize(estimate, dim=0)
'''


def cosines(sampler: str, folder: Path, n: int = 64, steps: int = 150) -> list[float]:
    """Of the estimates of a fixed gradient, step by step."""
    approach = stateful.begun(fgrad.Approach("projection", sampler))
    f, x, generator = (lambda x: x.sum(-1)), torch.zeros(n), torch.Generator().manual_seed(0)
    found = []
    for _ in range(steps):
        g = fgrad.forward_gradient(f, x, 2, generator, approach)
        stateful.told(approach, g)
        found.append(float(torch.cosine_similarity(g, torch.ones(n), dim=0)))
    return found


def test_a_sampler_that_keeps_state_learns(folder):
    (folder / "mine.py").write_text(BIASED)
    learned, fresh = cosines("mine.py:biased", folder), cosines("normal", folder)
    assert np.mean(learned[-50:]) > 2 * np.mean(fresh)


def test_what_diverges_is_no_error(folder):
    """Nor changes what is computed beside it; tangents that are not finite are one."""
    (folder / "mine.py").write_text(BIASED)
    task = run(
        "x", approach={"aggregation": "projection", "sampler": "mine.py:biased"}, n=4, steps=60
    )
    lost, sound = descent.descend_all(task, [50.0, 0.1], [0, 1])
    assert set(lost.stops) == {"diverged"}
    np.testing.assert_array_equal(
        descent.descend_all(task, [0.1], [0])[0].values[0], sound.values[0]
    )
    (folder / "mine.py").write_text(
        BIASED.replace("torch.nn.functional.normalize(estimate, dim=0)", "estimate / 0")
    )
    plugins._in_use.forget()
    with pytest.raises(ValueError, match="the sampler biased gave tangents that are not finite"):
        descent.descend_all(task, [0.1], [0])


def test_state_is_of_each_seed_and_rate(folder):
    """Whatever is computed beside it."""
    (folder / "mine.py").write_text(BIASED)
    task = run(
        "x", approach={"aggregation": "projection", "sampler": "mine.py:biased"}, n=16, steps=20
    )
    together = descent.descend_all(task, [0.1, 0.2], [0, 1])
    for i, lr in enumerate((0.1, 0.2)):
        for j, seed in enumerate((0, 1)):
            (alone,) = descent.descend_all(task, [lr], [seed])
            np.testing.assert_array_equal(alone.values[0], together[i].values[j])
    assert not np.array_equal(together[0].values[0], together[0].values[1])


@pytest.mark.long
@pytest.mark.parametrize("perturb", ["activations", "weights"])
def test_a_training_goes_on_with_what_its_sampler_kept(perturb, folder):
    (folder / "mine.py").write_text(BIASED)
    whole = dict[str, Any](model="fc", width=8, dataset="mnist5k", gradient="x", k=2, lr=0.05)
    whole |= {
        "approach": {"aggregation": "projection", "sampler": "mine.py:biased"},
        "perturb": perturb,
    }
    whole |= {"sampling": "explicit"} if perturb == "weights" else {}
    undisturbed = jobs.carry_out(TrainRun(**whole, epochs=3), folder / "a.parquet")

    def dies(epoch: int, epochs: int) -> None:
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        jobs.carry_out(TrainRun(**whole, epochs=3), folder / "b.parquet", Context(progress=dies))
    resumed = jobs.carry_out(TrainRun(**whole, epochs=3), folder / "b.parquet")
    for name in ("train_loss", "val_loss"):
        np.testing.assert_array_equal(undisturbed.columns[name], resumed.columns[name])
    plain = jobs.carry_out(
        TrainRun(**whole | {"approach": {"aggregation": "projection"}}, epochs=3),
        folder / "c.parquet",
    )
    assert not np.array_equal(plain.columns["train_loss"], resumed.columns["train_loss"])
