"""Trainings at the same time get different GPUs, or wait; on GPUs that are simulated."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import simulated_gpus
import torch

from fgrad.errors import ConfigError
from fgrad.experiments import gpus
from fgrad.store import parquet

pytestmark = pytest.mark.long

A, B, C = (f"{letter * 8}-0000-4000-8000-000000000000" for letter in "abc")
TWO = (A, B)
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(["fgrad.experiments.training"])


class Training:
    """A training in its own process, which goes on from where it has its device when it is told."""

    def __init__(
        self, folder: Path, bound: Sequence[str] = TWO, visible: str | None = None, **options: Any
    ) -> None:
        self.here, there = PROCESSES.Pipe()
        work = (there, folder, bound, visible, options)
        self.process = PROCESSES.Process(target=simulated_gpus.train, args=work)
        self.process.start()
        there.close()

    def told(self) -> Any:
        assert self.here.poll(60)
        return self.here.recv()

    def waits(self) -> bool:
        """Whether it says that it waits, and nothing else for many looks."""
        return "waiting for a GPU" in self.told() and not self.here.poll(0.5)

    def end(self) -> dict[str, Any]:
        """Facts and losses, when it is told to go on."""
        self.here.send(None)
        while not isinstance(told := self.told(), dict):
            assert " epoch " in told
        self.process.join()
        return told


@pytest.fixture
def start(tmp_path) -> Iterator[Callable[..., Training]]:
    """Starts trainings on one machine; those that are left are killed."""
    started: list[Training] = []

    def one(*arguments: Any, **options: Any) -> Training:
        started.append(Training(tmp_path, *arguments, **options))
        return started[-1]

    yield one
    for training in started:
        training.process.kill()
        training.process.join()


@pytest.fixture
def here(tmp_path, monkeypatch) -> Iterator[Path]:
    """Two GPUs for this process; the folder of their locks."""
    for name in ("device_count", "get_device_properties", "get_device_name"):
        monkeypatch.setattr(torch.cuda, name, getattr(torch.cuda, name))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    simulated_gpus.simulate(TWO)
    return tmp_path / f"fgrad-gpus-{os.getuid()}"


# --- trainings in their own processes ------------------------------------------------------------


def test_two_trainings_are_on_two_gpus(start):
    both = [start(), start()]
    assert sorted(one.told() for one in both) == ["cuda:0", "cuda:1"]
    ends = [one.end() for one in both]
    assert {end["gpu"] for end in ends} == {A, B}
    assert {(end["device"], end["stop"]) for end in ends} == {("Simulated", "completed")}
    assert ends[0]["losses"] == ends[1]["losses"]
    assert len(ends[0]["losses"]) == 3


def test_four_trainings_share_two_gpus_with_two_slots(start):
    four = [start(gpu_slots=2) for _ in range(4)]
    assert sorted(one.told() for one in four) == ["cuda:0", "cuda:0", "cuda:1", "cuda:1"]
    assert start(gpu_slots=2).waits()
    assert sorted(one.end()["gpu"] for one in four) == [A, A, B, B]


def test_a_gpu_is_shared_only_when_none_is_free(start):
    """Whichever of its slots is taken."""
    first = [start(gpu_slots=2)]
    assert first[0].told() == "cuda:0"
    for expected in ("cuda:1", "cuda:0", "cuda:1"):
        first.append(start(gpu_slots=2))
        assert first[-1].told() == expected
    for one in (first[0], first[1], first[3]):
        one.end()
    assert start(gpu_slots=2).told() == "cuda:1"


def test_a_third_training_waits_for_the_gpu_that_becomes_free(start):
    first, second = start(), start()
    at = {first.told(): first, second.told(): second}
    third = start()
    assert third.waits()
    at["cuda:1"].end()
    assert third.told() == "cuda:1"
    assert third.end()["gpu"] == B


@pytest.mark.parametrize("named", ["1", f"GPU-{B}", "GPU-bbbb", "1,-1,0"])
def test_visible_devices_are_respected_and_known_by_what_they_are(named, start):
    one = start(visible=named)
    assert one.told() == "cuda:0"
    other = start(visible="1,0")
    assert other.told() == "cuda:1"
    assert start(visible=named).waits()
    assert (one.end()["gpu"], other.end()["gpu"]) == (B, A)


def test_devices_that_slurm_binds_are_each_its_first(start):
    both = [start((one,), visible="0") for one in TWO]
    assert [one.told() for one in both] == ["cuda:0"] * 2
    assert start((A,), visible="0").waits()
    assert [one.end()["gpu"] for one in both] == [A, B]


def test_no_visible_device_is_the_cpu(start):
    one = start(visible="")
    assert one.told() == "cpu"
    end = one.end()
    assert end["device"] == "cpu"
    assert "gpu" not in end


def test_a_killed_training_gives_its_gpu_back(start):
    first = start((A,))
    assert first.told() == "cuda:0"
    second = start((A,))
    assert second.waits()
    first.process.kill()
    assert second.told() == "cuda:0"


def test_a_gpu_that_is_named_is_taken_at_once_and_kept_from_others(start):
    named = [start(device="cuda:1"), start(device="cuda:1")]
    assert [one.told() for one in named] == ["cuda:1"] * 2
    assert start().told() == "cuda:0"
    assert start().waits()
    assert start(device="cuda").told() == "cuda:0"


def test_the_cpu_takes_no_lock(start, tmp_path):
    one = start(device="cpu")
    assert one.told() == "cpu"
    assert "gpu" not in one.end()
    assert not list(tmp_path.glob("fgrad-gpus-*"))


SEARCH = """
import os
import sys
from pathlib import Path

import simulated_gpus
from fgrad import jobs
from fgrad.experiments.search import networks
from fgrad.options.networks import NetworkSearch

simulated_gpus.simulate(os.environ["BOUND"].split(","))
folder = Path(sys.argv[1])

def load(name, source, device):
    (folder / f"{os.getpid()}.load").write_text(str(device))
    return simulated_gpus.images()

networks.load = load
if __name__ == "__main__":
    few = simulated_gpus.FEW | {"evaluations": 2, "generation": 2, "in_flight": 2}
    few.pop("lr")
    jobs.carry_out(NetworkSearch(**few, range=(1e-3, 0.1)), folder / "s.parquet")
"""


def test_the_trials_of_a_search_share_its_one_gpu(here, tmp_path):
    script = tmp_path / "search.py"
    script.write_text(SEARCH)
    paths = [Path(simulated_gpus.__file__).parent, Path(gpus.__file__).parents[2]]
    known = os.environ | {"BOUND": f"{A},{B},{C}", "TMPDIR": str(tmp_path)}
    known["PYTHONPATH"] = os.pathsep.join(map(str, paths))
    simulated_gpus.simulate((A, B, C))
    with gpus.claimed("cuda:0", 1):
        process = subprocess.Popen([sys.executable, script, tmp_path], env=known)
        try:
            while process.poll() is None and not list(tmp_path.glob("*.load")):
                time.sleep(0.02)
            assert process.poll() is None
            with gpus.claimed("auto", 1) as free:
                assert str(free) == "cuda:2"
            assert process.wait(120) == 0
        finally:
            process.kill()
            process.wait()
    loads = [path.read_text() for path in tmp_path.glob("*.load")]
    assert len(loads) >= 3  # its own process and two workers
    assert set(loads) == {"cuda:1"}
    kept = parquet.provenance(tmp_path / "s.parquet")
    assert (kept["gpu"], kept["run"]["device"]) == (B, "auto")


# --- locks -----------------------------------------------------------------------------------------


def test_a_lock_that_was_left_behind_does_no_harm(here):
    here.mkdir(mode=0o700)
    for name in (f"{A}.0", f"{B}.0", "count.lock"):
        (here / name).write_text("4194304\nof a process that is gone\n")
    with gpus.claimed("auto", 1) as first, gpus.claimed("auto", 1) as second:
        assert (str(first), str(second)) == ("cuda:0", "cuda:1")


def test_a_slot_is_free_again_after_an_error(here):
    for _ in range(3):
        with pytest.raises(KeyError), gpus.claimed("auto", 1) as device:
            assert str(device) == "cuda:0"
            raise KeyError


def test_waiting_is_told_once(here, monkeypatch):
    said: list[str] = []
    looks = count()

    def sleep(seconds: float) -> None:
        assert seconds == gpus.POLL
        if next(looks) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    both = gpus.claimed("auto", 1), gpus.claimed("auto", 1)
    with both[0], both[1], pytest.raises(KeyboardInterrupt), gpus.claimed("auto", 1, said.append):
        pass
    assert [line.split(" ", 1)[1] for line in said] == [
        "waiting for a GPU: 2 × gpu_slots = 1 are taken"
    ]


def test_the_folder_of_locks_is_the_users_own(here):
    with gpus.claimed("auto", 1):
        assert here.stat().st_mode & 0o777 == 0o700


def link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir()
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    "put", [link, Path.touch, lambda folder: folder.symlink_to("nowhere")],
    ids=["a link", "a file", "a link to nowhere"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["auto", "cuda:1"])
def test_what_is_no_folder_is_refused(name, put, here):
    put(here)
    with pytest.raises(ConfigError) as caught, gpus.claimed(name, 1):
        pass
    assert str(caught.value) == (
        f"{here}: locks of GPUs need a folder of your own there; remove it or set TMPDIR"
    )


def test_the_folder_of_another_user_is_refused(here, monkeypatch):
    other = os.getuid() + 1
    here.with_name(f"fgrad-gpus-{other}").mkdir()
    monkeypatch.setattr(os, "getuid", lambda: other)
    with pytest.raises(ConfigError, match="need a folder of your own"), gpus.claimed("auto", 1):
        pass


def test_a_folder_that_cannot_be_made_is_refused_in_a_line(here, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    message = "cannot be made: No such file or directory; set TMPDIR"
    with pytest.raises(ConfigError, match=message), gpus.claimed("auto", 1):
        pass


# --- which one it is -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uuid", "visible", "known"),
    [
        (B, None, B),
        (B, "GPU-bbbb", B),
        (B, "MIG-GPU-1f/3/0", "MIG-GPU-1f/3/0"),  # a part of it: not all of it is claimed
        (None, "3,5", "3"),
        (None, " GPU-bbbb", "GPU-bbbb"),
        (None, None, "0"),
        (None, "", "0"),
    ],
)
def test_a_gpu_is_known_by_its_uuid_or_what_else_there_is(uuid, visible, known, here, monkeypatch):
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    properties = SimpleNamespace(uuid=uuid) if uuid else SimpleNamespace()
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: properties)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    assert gpus.identity(0) == known
    assert gpus.facts(torch.device("cuda")) == {"device": "Simulated", "gpu": known}
    with gpus.claimed("auto", 1) as device:
        assert str(device) == "cuda:0"
        assert len(list(here.iterdir())) == 2


def test_a_device_that_is_not_there_takes_no_lock(here):
    with pytest.raises(ConfigError, match="no such GPU here"), gpus.claimed("cuda:2", 1):
        pass
    assert not here.exists()
