"""A GPU that a configuration names is looked for before any job."""

import subprocess

import pytest

from fgrad.errors import ConfigError
from fgrad.plan import devices


@pytest.mark.parametrize(
    ("asked", "found", "message"),
    [
        (["cuda:2", "cpu"], "2", "device = 'cuda:2': no such GPU here; there are cpu, cuda:0, cuda:1"),
        (["cuda"], "0", "device = 'cuda': no such GPU here; there are cpu"),
        (["cuda:127"], "1", "device = 'cuda:127': no such GPU here"),
        (["cuda", "cuda:1"], "2", None),
        (["auto", "cpu"], None, None),
        ([], None, None),
        (["cuda:5"], "", None),
    ],
)  # fmt: skip
def test_what_is_refused(monkeypatch, asked, found, message):
    """Torch is asked only where a GPU is named; what it cannot say is left to the job."""

    def run(*_, **__):
        assert found is not None
        return subprocess.CompletedProcess([], 0 if found else 1, stdout=f"{found}\n", stderr="")

    monkeypatch.setattr(subprocess, "run", run)
    if message is None:
        devices.refuse_absent(asked)
        return
    with pytest.raises(ConfigError) as caught:
        devices.refuse_absent(asked)
    assert str(caught.value).startswith(message)
