"""Object storage through Snakemake's plugins, on a server of S3 that the test starts itself."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from projects import ROOT, jobs_of

pytestmark = pytest.mark.cloud

pytest.importorskip("snakemake_storage_plugin_s3")
pytest.importorskip("snakemake_storage_plugin_fs")
boto3 = pytest.importorskip("boto3")
server = pytest.importorskip("moto.server")

SMALL = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
FIGURE = "results/paper/figures/extension.png"  # of one run, by way of one summary
JOBS = {"measure_quality": 1, "summarize": 1, "figure_extension": 1}
PUBLISH = f"""
storage:
    provider="s3"

configfile: "own.yaml"

module fgrad:
    snakefile: {str(ROOT / "Snakefile")!r}
    config: config["fgrad"]

use rule * from fgrad as fgrad_*

rule publish:
    default_target: True
    input: {FIGURE!r}
    output: storage.s3("s3://bucket/paper/extension.png")
    shell: "cp {{input}} {{output}}"
"""
RSYNC = f"""#!{sys.executable}
import shutil, sys
source, target = [one for one in sys.argv[1:] if not one.startswith("-")]
shutil.copy2(source, target)
"""


class Bucket:
    """A bucket and what is in it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id="key",
            aws_secret_access_key="secret",
        )
        self.client.create_bucket(Bucket="bucket")

    def names(self) -> set[str]:
        found = self.client.list_objects_v2(Bucket="bucket").get("Contents", [])
        return {one["Key"] for one in found}

    def forget(self, name: str) -> None:
        self.client.delete_object(Bucket="bucket", Key=name)


@pytest.fixture
def bucket() -> Iterator[Bucket]:
    s3 = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    s3.start()
    host, port = s3.get_host_and_port()
    yield Bucket(f"http://{host}:{port}")
    s3.stop()


class Folder:
    """A working folder, and Snakemake started in it."""

    def __init__(self, work: Path, *options: str, url: str = "") -> None:
        self.work, self.options = work, options
        self.variables = os.environ | {
            "PYTHONPATH": str(ROOT / "src"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "SNAKEMAKE_STORAGE_S3_ENDPOINT_URL": url,
            "SNAKEMAKE_STORAGE_S3_REGION": "us-east-1",
            "SNAKEMAKE_STORAGE_S3_ACCESS_KEY": "key",
            "SNAKEMAKE_STORAGE_S3_SECRET_KEY": "secret",
        }

    def run(self, *arguments: str, ok: bool = True) -> str:
        command = [sys.executable, "-m", "snakemake", "--cores", "1", *self.options, *arguments]
        done = subprocess.run(
            command,
            cwd=self.work,
            env=self.variables,
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        output = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, output
        return output

    def planned(self, *arguments: str) -> dict[str, int]:
        jobs = jobs_of(self.run("--dry-run", *arguments))
        return {rule.removeprefix("fgrad_"): count for rule, count in jobs.items()}


OURS = ("--snakefile", str(ROOT / "Snakefile"), "--configfile", str(ROOT / "tests/tiny.yaml"))


def test_what_is_shown_can_be_published(tmp_path, bucket):
    """Results stay where they are; a rule of one's own puts some of them into the bucket."""
    (tmp_path / "own.yaml").write_text(yaml.safe_dump({"fgrad": SMALL}))
    (tmp_path / "Snakefile").write_text(PUBLISH)
    folder = Folder(tmp_path, url=bucket.url)
    assert folder.planned() == JOBS | {"publish": 1}
    folder.run()
    assert bucket.names() == {"paper/extension.png"}
    assert (tmp_path / FIGURE).exists()
    assert folder.planned() == {}
    bucket.forget("paper/extension.png")
    assert folder.planned() == {"publish": 1}


BUCKET = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://bucket/x")
COPIES = ".snakemake/storage/s3/bucket/x/results"


@pytest.mark.parametrize("options", [(), ("--keep-storage-local-copies",)], ids=str)
def test_a_bucket_as_default_storage_is_refused(tmp_path, bucket, options):
    """Results would not be where they are compared: all runs would be missing at each start."""
    folder = Folder(tmp_path, *OURS, *BUCKET, *options, url=bucket.url)
    output = folder.run(FIGURE, ok=False)
    (line,) = re.findall(r"^WorkflowError.*:\n(.*)\n  File", output, re.M)
    assert line.startswith("default storage s3://bucket/x/results: results are looked for below")
    assert line.endswith(f"results a link to {COPIES}")
    assert bucket.names() == set()
    assert not (tmp_path / "results").exists()


def test_a_bucket_as_default_storage_with_copies_where_results_are_looked_for(tmp_path, bucket):
    (tmp_path / COPIES).mkdir(parents=True)
    (tmp_path / "results").symlink_to(COPIES)
    options = (*OURS, *BUCKET, "--keep-storage-local-copies")
    folder = Folder(tmp_path, *options, url=bucket.url)
    assert folder.planned(FIGURE) == JOBS
    folder.run(FIGURE)
    assert {f"x/{FIGURE}", "x/results/runs/exact/exact.parquet"} <= bucket.names()
    assert not any(".snakemake" in name for name in bucket.names())
    assert folder.planned(FIGURE) == {}
    (tmp_path / "more.yaml").write_text("quality: {exact: {n: [2, 1000000000], samples: 31}}")
    more = ("--configfile", str(ROOT / "tests/tiny.yaml"), "more.yaml")
    folder.options = (*OURS[:2], *more, *BUCKET, "--keep-storage-local-copies")
    assert folder.planned("--", FIGURE) == JOBS
    # a copy that is lost is a run that is made again: fetch the bucket first
    folder.options = options
    (tmp_path / COPIES / "runs/exact/exact.parquet").unlink()
    assert folder.planned(FIGURE) == JOBS


def test_the_working_folder_itself_as_default_storage(tmp_path):
    """What profiles/kubernetes does: files go through a storage, and lie where they are looked for."""
    work, programs = tmp_path / "work", tmp_path / "bin"
    work.mkdir()
    default = ("--default-storage-provider", "fs", "--default-storage-prefix", str(work))
    folder = Folder(work, *OURS, *default)
    if shutil.which("rsync") is None:  # which the plugin copies with
        programs.mkdir()
        (programs / "rsync").write_text(RSYNC)
        (programs / "rsync").chmod(0o755)
        folder.variables["PATH"] = f"{programs}:{os.environ['PATH']}"
    assert folder.planned(FIGURE) == JOBS
    assert "Storing in storage" in folder.run(FIGURE)
    assert (work / FIGURE).exists()
    assert folder.planned(FIGURE) == {}
