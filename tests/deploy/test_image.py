"""The image of a new component, built and run: read-only, as nobody, with its API and its Sink.

docker, podman or buildah builds it, the first that works; none of them needs root:

    make image
    BYRON_TEST_BUILDER='podman --runtime runc' make image
    BYRON_TEST_BUILDER=buildah BYRON_TEST_BUILDER_OPTIONS='--isolation chroot' make image

A builder that is named has to work. BYRON_TEST_BASE_IMAGE is any image with this Python and venv (default: the
Dockerfile's own), and BYRON_TEST_BUILDER_OPTIONS what `build` and `run` are given besides. Python packages come from
pip on this machine. With buildah the file system is not read-only: it has no word for that.
"""

from __future__ import annotations

import abc
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from byron.broker.server import find_binary
from tests.deploy.builders import Builder, NoBuilderError, find
from tests.processes import System, byron_admin, free_port, wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
BASE_IMAGE = os.environ.get("BYRON_TEST_BASE_IMAGE", "")
DOCKERFILE = ROOT / "examples/hello/deploy/Dockerfile"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "__pycache__", ".*_cache")
SECRET = "k9-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOP"

pytestmark = pytest.mark.broker


def execute(*command: str, directory: Path = ROOT, check: bool = True) -> str:
    finished = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False, timeout=300)
    if check and finished.returncode:
        pytest.fail(f"{' '.join(command)} exited with {finished.returncode}:\n{finished.stdout}{finished.stderr}")
    return finished.stdout + finished.stderr


@pytest.fixture(scope="module")
def builder() -> Builder:
    own = re.search(r"^ARG BASE_IMAGE=(\S+)$", DOCKERFILE.read_text(), re.MULTILINE)
    assert own is not None
    try:
        return find(BASE_IMAGE or f"docker.io/library/{own[1]}")
    except NoBuilderError as error:
        if "BYRON_TEST_BUILDER" in os.environ:
            pytest.fail(str(error))
        pytest.skip(f"NOT TESTED: the image was neither built nor run. {error}")


@pytest.fixture(scope="module")
def project(builder: Builder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("image")
    byron_admin("startcomponent", "students", directory=directory)
    wheels = directory / "students/deploy/wheels"
    # A copy, because a build leaves its traces in the tree.
    shutil.copytree(ROOT, directory / "source", ignore=NOT_COPIED)
    build = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(wheels), str(directory / "source")]
    execute(sys.executable, *build, directory=directory)
    requirements = str(directory / "students/requirements.txt")
    # As wheels, since the image has nothing to build others from: no index.
    collect = ["-m", "pip", "wheel", "-q", "-w", str(wheels), "--find-links", str(wheels), "-r", requirements]
    execute(sys.executable, *collect, directory=directory)
    return directory / "students"


@pytest.fixture(scope="module")
def image(builder: Builder, project: Path) -> Iterator[str]:
    name = f"byron-test-{uuid.uuid4().hex[:12]}"
    base = ["--build-arg", f"BASE_IMAGE={BASE_IMAGE}"] if BASE_IMAGE else []
    pip = project.parent / "pip.conf"
    pip.write_text("[global]\nno-index = true\n")
    (project / "deploy/.env").write_text(f"SECRET_KEY={SECRET}\n")
    secret = ["--secret", f"id=pip.conf,src={pip}"]
    try:
        execute(*builder.build, *base, *secret, "-f", "deploy/Dockerfile", "-t", name, ".", directory=project)
        yield name
    finally:
        execute(*builder.command, "rmi", "--force", name, check=False)


class Containers(abc.ABC):
    """Containers of one image on this machine's network, and a broker for them."""

    def __init__(self, builder: Builder, image: str, directory: Path) -> None:
        self._builder = builder
        self._image = image
        self._directory = directory
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
            f"--volume={data}:/data",
            f"--env=SECRET_KEY={SECRET}",
            "--env=ALLOWED_HOSTS=localhost,127.0.0.1",
            f"--env=BYRON_BROKER_URL=nats://byron:p0123@127.0.0.1:{self._broker_port}",
            "--env=CACHE_URL=sqlite:////data/students.sqlite3",
        ]

    @abc.abstractmethod
    def run(self, *command: str, entrypoint: str = "") -> str:
        """Run a command to its end and return its output."""

    @abc.abstractmethod
    def start(self, *command: str) -> str:
        """Start a command and return its container's name."""

    @abc.abstractmethod
    def shell(self, name: str, command: str) -> str:
        """Run a line of shell in a container that runs, and return what it says."""

    @abc.abstractmethod
    def stop(self, name: str) -> int:
        """Stop a container as a cluster does; return its exit code."""

    @abc.abstractmethod
    def log(self, name: str) -> str:
        """Return what a container's command said so far."""

    def end(self) -> None:
        self._broker.terminate()
        self._broker.wait(30)


class OfEngine(Containers):
    """Those of docker and podman."""

    def __init__(self, builder: Builder, image: str, directory: Path) -> None:
        super().__init__(builder, image, directory)
        self._names: list[str] = []

    def run(self, *command: str, entrypoint: str = "") -> str:
        changed = [f"--entrypoint={entrypoint}"] if entrypoint else []
        return execute(*self._builder.run, "--rm", *self._options, *changed, self._image, *command)

    def start(self, *command: str) -> str:
        name = f"{self._image}-{len(self._names)}"
        self._names.append(name)
        execute(*self._builder.run, "--detach", f"--name={name}", *self._options, self._image, *command)
        return name

    def shell(self, name: str, command: str) -> str:
        return execute(*self._builder.command, "exec", name, "sh", "-c", command, check=False)

    def stop(self, name: str) -> int:
        execute(*self._builder.command, "stop", "--time=30", name)
        return int(execute(*self._builder.command, "inspect", "--format={{.State.ExitCode}}", name))

    def log(self, name: str) -> str:
        return execute(*self._builder.command, "logs", name, check=False)

    def end(self) -> None:
        for name in self._names:
            print(self.log(name))  # for the report of a failure
            execute(*self._builder.command, "rm", "--force", name, check=False)
        super().end()


#: buildah kills what it runs when it is told to end itself, and panics when another `run` of the same container ended
#: before. So a shell beside the command runs what it reads, passes on the end as a signal, and returns its exit code.
UNTIL_CLOSED = '"$@" & while read -r line; do sh -c "$line"; done; kill -TERM $!; wait $!'


class OfBuildah(Containers):
    """Those of buildah, which runs a command only as long as it is waited for: each is a child of the tests."""

    def __init__(self, builder: Builder, image: str, directory: Path) -> None:
        super().__init__(builder, image, directory)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def _made(self) -> str:
        return execute(*self._builder.command, "from", "--pull-never", self._image).split()[-1]

    def run(self, *command: str, entrypoint: str = "") -> str:
        container = self._made()
        words = [entrypoint] if entrypoint else ["python", "manage.py"]
        try:
            return execute(*self._builder.run, *self._options, container, "--", *words, *command)
        finally:
            execute(*self._builder.command, "rm", container)

    def start(self, *command: str) -> str:
        name = self._made()
        words = [*self._builder.run, *self._options, name, "--"]
        words += ["sh", "-c", UNTIL_CLOSED, "sh", "python", "manage.py", *command]
        with (self._directory / f"{name}.log").open("w") as log:
            self._running[name] = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=subprocess.STDOUT)
        return name

    def shell(self, name: str, command: str) -> str:
        pipe = self._running[name].stdin
        assert pipe is not None
        said = self._directory / "data" / uuid.uuid4().hex
        pipe.write(f"({command}) > /data/{said.name}.part 2>&1; mv /data/{said.name}.part /data/{said.name}\n".encode())
        pipe.flush()
        wait_for(said.exists, f"the answer to `{command}`")
        return said.read_text()

    def stop(self, name: str) -> int:
        process = self._running[name]
        if process.stdin is not None:
            process.stdin.close()
        return process.wait(35)

    def log(self, name: str) -> str:
        return (self._directory / f"{name}.log").read_text()

    def end(self) -> None:
        for name, process in self._running.items():
            process.terminate()
            process.wait(30)
            if process.stdin is not None:
                process.stdin.close()
            print(self.log(name))  # for the report of a failure
            execute(*self._builder.command, "rm", name, check=False)
        super().end()


@pytest.fixture
def containers(builder: Builder, image: str, tmp_path: Path) -> Iterator[Containers]:
    made = (OfBuildah if builder.is_buildah else OfEngine)(builder, image, tmp_path)
    try:
        yield made
    finally:
        made.end()


def test_the_image_has_no_secrets_and_no_tools_for_tests(builder, image, containers):
    places = ["/app", "/opt/venv/bin", "/data", "/tmp"]
    shown = containers.run(
        *places, "-name", ".env*", "-o", "-name", "nats-server", "-o", "-name", "deploy", entrypoint="find"
    )
    assert shown == ""
    if builder.is_buildah:
        inspected = execute(*builder.command, "inspect", "--type", "image", image)
        user = json.loads(inspected)["OCIv1"]["config"]["User"]
    else:
        inspected = execute(*builder.command, "inspect", image) + execute(
            *builder.command, "history", "--no-trunc", image
        )
        user = json.JSONDecoder().raw_decode(inspected)[0][0]["Config"]["User"]
    assert SECRET not in inspected
    assert user == "10001:10001"


def test_commands_of_the_image_work_as_nobody(containers):
    assert "no issues" in containers.run("check", "--deploy")
    assert containers.run("-u", entrypoint="id").strip() == "10001"
    assert "Applying students.0001_initial... OK" in containers.run("migrate", "--no-input")


def test_api_and_sink_run_as_nobody_and_change_nothing_of_the_image(builder, containers, tmp_path):
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
        refused = "Permission denied" if builder.is_buildah else "Read-only file system"
        assert refused in containers.shell(name, "touch /app/x")
    assert containers.shell(sink, 'test -n "$(find /tmp/alive -mmin -1)" && echo alive').strip() == "alive"
    assert containers.stop(sink) == 0
    assert containers.stop(api) == 0
