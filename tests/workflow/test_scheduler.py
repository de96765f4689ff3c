"""The scheduler looks again at what is ready once a second, not once more for each job that ended."""

import re
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from snakemake.scheduling.job_scheduler import JobScheduler

RULES = Path(__file__).parents[2] / "rules/start.smk"


def test_one_timer_however_often_it_looks():
    text = RULES.read_text(encoding="utf-8")
    (code,) = re.findall(r"^def look_again.*?^        timer.start\(\)$", text, re.S | re.M)
    assert "JobScheduler._schedule_reevalutation = look_again" in text
    assert callable(JobScheduler._schedule_reevalutation)  # what is replaced is there
    own: dict[str, Any] = {"threading": threading}
    exec(code, own)
    scheduler = SimpleNamespace(_open_jobs=threading.Semaphore(0))
    for _ in range(20):
        own["look_again"](scheduler, 0.2)
    assert sum(one.name == "look again" for one in threading.enumerate()) == 1
    assert scheduler._open_jobs.acquire(timeout=10)
    assert not scheduler._open_jobs.acquire(timeout=0.5)
    own["look_again"](scheduler, 0.01)
    assert scheduler._open_jobs.acquire(timeout=10)
