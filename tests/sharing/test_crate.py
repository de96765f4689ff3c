"""A bundle is a Workflow Run RO-Crate, as the validator of its profile says."""

import subprocess
import sys
from pathlib import Path

import pytest

from fgrad import jobs
from fgrad.options.functions import FunctionRun
from fgrad.plan.read import asked_for
from fgrad.plan.status import SCRIPTS
from fgrad.sharing.bundle import pack

pytestmark = pytest.mark.site

ROOT = Path(__file__).parents[2]
VALIDATOR = Path(sys.prefix, "crate/bin/python")
"""An environment of its own, set up by make test-site."""
KNOWN = {
    "process-run-crate-0.5_3.2": "Snakefile and Snakemake are told apart only by a person",
    "process-run-crate-0.5_5.1": "a workflow is a file of the crate, which has no absolute URI",
    "ro-crate-1.1_31.2": "the authors are no organisation with a page",
}
"""Recommendations that a bundle does not follow, and why."""


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    config, runs = asked_for(ROOT, [ROOT / "tests/tiny.yaml"])
    script = ROOT / "workflow/scripts" / SCRIPTS[FunctionRun]
    for name, job in list(runs.jobs["functions"].items())[:3]:
        path = folder / f"results/runs/functions/{name}.parquet"
        jobs.carry_out(FunctionRun(**job.options), path, script=script)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        pack(config, runs, ROOT, Path("bundle.zip"))
    return folder / "bundle.zip"


def issues(bundle: Path, folder: Path) -> list[str]:
    assert VALIDATOR.exists(), f"no validator in {VALIDATOR}: make test-site sets it up"
    command = [str(VALIDATOR), str(ROOT / "tests/helpers/crates.py"), str(bundle), str(folder)]
    command += ["workflow-run-crate", "RECOMMENDED"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_it_conforms(bundle, tmp_path):
    found = issues(bundle, tmp_path)
    assert {line.split()[1].rstrip(":") for line in found} <= KNOWN.keys(), "\n".join(found)
    assert not [line for line in found if line.startswith("REQUIRED")]


def test_what_does_not_conform_is_noticed(bundle, tmp_path):
    from bundles import Broken

    broken = Broken(bundle)
    crate = broken.files["ro-crate-metadata.json"]
    broken.files["ro-crate-metadata.json"] = crate.replace(b'"mainEntity"', b'"mentions2"')
    found = issues(broken.write(tmp_path / "broken.zip"), tmp_path)
    assert any(line.startswith("REQUIRED") for line in found)
