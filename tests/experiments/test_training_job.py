"""A training as a job: its file, what it tells, its device, and the process it leaves."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fgrad.errors import ConfigError
from fgrad.experiments import device, training
from fgrad.experiments.state import PARTS, STATISTICS
from fgrad.options.networks import TrainRun
from fgrad.store import parquet, schemas

FGRAD = str(Path(sys.executable).parent / "fgrad")
METRICS = [f"{part}_{what}" for part in PARTS for what in ("loss", "accuracy")]


def test_settings_of_the_process_are_as_they_were(data, tmp_path, run, carried_out, killed_error):
    def settings() -> tuple[object, ...]:
        return (
            torch.get_num_threads(),
            torch.get_float32_matmul_precision(),
            torch.are_deterministic_algorithms_enabled(),
            torch.backends.cudnn.allow_tf32,
        )

    def kill(line: str) -> None:
        raise killed_error

    before, inside = settings(), []
    r = run(threads=2, precision="tf32", deterministic=True, epochs=1)
    carried_out(r, tmp_path / "r.parquet", say=lambda _: inside.append(settings()))
    assert inside == [(2, "high", True, True)] * 2
    assert settings() == before
    with pytest.raises(killed_error):
        carried_out(r, tmp_path / "r.parquet", say=kill)
    assert settings() == before


def test_a_trace_of_the_first_steps(data, tmp_path, capsys, run, carried_out):
    carried_out(run(profile=True, epochs=2), tmp_path / "r.parquet")
    trace = json.loads((tmp_path / "r.trace.json").read_text())
    assert trace["traceEvents"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["r.parquet", "r.trace.json"]
    carried_out(run(epochs=2), tmp_path / "s.parquet")
    a, b = (parquet.read(tmp_path / name)["val_loss"] for name in ("r.parquet", "s.parquet"))
    assert a.equals(b)


def test_parquet_follows_the_contract(data, tmp_path, run, carried_out):
    path = tmp_path / "sub" / "r.parquet"
    r = run(experiment="paper", seed=3)
    carried_out(r, path)
    frame = parquet.read(path)
    assert list(frame.columns) == list(schemas.NETWORKS)
    assert list(frame["epoch"]) == [0, 1, 2, 3]
    assert str(frame["k"].dtype) == str(frame["width"].dtype) == "Int64"
    for name, value in {"experiment": "paper", "model": "fc", "width": 16, "dataset": "mnist5k", "gradient": "frog", "k": 4, "lr": 0.05, "seed": 3}.items():  # fmt: skip
        assert (frame[name] == value).all()
    assert frame["train_seconds"][0] == 0
    assert (frame["train_seconds"][1:] > 0).all()
    assert (frame["eval_seconds"] > 0).all()
    expected = training.train(r, data)
    assert frame[METRICS].to_numpy().tolist() == [[e[m] for m in METRICS] for e in expected.epochs]
    kept = parquet.provenance(path)
    assert kept["run"] == r.model_dump(mode="json")
    assert (kept["stop"], kept["n"], kept["device"], kept["threads"]) == ("completed", 42, "cpu", 1)
    assert kept["start"] <= kept["end"]
    assert TrainRun(**kept["run"]) == r


def test_statistics_are_further_columns(data, tmp_path, run, carried_out):
    path = tmp_path / "r.parquet"
    carried_out(run(statistics=True, gradient="bp", k=None), path)
    frame = parquet.read(path)
    assert list(frame.columns) == [*schemas.NETWORKS, *STATISTICS]
    assert frame["k"].isna().all()
    assert frame["cosine"].isna().tolist() == [True, False, False, False]


def test_every_epoch_is_told_and_counted(data, tmp_path, run, carried_out):
    said: list[str] = []
    counted: list[tuple[int, int]] = []
    carried_out(run(), tmp_path / "r.parquet", say=said.append, progress=lambda *at: counted.append(at))  # fmt: skip
    assert len(said) == 4
    assert all(f"epoch {i}/3: train " in line and "\n" not in line for i, line in enumerate(said))
    assert counted == [(i, 3) for i in range(4)]


def test_an_output_in_a_folder_that_cannot_be_is_refused_before_training(
    data, tmp_path, run, carried_out
):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError) as caught:
        carried_out(run(), tmp_path / "file" / "r.parquet")
    assert "\n" not in str(caught.value)


def test_data_that_are_not_there(tmp_path, run, carried_out):
    with pytest.raises(ConfigError, match="cifar10") as caught:
        carried_out(run(dataset="cifar10"), tmp_path / "r.parquet", source=tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("device", "gpus", "there"), [("cuda", 0, "cpu"), ("cuda:0", 0, "cpu"), ("cuda:2", 2, "cpu, cuda:0, cuda:1"), ("cuda:256", 1, "cpu, cuda:0")])  # fmt: skip
def test_a_device_that_is_not_there(device, gpus, there, monkeypatch, tmp_path, run, carried_out):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(ConfigError) as caught:
        carried_out(run(device=device), tmp_path / "r.parquet")
    assert str(caught.value) == f"device = {device!r}: no such GPU here; there are {there}"
    assert not list(tmp_path.iterdir())


def test_auto_is_the_gpu_if_there_is_one(monkeypatch):
    for gpus, name in ((0, "cpu"), (2, "cuda")):
        monkeypatch.setattr(torch.cuda, "device_count", lambda gpus=gpus: gpus)
        assert device.choose_device("auto") == torch.device(name)


@pytest.mark.long
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_command_without_a_gpu_ends_in_one_line(tmp_path):
    options = ["--model", "fc", "--gradient", "bp", "--lr", "0.1", "--device", "cuda"]
    done = subprocess.run([FGRAD, "train", *options, "--output", str(tmp_path / "r.parquet")], capture_output=True, text=True, check=False)  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "fgrad: device = 'cuda': no such GPU here; there are cpu\n"
