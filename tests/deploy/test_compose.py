"""compose.yaml: valid, hardened, in order, and without a secret in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.interpolation import MissingError, interpolated

compose_spec = pytest.importorskip("compose_spec", reason="compose-spec is not installed: pip install compose-spec")
SECRETS = {"SECRET_KEY": "key-of-mine", "BROKER_PASSWORD": "pbroker", "CACHE_PASSWORD": "pcache"}


def text(project: Path) -> str:
    return (project / "deploy/compose.yaml").read_text()


def services(project: Path, **environment: str) -> dict[str, dict[str, Any]]:
    loaded = yaml.safe_load(interpolated(text(project), SECRETS | environment))
    return dict(loaded["services"])


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
        assert each["depends_on"]["broker"] == {"condition": "service_healthy"}
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


def test_another_broker_can_be_used(project):
    [name] = of_kind(project, "api")

    assert services(project)[name]["environment"]["BYRON_BROKER_URL"] == "nats://byron:pbroker@broker:4222"
    other = services(project, BYRON_BROKER_URL="nats://elsewhere:4222")[name]
    assert other["environment"]["BYRON_BROKER_URL"] == "nats://elsewhere:4222"
