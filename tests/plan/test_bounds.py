"""What would hang, overflow or exhaust is refused while a configuration is read, in no time."""

import time

import pytest
from configurations import changed, refused

from fgrad.errors import ConfigError
from fgrad.plan import bounds


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        ("quality.direct", [{"n": [4], "samples": 10**12}], "config: quality.job_size = 4194304: 953,675 jobs; 20,000 at most"),
        ("functions.n", list(range(1, 5000)), "config: functions: 119,976 jobs; 20,000 at most: 3 functions, 4,999 n, 8 gradients"),
        ("networks.fc.seeds", list(range(9000)), "config: networks.fc: 216,000 jobs; 20,000 at most: 3 models, 1 datasets, 8 gradients, 9,000 seeds"),
        ("networks.sota.seeds", list(range(9000)), "config: networks.sota: 288,000 jobs"),
        ("angles.angle", [i / 100 for i in range(1, 9000)], "config: angles: 35,996 jobs; 20,000 at most: 2 gradients, 2 optimize_k, 8,999 angle"),
        ("gradients.frog.k", list(range(1, 9000)), "config: functions: "),
        ("functions.seeds", list(range(10**6)), "config: functions.seeds = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, ...]: Tuple should have at most 10000 items"),
        ("functions.n", [10**5000], "config: functions.n.0 = a number of more than 4,300 digits: Input should be less"),
        ("functions.n", [10**24], "config: functions.n.0 = 1000000000000000000000000: Input should be less"),
        ("functions.patience", 10**24, "config: functions.patience = 1000000000000000000000000: Input"),
        ("networks.fc.threads", 10**6, "config: networks.fc.threads = 1000000: Input should be less than or equal to 256"),
        ("networks.fc.threads", 10**10, "config: networks.fc.threads = 10000000000: Input should be less"),
        ("networks.fc.search.in_flight", 65, "config: networks.fc.search.in_flight = 65: Input should be less"),
        ("networks.fc.search.warmup", 10**24, "config: networks.fc.search.warmup = "),
        ("networks.fc.epochs", 10**7, "config: networks.fc.epochs = 10000000: Input should be less"),
        ("networks.fc.device", "cuda:128", "config: networks.fc: device cuda:128: the last GPU that can be is cuda:127"),
        ("networks.fc.device", "cuda:200", "the last GPU that can be is cuda:127"),
        ("networks.sota.device", "cuda:256", "the last GPU that can be is cuda:127"),
        ("networks.fc.device", "cuda:" + "9" * 24, "unknown device; allowed: auto, cpu, cuda, cuda:0"),
        ("networks.fc.device", "cuda:01", "unknown device"),
        ("networks.fc.device", "cuda:１", "unknown device"),
        ("networks.fc.device", "cuda:-1", "unknown device"),
        ("networks.data_dir", "a\0b", "config: networks.data_dir = 'a\\x00b': no path: it holds a NUL"),
        ("networks.data_dir", "", "config: networks.data_dir = '': String should have at least 1 character"),
        ("angles.n", 10**13, "config: angles.n = 10000000000000: Input should be less"),
        ("angles.gradients", ["x" * 1000], "String should have at most 64 characters"),
        ("gradients." + "x" * 300, {"aggregation": "mean", "k": [1]}, "String should have at most 64 characters"),
        ("gradients.frog.max_length", 1e30, "config: gradients.frog.max_length = 1e+30: Input should be less"),
        ("functions.search.margin", -float("inf"), "config: functions.search.margin = -inf: Input should be a finite"),
    ],
    ids=lambda one: str(one)[:30] if isinstance(one, str) else "",
)  # fmt: skip
def test_too_much(path, value, expected):
    began = time.monotonic()
    lines = refused(changed(path, value))
    assert time.monotonic() - began < 10
    assert any(expected in line for line in lines), lines
    assert len(lines) <= 7
    assert max(map(len, lines)) < 400


def test_job_size_1(monkeypatch):
    values = changed("quality.job_size", 1)
    values["quality"]["direct"] = [{"n": [4], "samples": 10**12}]
    (line,) = refused(values)
    assert line == "config: quality.job_size = 1: 1,000,000,000,000 jobs; 20,000 at most"


def test_the_papers_configuration_is_far_from_it():
    bounds.refuse_many("config", jobs=bounds.JOBS)
    with pytest.raises(ConfigError):
        bounds.refuse_many("config", jobs=bounds.JOBS + 1)
