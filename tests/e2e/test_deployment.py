"""A new component outside DEBUG: Django's own deployment checks, TLS at a proxy, CORS."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.processes import byron_admin, run

PRODUCTION = """DEBUG=false
SECRET_KEY=k9-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP
ALLOWED_HOSTS=students.example.org
BYRON_BROKER_URL=nats://broker:4222
"""
#: Sends requests through the project's middleware; each is [method, path, headers].
ASK = """
import json, logging
from django.test import Client
client = Client(SERVER_NAME="students.example.org")
answers = []
for method, path, headers in {requests!r}:
    response = client.generic(method, path, headers=headers)
    answers.append([response.status_code, {{name.lower(): value for name, value in response.items()}}])
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("deployment")
    byron_admin("startcomponent", "students", directory=directory)
    return directory / "students"


@pytest.fixture
def project(made: Path, tmp_path: Path) -> Path:
    copy = tmp_path / "students"
    shutil.copytree(made, copy)
    (copy / ".env").write_text(PRODUCTION)
    return copy


def extend(project: Path, *lines: str) -> None:
    with (project / ".env").open("a") as file:
        file.writelines(f"{line}\n" for line in lines)


def ask(project: Path, *requests: tuple[str, str, dict[str, str]]) -> list[Any]:
    shown = run(["manage.py", "shell", "-v0", "-c", ASK.format(requests=requests)], project, project / ".state").stdout
    return list(json.loads(shown))


def test_the_deployment_check_has_nothing_to_say(project):
    shown = run(["manage.py", "check", "--deploy", "--fail-level", "WARNING"], project, project / ".state")

    assert shown.stdout == "System check identified no issues (4 silenced).\n"
    assert shown.stderr == ""


def test_what_the_environment_lacks_is_told_in_two_lines(project):
    (project / ".env").unlink()

    finished = run(["manage.py", "check"], project, project / ".state", check=False)

    assert finished.returncode == 1
    assert finished.stderr == (
        "Set the SECRET_KEY environment variable\n"
        "For development: cp .env.example .env, which tells what the environment may hold, too. "
        "(--traceback shows where it is read.)\n"
    )
    finished = run(["manage.py", "check", "--traceback"], project, project / ".state", check=False)
    assert "config/settings.py" in finished.stderr


def test_a_weak_key_is_still_found(project):
    (project / ".env").write_text(PRODUCTION.replace("k9-0123456789abcdefghijklmnopqrstuvwxyz", "k"))

    finished = run(["manage.py", "check", "--deploy"], project, project / ".state")

    assert "security.W009" in finished.stderr


def test_plain_http_is_served_since_tls_ends_at_the_proxy(project):
    [[status, headers]] = ask(project, ("GET", "/healthz", {}))

    assert status == 200
    assert "strict-transport-security" not in headers


def test_the_proxy_s_word_counts_only_when_it_is_trusted(project):
    secure = ("GET", "/healthz", {"X-Forwarded-Proto": "https"})
    assert "strict-transport-security" not in ask(project, secure)[0][1]

    extend(project, "TRUST_PROXY=true")

    assert ask(project, secure)[0][1]["strict-transport-security"] == "max-age=31536000"


def test_redirects_can_be_had_and_leave_the_probes_alone(project):
    extend(project, "SECURE_SSL_REDIRECT=true", "TRUST_PROXY=true")

    plain, probe, secure = ask(
        project,
        ("GET", "/graphql/", {}),
        ("GET", "/healthz", {}),
        ("GET", "/graphql/?query={__typename}", {"X-Forwarded-Proto": "https"}),
    )

    assert (plain[0], plain[1]["location"]) == (301, "https://students.example.org/graphql/")
    assert (probe[0], secure[0]) == (200, 200)
    assert run(["manage.py", "check", "--deploy"], project, project / ".state").stderr == ""


def test_redirects_that_never_end_are_told(project):
    extend(project, "SECURE_SSL_REDIRECT=true")

    assert "byron.W005" in run(["manage.py", "check", "--deploy"], project, project / ".state").stderr


def test_without_cors_no_other_origin_is_let_in(project):
    [[_, headers]] = ask(project, ("GET", "/healthz", {"Origin": "https://app.example.org"}))

    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.skipif(
    find_spec("corsheaders") is None, reason="django-cors-headers is not installed: pip install '.[cors]'"
)
def test_cors_lets_the_origins_in_that_are_named(project):
    extend(project, "CORS_ALLOWED_ORIGINS=https://app.example.org")
    ours, theirs = {"Origin": "https://app.example.org"}, {"Origin": "https://evil.example.org"}
    preflight = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "content-type"}

    asked, answered, refused = ask(
        project,
        ("OPTIONS", "/graphql/", ours | preflight),
        ("GET", "/healthz", ours),
        ("OPTIONS", "/graphql/", theirs | preflight),
    )

    assert asked[0] == 200
    assert asked[1]["access-control-allow-origin"] == "https://app.example.org"
    assert "content-type" in asked[1]["access-control-allow-headers"]
    assert "x-request-id" in asked[1]
    assert "access-control-allow-credentials" not in asked[1]
    assert "byron-consistency" in asked[1]["access-control-allow-headers"]
    exposed = "byron-receipt, idempotency-replayed, retry-after, www-authenticate, x-request-id"
    assert answered[1]["access-control-expose-headers"] == exposed
    assert "access-control-allow-origin" not in refused[1]
    assert run(["manage.py", "check", "--deploy"], project, project / ".state").stderr == ""


@pytest.mark.skipif(
    find_spec("corsheaders") is None, reason="django-cors-headers is not installed: pip install '.[cors]'"
)
def test_a_page_of_another_origin_can_read_refusals(project):
    extend(project, "CORS_ALLOWED_ORIGINS=https://app.example.org")
    ours = {"Origin": "https://app.example.org"}

    answers = ask(project, ("GET", "/nope", ours), ("GET", "/healthz", ours | {"Host": "evil.example"}))

    assert [status for status, _ in answers] == [404, 400]
    for _, headers in answers:
        assert headers["access-control-allow-origin"] == "https://app.example.org"
        assert headers["content-type"].startswith("application/json")
        assert headers["content-length"]


def test_what_a_client_did_wrong_is_one_line_of_the_log(project):
    requests = [("GET", "/nope", {}), ("POST", "/graphql/", {}), ("GET", "/healthz", {"Host": "evil.example"})]
    logged = run(["manage.py", "shell", "-v0", "-c", ASK.format(requests=requests)], project, project / ".state").stderr

    # A wrong Host is told with its remedy besides: it is what a first deployment gets wrong.
    [hint] = [line for line in logged.splitlines() if " byron.api " in line]
    assert "WARNING byron.api refused the host 'evil.example', which ALLOWED_HOSTS does not name request=" in hint
    lines = [line for line in logged.splitlines() if line != hint]
    assert [line.split(" ")[3] for line in lines] == ["byron.access"] * 3, logged
    assert [line.rpartition("errors=")[2] for line in lines] == ["NOT_FOUND", "UNSUPPORTED_MEDIA_TYPE", "BAD_HOST"]


def test_cors_without_its_package_is_a_clear_error(project):
    extend(project, "CORS_ALLOWED_ORIGINS=https://app.example.org")
    settings = project / "config/settings.py"
    # As good as not installed: no module of that name can be found.
    settings.write_text('import sys\n\nsys.modules["corsheaders"] = None\n' + settings.read_text())

    finished = run(["manage.py", "check"], project, project / ".state", check=False)

    assert finished.returncode == 1
    assert finished.stderr.startswith(
        "CORS_ALLOWED_ORIGINS is set, but corsheaders is not installed: "
        "pip install 'byron-framework[cors]', or unset it.\n"
    )
