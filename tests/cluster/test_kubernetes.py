"""cluster/*.yaml for KubeRay, against a strict schema and against themselves; copies that are
spoilt are refused."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from cluster.__main__ import app
from cluster.checks.network import PORTS, WORKERS
from cluster.submit import STOP_S

ROOT = Path(__file__).resolve().parents[2]
SCHEMA = yaml.safe_load((Path(__file__).parent / "kuberay.schema.yaml").read_text())
#: Suffixes of Kubernetes' quantities that our files use.
UNITS = {"": 1, "m": 1e-3, "Mi": 2**20, "Gi": 2**30}


class Strict(yaml.SafeLoader):
    """YAML in which a key that stands twice is an error."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(k) for k, _ in node.value]  # type: ignore[misc]
        if len(keys) != len(set(keys)):
            raise ValueError(f"a key stands twice: {node.start_mark}")
        assert "<<" not in keys, "merge keys are not known to every tool"
        return super().construct_mapping(node, deep)


def documents(name):
    return list(yaml.load_all((ROOT / "cluster" / name).read_text(), Strict))


CLUSTER = documents("raycluster.yaml")
JOB = documents("rayjob.yaml")
SPECS = {"raycluster": CLUSTER[1]["spec"], "rayjob": JOB[0]["spec"]["rayClusterSpec"]}
PODS = {
    f"{name}-{group.get('groupName', 'head')}": (group, group["template"]["spec"])
    for name, spec in SPECS.items()
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
}


def amount(text):
    number = text.rstrip("GMim")
    return float(number) * UNITS[text[len(number) :]]


def test_the_schema_is_one():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("document", [*CLUSTER, *JOB], ids=lambda d: d["kind"])
def test_each_document_is_what_kuberay_takes(document):
    jsonschema.validate(document, SCHEMA, jsonschema.Draft202012Validator)


def spoilt(path, value):
    """The RayJob with `value` (None: nothing) at `path`."""
    document = copy.deepcopy(JOB[0])
    place = document
    for key in path[:-1]:
        place = place[key]
    if value is None:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return document


SPEC = ("spec", "rayClusterSpec")
HEAD = (*SPEC, "headGroupSpec", "template", "spec")
CONTAINER = (*HEAD, "containers", 0)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("apiVersion",), "ray.io/v1alpha1"),
        (("kind",), "RayJobs"),
        (("metadata", "name"), "Osteoray_Train"),
        (("spec", "entryPoint"), "python"),
        (("spec", "entrypoint"), None),
        (("spec", "backoffLimit"), "10"),
        (("spec", "submissionMode"), "K8SJobMode"),
        ((*SPEC, "rayVersion"), 2.6),
        ((*SPEC, "authOptions"), None),
        ((*SPEC, "authOptions", "mode"), "disabled"),
        ((*SPEC, "workerGroupSpecs"), []),
        ((*SPEC, "workerGroupSpecs", 0, "minReplicas"), None),
        ((*SPEC, "headGroupSpec", "rayStartParams", "num-cpus"), 0),
        ((*SPEC, "headGroupSpec", "replicas"), 1),
        ((*HEAD, "terminationGracePeriodSeconds"), None),
        ((*HEAD, "securityContext", "runAsNonRoot"), False),
        ((*HEAD, "securityContext", "runAsUser"), 0),
        ((*HEAD, "hostNetwork"), True),
        ((*CONTAINER, "image"), "osteoray:latest"),
        ((*CONTAINER, "image"), "osteoray"),
        ((*CONTAINER, "resources", "limits"), None),
        ((*CONTAINER, "resources", "limits", "memory"), "8GB"),
        ((*CONTAINER, "resources", "requests", "cpu"), 2),
        ((*CONTAINER, "livenessProbe"), None),
        ((*CONTAINER, "livenessProbe", "httpGet", "port"), 70000),
        ((*CONTAINER, "securityContext", "privileged"), True),
        ((*CONTAINER, "securityContext", "capabilities", "drop"), []),
        ((*CONTAINER, "lifecycle", "preStop", "exec", "command"), "python -m cluster stop"),
        ((*CONTAINER, "env", 0), {"name": "OSTEORAY_HOME"}),
        ((*CONTAINER, "env", 0, "value"), 3),
        ((*CONTAINER, "volumeMounts", 0, "mountPath"), "data"),
        ((*HEAD, "volumes", 0, "emptyDir"), {}),
        ((*HEAD, "volumes", 2, "emptyDir", "medium"), "memory"),
        (("spec", "submitterPodTemplate", "spec", "restartPolicy"), "Always"),
    ],
    ids=lambda x: ".".join(map(str, x)) if isinstance(x, tuple) else None,
)
def test_a_spoilt_copy_is_refused(path, value):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(spoilt(path, value), SCHEMA, jsonschema.Draft202012Validator)


def test_a_key_that_stands_twice_is_refused():
    with pytest.raises(ValueError, match="stands twice"):
        yaml.load("a: 1\na: 2\n", Strict)


@pytest.mark.parametrize("pod", PODS)
def test_a_pod_is_of_one_piece(pod):
    group, spec = PODS[pod]
    (container,) = spec["containers"]
    volumes = {v["name"]: v for v in spec["volumes"]}
    mounts = {m["mountPath"]: volumes[m["name"]] for m in container["volumeMounts"]}
    assert len(mounts) == len(volumes), "every volume is mounted"
    env = {e["name"]: e.get("value") for e in container["env"]}
    assert len(env) == len(container["env"])
    # Datasets and runs lie on the claim, shared memory in memory and within the container's.
    claim = mounts[env["OSTEORAY_HOME"]]["persistentVolumeClaim"]["claimName"]
    assert claim == CLUSTER[0]["metadata"]["name"]
    shm = mounts["/dev/shm"]["emptyDir"]
    assert shm["medium"] == "Memory"
    limit = amount(container["resources"]["limits"]["memory"])
    store = int(group["rayStartParams"]["object-store-memory"])
    assert store < amount(shm["sizeLimit"]) <= limit / 2
    assert env["OSTEORAY_CACHE"].startswith("/tmp/"), "on a volume, not in the image's layer"
    assert "/tmp" in mounts
    # SIGTERM, a checkpoint, SIGKILL: in this order.
    drain = int(env["RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"])
    assert STOP_S <= drain < spec["terminationGracePeriodSeconds"]
    # The runs' drivers live on the head: they are asked first, and have as long.
    hook = container.get("lifecycle", {}).get("preStop")
    assert bool(hook) == ("groupName" not in group)
    if hook:
        command = hook["exec"]["command"]
        assert command[:4] == ["python", "-m", "cluster", "stop"]
        assert CliRunner().invoke(app, [*command[3:-1], "0", "--help"]).exit_code == 0
        assert STOP_S <= int(command[-1]) < spec["terminationGracePeriodSeconds"]
    # What Kubernetes grants is what Ray counts; a GPU is never shared.
    resources = container["resources"]
    assert resources["requests"] == resources["limits"]
    gpu = "nvidia.com/gpu" in resources["limits"]
    assert gpu == bool(spec.get("tolerations")) == (group.get("groupName") == "gpu")
    if "groupName" in group:
        assert group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container[name]["httpGet"]["port"] == PORTS["the agent"]


def test_ray_answers_the_probes_without_a_token():
    from ray.dashboard.http_server_agent import PUBLIC_EXACT_PATHS

    paths = {
        c[p]["httpGet"]["path"]
        for _, s in PODS.values()
        for c in s["containers"]
        for p in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {"/api/healthz"}
    assert paths <= set(PUBLIC_EXACT_PATHS)


@pytest.mark.parametrize("pod", PODS)
def test_ray_start_knows_its_parameters(pod):
    from ray.scripts.scripts import start

    options = {o.lstrip("-") for p in start.params for o in p.opts}
    assert set(PODS[pod][0]["rayStartParams"]) <= options


@pytest.mark.parametrize("name", SPECS)
def test_the_heads_ports_are_rays(name):
    ports = {p["containerPort"] for p in PODS[f"{name}-head"][1]["containers"][0]["ports"]}
    assert ports == {PORTS[what] for what in ("the head", "the dashboard", "Ray client")}
    assert not ports & set(WORKERS)


def test_the_jobs_command_runs_on_its_cluster():
    spec = JOB[0]["spec"]
    words = spec["entrypoint"].split()
    assert words[:3] == ["python", "-m", "training"]
    shown = subprocess.run(
        [sys.executable, *words[1:], "--show"], capture_output=True, text=True, cwd=ROOT
    )
    assert shown.returncode == 0, shown.stderr
    compute = yaml.safe_load(shown.stdout)["compute"]
    (group,) = spec["rayClusterSpec"]["workerGroupSpecs"]
    limits = group["template"]["spec"]["containers"][0]["resources"]["limits"]
    assert compute["workers"] == group["replicas"] == group["maxReplicas"]
    assert compute["min_workers"] == group["minReplicas"]
    assert compute["use_gpu"]
    assert compute["cpus_per_worker"] == amount(limits["cpu"])
    env = yaml.safe_load(spec["runtimeEnvYAML"])["env_vars"]
    assert env == {"RAY_JOB_STOP_WAIT_TIME_S": str(STOP_S)}
