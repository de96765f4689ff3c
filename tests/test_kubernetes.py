"""The profile for Kubernetes against Snakemake, the plugin's own code and the models of the API.

No cluster is asked: what the plugin would submit is caught, and read back by the client's models.
"""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.cloud

registry = pytest.importorskip("snakemake_interface_executor_plugins.registry")
plugin = pytest.importorskip("snakemake_executor_plugin_kubernetes")
pytest.importorskip("snakemake_storage_plugin_fs")

# what is imported here needs the packages that were looked for
from kubernetes import client  # noqa: E402  after what may skip
from snakemake.cli import get_argument_parser  # noqa: E402

ROOT = Path(__file__).parents[1]
PROFILE = ROOT / "profiles/kubernetes"
KEYS = yaml.safe_load((PROFILE / "config.yaml").read_text())
CLUSTER = list(yaml.safe_load_all((PROFILE / "cluster.yaml").read_text()))


@pytest.fixture(scope="module")
def parser() -> Any:
    return get_argument_parser(profiles=[str(PROFILE)])


@pytest.fixture(scope="module")
def arguments(parser) -> Any:
    return parser.parse_args([])


def read_back(values: dict[str, Any], model: str) -> dict[str, Any]:
    """Values as the API's model has them: with what it requires, without what it does not know."""
    api = client.ApiClient()
    made = api.deserialize(SimpleNamespace(data=json.dumps(values)), model)
    known: dict[str, Any] = api.sanitize_for_serialization(made)
    return known


@pytest.fixture
def submitted(arguments, monkeypatch):
    """What is submitted for a job with these resources."""
    caught = []
    monkeypatch.setattr(plugin.Executor, "report_job_submission", lambda *_: None)
    settings = registry.ExecutorPluginRegistry().get_plugin("kubernetes").get_settings(arguments)

    def submit(**resources: Any) -> dict[str, Any]:
        executor = object.__new__(plugin.Executor)
        executor.__dict__ |= {
            "workflow": SimpleNamespace(
                executor_settings=settings,
                deployment_settings=SimpleNamespace(deployment_method=frozenset()),
            ),
            "logger": SimpleNamespace(debug=lambda *_: None, info=lambda *_: None, error=print),
            "format_job_exec": lambda job: f"{arguments.precommand} && python -m snakemake",
            "run_namespace": "run",
            "k8s_cpu_scalar": settings.cpu_scalar,
            "k8s_service_account_name": settings.service_account_name,
            "secret_envvars": {},
            "container_image": arguments.container_image,
            "privileged": settings.privileged,
            "persistent_volumes": settings.persistent_volumes,
            "namespace": settings.namespace,
            "batchapi": SimpleNamespace(
                create_namespaced_job=lambda *given: caught.append(given) or given[1]
            ),
            "_kubernetes_retry": lambda call: call(),
        }
        defaults = {"scale": 0, "gpu_manufacturer": "nvidia", "disk_mb": 2000, "mem_mb": 2000}
        job = SimpleNamespace(
            resources=defaults | resources, jobid=1, attempt=1, is_containerized=False
        )
        executor.run_job(job)
        ((namespace, body),) = caught
        caught.clear()
        assert namespace == settings.namespace
        sent: dict[str, Any] = client.ApiClient().sanitize_for_serialization(body)
        return sent

    return submit


def test_it_says_that_it_was_not_run():
    for file in ("config.yaml", "cluster.yaml"):
        assert (PROFILE / file).read_text().startswith("# NOT RUN")


def test_every_key_is_an_option(parser):
    options = {name.lstrip("-") for action in parser._actions for name in action.option_strings}
    assert set(KEYS) <= options
    own = {key.removeprefix("kubernetes-") for key in KEYS if key.startswith("kubernetes-")}
    assert own <= {name.replace("_", "-") for name in plugin.ExecutorSettings.__annotations__}


def test_values_are_read_as_they_are_meant(arguments):
    assert (arguments.executor, arguments.retries) == ("kubernetes", 3)
    defaults = arguments.default_resources
    assert [defaults[name].value for name in ("mem_mb", "disk_mb", "scale")] == [2000, 2000, 0]
    assert eval(KEYS["default-resources"]["gpu_manufacturer"]) == "nvidia"
    assert "gpu" not in defaults
    assert arguments.default_storage_provider == "fs"
    (volume,) = KEYS["kubernetes-persistent-volumes"]
    mounted = volume.split(":")[1]
    assert mounted == arguments.default_storage_prefix
    assert str(arguments.remote_job_local_storage_prefix).startswith(f"{mounted}/")
    # jobs without a shared file system see the Snakefile relative to where they start, one folder
    # below the root as well
    assert mounted.count("/") == "/workdir".count("/")
    assert arguments.precommand.endswith(f"ln -s {mounted}/results results")


def test_what_profiles_default_says_holds_here_too():
    default = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text())
    assert {key: KEYS.get(key) for key in default} == default


@pytest.mark.parametrize("gpu", [0, 1], ids=["without", "with one"])
def test_the_pod_of_a_training(submitted, gpu):
    job = submitted(mem_mb=8000, _cores=2, runtime=1440, **({"gpu": 1} if gpu else {}))
    assert read_back(job, "V1Job") == job
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"] == KEYS["container-image"]
    asked = {"memory": "8000M", "ephemeral-storage": "2000M"}
    asked |= {"nvidia.com/gpu": "1"} if gpu else {}
    assert container["resources"] == {
        "requests": {"cpu": "1900m"} | asked,
        "limits": {"cpu": "2000m"} | asked,
    }
    assert bool(pod.get("tolerations")) == bool(gpu)
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {"/workdir": "workdir", "/fgrad": "fgrad"}
    claims = {one["name"]: one.get("persistentVolumeClaim") for one in pod["volumes"]}
    assert claims == {"workdir": None, "fgrad": {"claimName": "fgrad"}}
    # tried again by Snakemake, as a new pod
    assert (pod["restartPolicy"], job["spec"]["backoffLimit"]) == ("Never", 0)


def test_without_scale_there_would_be_requests_for_gpus_without_limits(submitted):
    job = submitted(gpu=1, scale=1, _cores=1)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert "limits" not in container["resources"]


def test_a_gpu_of_zero_counts_as_asked_for(submitted):
    """Why the rules leave the resource out where none is wanted."""
    job = submitted(gpu=0, _cores=1)
    assert job["spec"]["template"]["spec"]["tolerations"][0]["key"] == "nvidia.com/gpu"


@pytest.mark.parametrize("manifest", CLUSTER, ids=lambda manifest: manifest["kind"])
def test_the_cluster_file_is_of_the_api(manifest):
    assert read_back(manifest, f"V1{manifest['kind']}") == manifest


def test_snakemake_runs_where_its_jobs_look():
    by_kind = {manifest["kind"]: manifest for manifest in CLUSTER}
    pod = by_kind["Job"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    (volume,) = KEYS["kubernetes-persistent-volumes"]
    claim, path = volume.split(":")
    assert claim == by_kind["PersistentVolumeClaim"]["metadata"]["name"]
    assert by_kind["PersistentVolumeClaim"]["spec"]["accessModes"] == ["ReadWriteMany"]
    assert container["workingDir"] == path == container["volumeMounts"][0]["mountPath"]
    assert container["image"] == KEYS["container-image"]
    assert by_kind["ServiceAccount"]["metadata"]["name"] == pod["serviceAccountName"]
