"""What a start hands to its jobs is what they get, however the configuration is edited."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from snakemake.cli import parse_config

from fgrad.errors import ConfigError
from fgrad.plan import handed
from fgrad.plan.runs import load
from fgrad.store import identity

ROOT = Path(__file__).parents[2]


@pytest.fixture
def loaded(tmp_path, monkeypatch):
    config = yaml.safe_load((ROOT / "config/config.yaml").read_text())
    found = load(config, ROOT / "config")
    monkeypatch.chdir(tmp_path)
    return found


def test_what_was_handed_is_what_is_taken(loaded):
    config, runs = loaded
    row = {"experiment": "functions", "n": 2, "metric": "final", "mean": 0.1}
    runs = replace(runs, reported={"functions": [row]})
    name = handed.hand(config, runs)
    assert handed.take(name) == (config, runs)
    assert handed.hand(config, runs) == name


def test_another_configuration_does_not_touch_it(loaded):
    config, runs = loaded
    first = handed.hand(config, runs)
    edited = config.model_copy(update={"orphans": "wait"})
    second = handed.hand(edited, runs)
    assert first != second
    assert handed.take(first) == (config, runs)
    handed.drop_others(second)
    assert handed.take(second) == (edited, runs)
    with pytest.raises(ConfigError, match="a file system that all nodes share"):
        handed.take(first)


@pytest.mark.parametrize("digest", ["12345678901234e5", "0034567890123456", "1234567890e12345"])
def test_snakemake_reads_the_name_as_it_is(loaded, monkeypatch, digest):
    """Among digits an e makes a number."""
    monkeypatch.setattr(identity, "digest", lambda text: digest)
    name = handed.hand(*loaded)
    assert parse_config([f"{handed.KEY}={name}"]) == {handed.KEY: name}


ODD = '{"config": {}, "jobs": [], "published": {}}'


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", ODD, '{"config": {}, "jobs": {}, "published": {}}']
)
def test_a_damaged_one_is_refused(loaded, content):
    name = handed.hand(*loaded)
    (handed.FOLDER / f"{name}.json").write_text(content)
    with pytest.raises(ConfigError, match="what this job was handed cannot be read here") as caught:
        handed.take(name)
    assert "\n" not in str(caught.value)
