"""However the command ends, it says so in a line and never in a traceback."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fgrad import terminal
from fgrad.errors import ConfigError

FGRAD = f"{sys.executable} -m fgrad"
LONG = "measure --n 4096 --k 1024 --samples 10000000 --output q.parquet"
RUN = "descend --function sphere --n 4 --gradient frog --k 2 --lr 0.1 --steps 3"


def shell(command: str, folder) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize(
    ("command", "statuses"),
    [
        (f"{FGRAD} --help | head -1", {0}),
        (f"{FGRAD} train --help | true", {0}),
        (f"{FGRAD} search network --help | head -1", {0}),
        (f"{FGRAD} stale --workflow . 2>&1 | true", {1}),
        (f"{FGRAD} {RUN} --output r.parquet 2>&1 | true", {0, 141}),
    ],
)
def test_a_pipe_that_is_closed(tmp_path, command, statuses):
    done = shell(command, tmp_path)
    assert done.returncode in statuses
    assert done.stderr == ""


@pytest.mark.long
def test_what_cannot_be_printed(tmp_path):
    done = shell(f"{FGRAD} {RUN} --output r.parquet > /dev/full", tmp_path)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("fgrad: what is printed")
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize(
    "loaded", ["_pydantic_core", "libarrow", "libtorch_cpu", "libtorch_python"]
)
def test_ctrl_c_at_any_moment(tmp_path, loaded):
    """Also while the command is still importing what it needs."""
    command = [*FGRAD.split(), *LONG.split()]
    # in the background of a shell script Ctrl-C is ignored, and what is started there inherits that
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    started = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    signal.signal(signal.SIGINT, before)
    try:
        deadline = time.monotonic() + 100
        while loaded not in Path(f"/proc/{started.pid}/maps").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.002)
        os.killpg(started.pid, signal.SIGINT)
        _, said = started.communicate(timeout=60)
    finally:
        started.kill()
    assert started.returncode == 130
    assert said == "fgrad: interrupted\n"
    assert not (tmp_path / "q.parquet").exists()


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConfigError("config: wrong"), "fgrad: config: wrong"),
        (MemoryError(), "fgrad: too large for this machine: out of memory"),
        (RuntimeError("can't allocate 8 bytes"), "fgrad: too large for this machine: can't allocate"),
        (OverflowError("int too big"), "fgrad: too large for this machine: int too big"),
        (PermissionError(13, "Permission denied", "x"), "fgrad: x: Permission denied"),
        (KeyError("function"), "fgrad: KeyError: 'function' (test_terminal.py, line "),
        (RuntimeError("first\nsecond"), "fgrad: RuntimeError: first (test_terminal.py, line "),
    ],
)  # fmt: skip
def test_an_error_is_a_line(error, expected):
    with pytest.raises(SystemExit) as caught, terminal.ending():
        raise error
    assert str(caught.value.code).startswith(expected)
    assert "\n" not in str(caught.value.code)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "Expected one of {measure, descend, train, search, plan, status, stale, adopt, prune, bundle, "),
        ("frobnicate", "Unrecognized options: frobnicate"),
        ("descend", "Missing from fgrad descend: --output PATH --gradient STR --function STR --n INT"),
        ("search", "Expected one of {functions, network}"),
        ("search network --evaluations x", "Missing from fgrad search network: --output PATH"),
        (f"{RUN} --output", "Missing value for argument '--output'"),
        (f"{RUN} --output=", "--output: empty"),
        (f"{RUN} --output x --momentum 0.9", "--momentum, 0.9"),
        (f"{RUN} --output x --lr 0.1_0", "'0.1_0' is no plain number"),
        (f"{RUN} --output x --k 1_0", "'1_0' is no plain number"),
        (f"{RUN} --output x --k ２", "'２' is no plain number"),
        (f"{RUN} --output x --k 2.0", "--k"),
        (f"{RUN} --output x --n {'9' * 24}", "n = 999999999999999999999999: Input should be less"),
        (f"{RUN} --output x --n {'9' * 5000}", "Error parsing --n"),
        (f"{RUN} --output x --seeds true", "Error parsing --seeds"),
        ("train --model fc --gradient bp --lr 1 --output x --threads 1000000", "threads = 1000000: Input"),
        ("train --model fc --gradient bp --lr 1 --output x --mode fwad", "mode fwad needs tangents"),
        ("train --model fc --gradient bp --lr 1 --output x --device cuda:200", "device = 'cuda:200': no such GPU"),
        ("train --model fc --gradient bp --lr 1 --output x --data-dir file", "data_dir = 'file': file is a file"),
        ("train --model fc --gradient bp --lr 1 --output x --data-dir file/in", "file is a file, not a folder"),
        ("stale --versions --accept-code abc", "versions has no effect beside accept_code"),
    ],
    ids=lambda one: one[-40:],
)  # fmt: skip
def test_a_wrong_command_line_is_a_line(tmp_path, monkeypatch, capsys, arguments, expected):
    from fgrad import cli

    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    monkeypatch.setattr(sys, "argv", ["fgrad", *arguments.split()])
    with pytest.raises(SystemExit) as caught:
        cli.main()
    assert expected in str(caught.value.code)
    assert "\n" not in str(caught.value.code)
    assert not [path for path in tmp_path.iterdir() if path.name != "file"]
    assert capsys.readouterr().out == ""


def test_an_empty_value(tmp_path, monkeypatch):
    from fgrad import cli

    monkeypatch.chdir(tmp_path)
    for arguments in (["--output", ""], ["--data-dir", "", "--output", "x"]):
        monkeypatch.setattr(sys, "argv", ["fgrad", *["search", "network", "--k", "2"], *arguments])
        with pytest.raises(SystemExit, match=f"fgrad: {arguments[0]}: empty"):
            cli.main()
