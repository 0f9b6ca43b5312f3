"""compose.yaml: valid, hardened, in order, and without a secret in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from byron.codegen.deployment import SYSTEM_BROKER, system_broker_files, system_network
from tests.deploy.interpolation import MissingError, interpolated

compose_spec = pytest.importorskip("compose_spec", reason="compose-spec is not installed: pip install compose-spec")
SECRETS = {"SECRET_KEY": "key-of-mine", "BROKER_PASSWORD": "pbroker", "CACHE_PASSWORD": "pcache"}


def text(project: Path) -> str:
    return (project / "deploy/compose.yaml").read_text()


def services(project: Path, **environment: str) -> dict[str, dict[str, Any]]:
    loaded = yaml.safe_load(interpolated(text(project), SECRETS | environment))
    return dict(loaded["services"])


def in_the_system(project: Path, **environment: str) -> dict[str, Any]:
    """Return what compose.system.yaml says; Compose merges it into the other."""
    file = project / "deploy/compose.system.yaml"
    return dict(yaml.safe_load(interpolated(file.read_text(), environment)))


def of_kind(project: Path, kind: str) -> dict[str, dict[str, Any]]:
    return {name: each for name, each in services(project).items() if name.rpartition("-")[2] == kind}


def test_it_is_what_the_specification_asks_for(project):
    # What YAML and Compose make of the file before they read it: neither is this library's to do.
    filled = yaml.safe_load(interpolated(text(project), SECRETS))
    read = compose_spec.PyCompose.from_yaml(yaml.safe_dump(filled))

    assert read.name
    assert set(read.to_spec().services) == set(services(project))
    compose_spec.ComposeSpecification.model_validate(filled)


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_nothing_starts(project, name):
    with pytest.raises(MissingError, match=f"{name}: set it in deploy/.env"):
        interpolated(text(project), {key: value for key, value in SECRETS.items() if key != name})

    assert f"\n{name}=\n" in (project / "deploy/.env.example").read_text()


def test_every_service_is_hardened(project):
    for name, service in services(project).items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service and "cap_add" not in service, name


def test_ports_are_open_on_this_machine_only(project):
    for service in services(project).values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_api_and_sinks_wait_for_the_migration_and_it_for_the_caches(project):
    [migration] = of_kind(project, "migrate")
    [api] = of_kind(project, "api")
    caches = of_kind(project, "cache")

    for each in {api: services(project)[api], **of_kind(project, "sink")}.values():
        assert each["depends_on"][migration] == {"condition": "service_completed_successfully"}
        assert each["depends_on"]["broker"] == {"condition": "service_healthy", "required": False}
    assert services(project)[migration]["restart"] == "no"
    assert services(project)[migration]["depends_on"] == {name: {"condition": "service_healthy"} for name in caches}
    for name in ("broker", *caches):
        assert services(project)[name]["healthcheck"]["test"], name


def test_every_process_is_given_every_cache(project):
    caches = of_kind(project, "cache")
    [api] = of_kind(project, "api").values()
    urls = {value for name, value in api["environment"].items() if name.endswith("_CACHE_URL")}

    assert urls == {
        f"postgres://byron:pcache@{name}:5432/{each['environment']['POSTGRES_DB']}" for name, each in caches.items()
    }


def test_what_is_mounted_exists(project):
    loaded = yaml.safe_load(text(project))
    for service in loaded["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (project / "deploy" / source).is_file()
            else:
                assert source in loaded["volumes"]
        if "build" in service:
            context = (project / "deploy" / service["build"]["context"]).resolve()
            assert (context / service["build"]["dockerfile"]).resolve() == project.resolve() / "deploy/Dockerfile"


def test_in_a_system_the_project_s_own_broker_is_left_out_and_the_others_find_the_system_s(project):
    system = in_the_system(project, SYSTEM_BROKER_PASSWORD="psystem")

    compose_spec.ComposeSpecification.model_validate(system)
    # A service with a profile starts when it is asked for only; one that is merely named would start.
    assert system["services"].pop("broker") == {"profiles": ["own-broker"]}
    assert set(system["services"]) == {name for kind in ("api", "sink", "migrate") for name in of_kind(project, kind)}
    for service in system["services"].values():
        assert service["environment"]["BYRON_BROKER_URL"] == f"nats://byron:psystem@{SYSTEM_BROKER}:4222"
        assert service["networks"] == ["default", "system"]
    [namespace] = system["x-byron"]["namespaces"]
    assert system["networks"] == {"system": {"name": system_network(namespace), "external": True}}
    other = in_the_system(project, BYRON_BROKER_URL="nats://elsewhere:4222")["services"]
    assert {each["environment"]["BYRON_BROKER_URL"] for each in other.values() if "environment" in each} == {
        "nats://elsewhere:4222"
    }


@pytest.mark.parametrize("namespace", ["StudyCase", "no"])
def test_the_broker_of_a_system_is_a_project_s_own_but_for_its_network(project, namespace):
    text = system_broker_files(namespace)["compose.yaml"]
    loaded = yaml.safe_load(interpolated(text, {"BROKER_PASSWORD": "pbroker"}))
    broker = loaded["services"]["broker"]

    compose_spec.ComposeSpecification.model_validate(loaded)
    assert broker.pop("networks") == {"system": {"aliases": [SYSTEM_BROKER]}}
    assert broker == services(project)["broker"]
    assert loaded["name"] == loaded["networks"]["system"]["name"] == system_network(namespace)
    with pytest.raises(MissingError, match="BROKER_PASSWORD"):
        interpolated(text, {})


def test_health_checks_have_no_words_with_spaces_but_for_a_shell(project):
    # podman's API cuts them.
    for name, service in services(project).items():
        how, *words = service["healthcheck"].get("test", ["none"])
        assert how == "CMD-SHELL" or not any(" " in word for word in words), name


def test_another_broker_can_be_used(project):
    [name] = of_kind(project, "api")

    assert services(project)[name]["environment"]["BYRON_BROKER_URL"] == "nats://byron:pbroker@broker:4222"
    other = services(project, BYRON_BROKER_URL="nats://elsewhere:4222")[name]
    assert other["environment"]["BYRON_BROKER_URL"] == "nats://elsewhere:4222"
