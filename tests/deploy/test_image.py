"""The image of a new component, built and run: read-only, as nobody, with its API and its Sink.

It needs a builder of images, which is named in the environment:

    BYRON_TEST_BUILDER='podman --runtime runc' BYRON_TEST_BASE_IMAGE=localhost/python:3.11 make image

Without root it is the same, and buildah alone will do, which only runs single commands of the image:

    BYRON_TEST_BUILDER=buildah BYRON_TEST_BUILDER_OPTIONS='--isolation chroot' ... make image

BYRON_TEST_BASE_IMAGE is any image with Python 3.11 and venv (default: the Dockerfile's own), and
BYRON_TEST_BUILDER_OPTIONS what `build` and `run` are given besides. Python packages come from pip on this machine.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from byron.broker.server import find_binary
from tests.processes import System, byron_admin, free_port, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
BUILDER = shlex.split(os.environ.get("BYRON_TEST_BUILDER", ""))
OPTIONS = shlex.split(os.environ.get("BYRON_TEST_BUILDER_OPTIONS", ""))
BUILDAH = BUILDER[:1] != [] and Path(BUILDER[0]).name == "buildah"
BASE_IMAGE = os.environ.get("BYRON_TEST_BASE_IMAGE", "")
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")
SECRET = "k9-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP"

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(
        not BUILDER,
        reason="NOT TESTED: the image was neither built nor run. Name one: BYRON_TEST_BUILDER=docker (podman, buildah)",
    ),
]


def execute(*command: str, directory: Path = ROOT, check: bool = True) -> str:
    finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=900)
    if check and finished.returncode:
        pytest.fail(f"{' '.join(command)} exited with {finished.returncode}:\n{finished.stdout}{finished.stderr}")
    return finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("image")
    byron_admin("startcomponent", "students", directory=directory)
    wheels = directory / "students/deploy/wheels"
    # A copy, because a build leaves its traces in the tree.
    shutil.copytree(ROOT, directory / "source", ignore=NOT_COPIED)
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(directory / "source")]
    execute(sys.executable, *build, directory=directory)
    requirements = str(directory / "students/requirements.txt")
    download = ["-m", "pip", "download", "-q", "-d", str(wheels), "--find-links", str(wheels), "-r", requirements]
    execute(sys.executable, *download, directory=directory)
    return directory / "students"


@pytest.fixture(scope="module")
def image(project: Path) -> Iterator[str]:
    name = f"byron-test-{uuid.uuid4().hex[:12]}"
    base = ["--build-arg", f"BASE_IMAGE={BASE_IMAGE}"] if BASE_IMAGE else []
    pip = project.parent / "pip.conf"
    pip.write_text("[global]\nno-index = true\n")
    (project / "deploy/.env").write_text(f"SECRET_KEY={SECRET}\n")
    secret = ["--secret", f"id=pip.conf,src={pip}"]
    execute(*BUILDER, "build", *OPTIONS, *base, *secret, "-f", "deploy/Dockerfile", "-t", name, ".", directory=project)
    yield name
    execute(*BUILDER, "rmi", "--force", name, check=False)


class Containers:
    """Containers of one image on this machine's network, and a broker for them."""

    def __init__(self, image: str, directory: Path) -> None:
        self._image = image
        self._names: list[str] = []
        self.port, self._broker_port = free_port(), free_port()
        data = directory / "data"
        data.mkdir()
        # For the image's user, who is nobody here.
        data.chmod(0o777)
        configuration = directory / "nats.conf"
        text = (ROOT / "examples/hello/deploy/nats.conf").read_text()
        for old, new in {
            "0.0.0.0:4222": f"127.0.0.1:{self._broker_port}",
            'http: "0.0.0.0:8222"\n': "",
            "/data": str(directory / "log"),
        }.items():
            assert old in text
            text = text.replace(old, new)
        configuration.write_text(text)
        with (directory / "nats.log").open("w") as log:
            self._broker = subprocess.Popen(
                [str(find_binary()), "-c", str(configuration)],
                env=os.environ | {"BROKER_PASSWORD": "p0123"},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._options = [
            "--network=host",
            "--read-only",
            "--tmpfs=/tmp",
            "--cap-drop=all",
            "--security-opt=no-new-privileges",
            f"--volume={data}:/data",
            *OPTIONS,
            f"--env=SECRET_KEY={SECRET}",
            "--env=ALLOWED_HOSTS=localhost,127.0.0.1",
            f"--env=BYRON_BROKER_URL=nats://byron:p0123@127.0.0.1:{self._broker_port}",
            "--env=CACHE_URL=sqlite:////data/students.sqlite3",
        ]

    def run(self, *command: str, entrypoint: str = "") -> str:
        """Run a command to its end and return its output."""
        if BUILDAH:
            return self._run_by_buildah(*([entrypoint] if entrypoint else ["python", "manage.py"]), *command)
        changed = [f"--entrypoint={entrypoint}"] if entrypoint else []
        return execute(*BUILDER, "run", "--rm", *self._options, *changed, self._image, *command)

    def _run_by_buildah(self, *command: str) -> str:
        container = execute(*BUILDER, "from", self._image).strip().splitlines()[-1]
        # What it has no word for is a matter of the container, which `podman` and `docker` make.
        known = [each for each in self._options if each.startswith(("--env=", "--volume="))] + OPTIONS
        try:
            return execute(*BUILDER, "run", *known, container, "--", *command)
        finally:
            execute(*BUILDER, "rm", container)

    def start(self, *command: str) -> str:
        """Start a command and return its container's name."""
        name = f"{self._image}-{len(self._names)}"
        self._names.append(name)
        execute(*BUILDER, "run", "--detach", f"--name={name}", *self._options, self._image, *command)
        return name

    def shell(self, name: str, command: str) -> str:
        return execute(*BUILDER, "exec", name, "sh", "-c", command, check=False)

    def stop(self, name: str) -> int:
        """Stop a container as a cluster does; return its exit code."""
        execute(*BUILDER, "stop", "--time=30", name)
        return int(execute(*BUILDER, "inspect", "--format={{.State.ExitCode}}", name))

    def end(self) -> None:
        for name in self._names:
            execute(*BUILDER, "rm", "--force", name, check=False)
        self._broker.terminate()
        self._broker.wait(30)


@pytest.fixture
def containers(image: str, tmp_path: Path) -> Iterator[Containers]:
    made = Containers(image, tmp_path)
    try:
        yield made
    finally:
        made.end()


def test_the_image_has_no_secrets_and_no_tools_for_tests(image, containers):
    places = ["/app", "/opt/venv/bin", "/data", "/tmp"]
    shown = containers.run(
        *places, "-name", ".env*", "-o", "-name", "nats-server", "-o", "-name", "deploy", entrypoint="find"
    )
    assert shown == ""
    if BUILDAH:
        inspected = execute(*BUILDER, "inspect", "--type", "image", image)
        user = json.loads(inspected)["OCIv1"]["config"]["User"]
    else:
        inspected = execute(*BUILDER, "inspect", image) + execute(*BUILDER, "history", "--no-trunc", image)
        user = json.JSONDecoder().raw_decode(inspected)[0][0]["Config"]["User"]
    assert SECRET not in inspected
    assert user == "10001:10001"


def test_commands_of_the_image_work_as_nobody(containers):
    assert "no issues" in containers.run("check", "--deploy")
    assert containers.run("-u", entrypoint="id").strip() == "10001"
    assert "Applying students.0001_initial... OK" in containers.run("migrate", "--no-input")


@pytest.mark.skipif(BUILDAH, reason="NOT TESTED: API and Sink did not run. buildah runs nothing in the background")
def test_api_and_sink_run_as_nobody_on_a_read_only_file_system(containers, tmp_path):
    containers.run("migrate", "--no-input")
    sink = containers.start("runsink", "students", "--alive", "/tmp/alive")
    api = containers.start("serve", "--host", "127.0.0.1", "--port", str(containers.port), "--workers", "1")
    system = System(tmp_path, tmp_path)
    system.port = containers.port
    wait_for(lambda: system.get("/readyz"), "the API to be ready")

    mutation = 'mutation { createStudent(name: "Ada", course: "CS", ingress: 1843) { id } }'
    receipt = system.graphql(mutation)["extensions"]["byron"]["receipt"]
    with system.request("{ getStudents { name } }", headers={"Byron-After": receipt}) as response:
        assert json.loads(response.read())["data"] == {"getStudents": [{"name": "Ada"}]}

    for name in (api, sink):
        assert containers.shell(name, "id -u").strip() == "10001"
        assert "Read-only file system" in containers.shell(name, "touch /app/x")
    assert containers.shell(sink, 'test -n "$(find /tmp/alive -mmin -1)" && echo alive').strip() == "alive"
    assert containers.stop(sink) == 0
    assert containers.stop(api) == 0
