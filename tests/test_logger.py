"""What `make` shows of a run."""

import logging
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from snakemake_interface_logger_plugins.common import LogEvent

from snakemake_logger_plugin_fgrad import LogHandler

ROOT = Path(__file__).parents[1]


def record(text: str = "", level: int = logging.INFO, **known: Any) -> logging.LogRecord:
    made = logging.LogRecord("snakemake", level, "", 0, text, None, None)
    vars(made).update(known)
    return made


def test_each_job_is_a_line_with_its_number_and_what_fails_names_its_log():
    handler = LogHandler(SimpleNamespace(), None)  # type: ignore[arg-type]  # it reads none
    job: dict[str, Any] = {
        "event": LogEvent.JOB_INFO,
        "jobid": 1,
        "rule_msg": "4.2: descent, a",
        "rule_name": "descend",
    }
    failed: dict[str, Any] = {
        "event": LogEvent.JOB_ERROR,
        "jobid": 1,
        "log": ["a.log"],
    }
    shown = [
        handler.line(one)
        for one in (
            record(event=LogEvent.RUN_INFO, stats={"descend": 2, "total": 2}),
            record("Select jobs to execute..."),
            record(**job),
            record(**{**job, "jobid": 2, "rule_msg": None}),
            record(event=LogEvent.PROGRESS, done=1, total=2),
            record(**failed),
            record("Exiting because a job failed", logging.ERROR),
            record(
                "RuleException:\nCalledProcessError in file", logging.ERROR, event=LogEvent.ERROR
            ),
            record("WorkflowError:\nAt least one job did not complete", logging.ERROR),
            record("Nothing to be done (all requested files are present)."),
        )
    ]
    assert [line for line in shown if line] == [
        "[1 of 2] 4.2: descent, a",
        "[2 of 2] descend",
        "FAILED: 4.2: descent, a; its log: a.log",
        "Exiting because a job failed",
        "Nothing to be done (all requested files are present).",
    ]


def command(folder: Path, *more: str) -> list[str]:
    snakemake = [sys.executable, "-m", "snakemake", "quality", "--cores", "2", "--logger", "fgrad"]
    place = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder)]
    return [*snakemake, *place, "--configfile", str(ROOT / "tests/tiny.yaml"), *more]


def plain(shown: str) -> str:
    """Without what colours it and moves the cursor."""
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown)


def in_terminal(arguments: list[str], until: str, seconds: float = 120) -> tuple[str, int]:
    """What is shown on a terminal until a pattern comes, and then Ctrl-C; with the exit status."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "110", "LINES": "40"}
    process = subprocess.Popen(
        arguments, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, close_fds=True,
        start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    shown, told, begun = "", False, time.monotonic()
    while time.monotonic() - begun < seconds:
        if select.select([ours], [], [], 0.2)[0]:
            try:
                shown += os.read(ours, 65536).decode(errors="replace")
            except OSError:  # closed at the other end
                break
        if not told and re.search(until, plain(shown)):
            told = True
            process.send_signal(signal.SIGINT)
    os.close(ours)
    return plain(shown), process.wait(60)


@pytest.mark.workflow
def test_bars_on_a_terminal_and_ctrl_c_in_a_line_then_lines_elsewhere(tmp_path):
    shown, status = in_terminal(command(tmp_path), until="measure quality +━")
    assert status == 130
    assert "Total Progress" in shown
    after = shown[shown.index("fgrad: interrupted") :]
    rest = [
        line for line in re.split(r"[\r\n]+", after) if line.strip(" ") and line[0] not in "│╭╰"
    ]
    assert rest == ["fgrad: interrupted; the same command goes on from what is finished"]

    done = subprocess.run(command(tmp_path), capture_output=True, text=True, check=True)
    lines = [line for line in done.stderr.splitlines() if line.startswith("[")]
    total = len(lines)
    assert total > 5
    assert [line.partition("] ")[0] for line in lines] == [
        f"[{i + 1} of {total}" for i in range(total)
    ]
    assert (
        any("4.1, 4.3: quality of gradient estimates, quality/n2_0" in line for line in lines)
        or (tmp_path / "results/runs/quality/n2_0.parquet").exists()
    )
    status_of = [sys.executable, "-m", "fgrad", "status", "--directory", str(tmp_path)]
    told = subprocess.run(status_of, capture_output=True, text=True, check=True).stdout
    assert f"nobody is at work any more\ndone     {total - 1} of {total - 1}\n" in told
