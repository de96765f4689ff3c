"""Training on a GPU: nearly the numbers of the CPU, and no step waits for the device."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable

import numpy as np
import pytest
import torch

from fgrad.errors import ConfigError
from fgrad.experiments import device, gpus, training
from fgrad.experiments.replay import Replay
from fgrad.experiments.state import Data, State
from fgrad.problems.data import Split
from fgrad.store import parquet
from fgrad.store.context import Context


@pytest.fixture(scope="module")
def on_gpu(whole) -> Data:
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    first, second, third = (Split(s.images.cuda(), s.labels.cuda()) for s in whole)
    return first, second, third


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["fc", "lenet5"])  # fmt: skip
def test_an_epoch_on_the_gpu_is_nearly_that_on_the_cpu(
    model, whole, on_gpu, run, lenet, numbers, losses
):
    r = {"fc": run, "lenet5": lenet}[model](gradient="bp", k=None, epochs=1, lr=0.1)
    cpu, gpu = training.train(r, whole), training.train(r, on_gpu)
    np.testing.assert_allclose(numbers(gpu)[0], numbers(cpu)[0], rtol=1e-3)
    assert losses(gpu, "val") == pytest.approx(losses(cpu, "val"), rel=0.05)


@pytest.mark.gpu
@pytest.mark.parametrize("perturb", ["activations", "weights"])
@pytest.mark.parametrize("mode", ["sim", "fwad"])
def test_estimates_learn_on_the_gpu(mode, perturb, on_gpu, run, losses):
    r = run(mode=mode, perturb=perturb, k=64, lr=0.05, width=32)
    falling = losses(training.train(r, on_gpu))
    assert falling[-1] < falling[0]


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["fc", "lenet5", "resnet18", "vit", "mlpmixer"])
@pytest.mark.parametrize("gradient", ["bp", "frog", "fg-mean"])
@pytest.mark.parametrize("changes", [{}, {"mode": "fwad"}, {"perturb": "weights"}, {"augment": True, "schedule": "exponential"}, {"precision": "bf16"}], ids=str)  # fmt: skip
def test_nothing_inside_an_epoch_waits_for_the_gpu(model, gradient, changes, on_gpu, run):
    r = run(model=model, width=None, gradient=gradient, k=None if gradient == "bp" else 4, batch=300, **changes)  # fmt: skip
    state = State(r, on_gpu)
    state.step_through(lambda: None)  # the first steps set things up
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        state.step_through(lambda: None)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.fixture
def step_by_step(monkeypatch) -> Callable[[], None]:
    """From now on nothing is recorded."""
    return lambda: monkeypatch.setattr("fgrad.experiments.replay.WARM", 10**9)


@pytest.mark.gpu
@pytest.mark.parametrize("model", ["fc", "lenet5", "resnet18", "vit", "mlpmixer"])
@pytest.mark.parametrize("gradient", ["bp", "frog", "fg-mean"])
@pytest.mark.parametrize("changes", [{}, {"perturb": "weights"}, {"perturb": "weights", "sampling": "explicit"}, {"augment": True, "optimizer": "adam", "schedule": "exponential"}, {"precision": "bf16"}], ids=str)  # fmt: skip
def test_a_recorded_step_has_the_bits_of_one_step_by_step(
    model, gradient, changes, some, on_gpu, run, step_by_step
):
    size = {} if model in ("fc", "lenet5") else {"reduce": 4}
    r = run(model=model, **{"width": None, **size}, gradient=gradient, k=None if gradient == "bp" else 4, batch=50, lr=1e-4, deterministic=True, **changes)  # fmt: skip
    data = some(on_gpu, 1020)

    def trained() -> tuple[State, list[dict[str, float]]]:
        with device.settings(1, r.precision, r.deterministic):
            state, found = State(r, data), []
            for _ in range(2):
                state.step_through()
                found.append(state.evaluate())
        return state, found

    state, found = trained()
    assert isinstance(state.estimate, Replay)
    assert state.estimate.graph is not None
    step_by_step()
    other, expected = trained()
    assert isinstance(other.estimate, Replay)
    assert other.estimate.graph is None
    assert found == expected
    assert found[1] != found[0]
    mine, its = state.content([]), other.content([])
    for name in ("order", "tangents", "crops"):
        assert torch.equal(mine[name], its[name]), name
    assert all(map(torch.equal, mine["chain"].values(), its["chain"].values()))


@pytest.mark.gpu
@pytest.mark.parametrize("changes", [{"approach": {"sampler": "rademacher", "aggregation": "projection", "independent": True}, "gradient": "own"}, {"k": 100}])  # fmt: skip
def test_a_step_that_waits_for_the_gpu_is_not_recorded(changes, some, on_gpu, run):
    state = State(run(**changes, batch=20), some(on_gpu, 400))
    state.step_through()
    assert isinstance(state.estimate, Replay)
    assert state.estimate.waits
    assert state.estimate.graph is None


@pytest.mark.gpu
def test_a_run_killed_on_the_gpu_goes_on(on_gpu, tmp_path, run, alike, killed):
    r = run(device="cuda", deterministic=True)
    with device.settings(r.threads, r.precision, r.deterministic):
        killed(r, on_gpu, tmp_path / "c", 2)
        assert alike(
            training.train(r, on_gpu, Context(target=tmp_path / "c")), training.train(r, on_gpu)
        )


@pytest.mark.gpu
def test_a_run_begun_on_the_cpu_goes_on_on_the_gpu_or_is_refused_in_a_line(
    whole, on_gpu, tmp_path, run, killed
):
    """With device auto both are the same run."""
    r = run(device="auto")
    killed(r, whole, tmp_path / "c", 2)
    try:
        assert len(training.train(r, on_gpu, Context(target=tmp_path / "c")).epochs) == 4
    except ConfigError as error:
        assert "\n" not in str(error)


@pytest.fixture
def locks(tmp_path, monkeypatch) -> None:
    """Of this test alone, so that trainings that are at work do not matter to it."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.mark.gpu
@pytest.mark.usefixtures("locks")
def test_each_gpu_is_claimed_once_and_then_waited_for(monkeypatch):
    def sleep(seconds: float) -> None:
        raise TimeoutError

    monkeypatch.setattr("time.sleep", sleep)
    there = torch.cuda.device_count()
    with contextlib.ExitStack() as stack:
        claimed = [stack.enter_context(gpus.claimed("auto", 1)) for _ in range(there)]
        assert claimed == [torch.device("cuda", number) for number in range(there)]
        with pytest.raises(TimeoutError), gpus.claimed("auto", 1):
            pass
        with gpus.claimed("auto", 2) as shared, gpus.claimed("cuda", 1) as named:
            assert shared == named == claimed[0]


@pytest.mark.gpu
@pytest.mark.usefixtures("locks")
def test_a_job_on_the_gpu_says_which(on_gpu, tmp_path, run, carried_out, monkeypatch):
    monkeypatch.setattr(training, "load", lambda name, source, device: on_gpu)
    carried_out(run(device="auto", epochs=1), tmp_path / "r.parquet")
    kept = parquet.provenance(tmp_path / "r.parquet")
    assert kept["device"] == torch.cuda.get_device_name()
    told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=True).stdout
    assert kept["gpu"].removeprefix("GPU-") in told
