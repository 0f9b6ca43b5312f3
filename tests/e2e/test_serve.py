"""`manage.py serve` on real processes: nothing that was sent is lost when workers come and go."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from urllib.error import HTTPError
from urllib.parse import quote

import pytest

from tests.api.issuer import AUDIENCE, ISSUER, Issuer, KeyServer, jwks
from tests.processes import PATIENCE, Running, System, byron_admin, system, wait_for

pytestmark = [
    pytest.mark.broker,
    pytest.mark.skipif(find_spec("granian") is None, reason="granian is not installed: pip install '.[serve]'"),
]
LISTING_2 = Path(__file__).parent.parent / "schema" / "listings" / "listing_2.yaml"

QUERY = json.dumps({"query": "{ getStudents { name } }"})
#: A command that says when it was called, and returns once it is let go.
HELD = """import pathlib
import time


def get_students(ctx):
    with open("called", "a") as file:
        file.write("x")
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    return []
"""
NAMED = """def get_students(ctx):
    return [ctx.db.Student(id="1", name="{name}", course="c", ingress=1)]
"""


@pytest.fixture
def project(tmp_path) -> Iterator[System]:
    byron_admin("startcomponent", "students", "--schema", str(LISTING_2), directory=tmp_path)
    with system(tmp_path / "students", tmp_path / "state", "Calisto") as running:
        yield running


def command(project: System, text: str) -> None:
    (project.project / "students/api/commands/get_students.py").write_text(text)


def serve(project: System, *options: str, **variables: str) -> Running:
    running = project.start("serve", "--port", str(project.port), *options, **variables)
    running.says("serving at ")
    return running


def children(running: Running) -> list[int]:
    """Return the ids of the workers: children that are not multiprocessing's own helper."""
    pid = running.process.pid
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(each) for each in found if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        # Not there any more, or no more by the time it is read.
        return False


class Client(threading.Thread):
    """Asks again and again on a connection that it keeps alive."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        self.answers: list[str] = []
        self.failures: list[str] = []
        self.refused = False
        self.enough = threading.Event()

    def run(self) -> None:
        while not self.enough.is_set():
            try:
                self.connection.request("POST", "/graphql/", QUERY, {"Content-Type": "application/json"})
                response = self.connection.getresponse()
                answer = json.loads(response.read())
                self.answers.append(answer["data"]["getStudents"][0]["name"])
            except ConnectionRefusedError:
                # Nothing was sent. It is how the end of a server looks.
                self.refused = True
                break
            except Exception as error:
                self.failures.append(repr(error))
                self.connection.close()
        self.connection.close()


def test_it_answers_as_the_api_and_logs_each_request_with_its_id(project):
    api = serve(project, "--workers", "1")

    connection = http.client.HTTPConnection("127.0.0.1", project.port, timeout=PATIENCE)
    headers = {"Content-Type": "application/json", "X-Request-ID": "from-the-client"}
    connection.request("POST", "/graphql/?secret=1", QUERY, headers)
    response = connection.getresponse()

    assert json.loads(response.read()) == {"data": {"getStudents": []}}
    assert response.headers["X-Request-ID"] == "from-the-client"
    api.says("byron.access POST /graphql/ 200 ")
    api.says("request=from-the-client commands=getStudents")
    assert "secret" not in api.output
    connection.close()
    assert api.stop() == 0


def test_the_access_log_can_be_off(project):
    api = serve(project, "--workers", "1", "--no-access-log")

    assert project.get("/healthz") == b'{"status": "ok"}'

    assert api.stop(signal.SIGINT) == 0
    assert "byron.access" not in api.output


def test_bodies_that_never_end_keep_nobody_else_waiting(project):
    serve(project, "--workers", "1", "--threads", "3")
    head = b"POST /graphql/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    unfinished = [socket.create_connection(("127.0.0.1", project.port), PATIENCE) for _ in range(20)]
    try:
        for number, connection in enumerate(unfinished):
            rest = b"Content-Length: 1000\r\n\r\n{" if number % 2 else b"Transfer-Encoding: chunked\r\n\r\n1\r\n{"
            connection.sendall(head + rest)

        assert project.get("/healthz") == b'{"status": "ok"}'
        query = quote("{ getStudents { id } }")
        assert project.get(f"/graphql/?query={query}") == b'{"data": {"getStudents": []}}'
        wait_for(lambda: refusal(project) == (503, "1", "OVERLOADED"), "a further body to be refused")
    finally:
        for connection in unfinished:
            connection.close()
    wait_for(lambda: refusal(project) is None, "bodies to be read again")


def refusal(project):
    """Return the status of a request that is refused, when to try again, and the code; None when it is answered."""
    try:
        project.graphql("{ getStudents { id } }")
    except HTTPError as error:
        return error.code, error.headers["Retry-After"], json.load(error)["errors"][0]["extensions"]["code"]
    return None


def test_it_serves_the_files_of_graphiql_under_debug(project):
    serve(project, "--workers", "1")
    page = project.get("/graphql/", Accept="text/html")
    assert page is not None

    scripts = re.findall(r'src="(/static/[^"]+)"', page.decode())

    assert scripts
    for script in scripts:
        assert project.get(script)


def test_a_command_may_be_asynchronous(project):
    command(project, "async def get_students(ctx):\n    return [each async for each in ctx.db.Student.objects.all()]\n")
    serve(project, "--workers", "1")

    assert project.graphql("{ getStudents { id } }") == {"data": {"getStudents": []}}


def test_who_hangs_up_is_no_error(project):
    command(project, HELD)
    api = serve(project, "--workers", "1")
    connection = http.client.HTTPConnection("127.0.0.1", project.port, timeout=PATIENCE)
    connection.request("POST", "/graphql/", QUERY, {"Content-Type": "application/json"})
    wait_for((project.project / "called").exists, "the command to be called")
    connection.close()
    (project.project / "go").touch()

    api.says("POST /graphql/ 200")

    assert api.stop() == 0
    assert "ERROR" not in api.output


def test_a_worker_is_warm_before_it_is_ready(project):
    api = serve(project, "--workers", "1", BYRON_BROKER_URL="nats://127.0.0.1:1")

    api.says("byron.api starting without the broker namespace=Calisto error=")

    assert api.output.index("starting without the broker") < api.output.index("serving at")
    assert project.graphql("{ getStudents { id } }") == {"data": {"getStudents": []}}


def keys_at(server: KeyServer) -> dict[str, str]:
    return {"BYRON_JWT_KEYS": server.url, "BYRON_JWT_AUDIENCE": AUDIENCE, "BYRON_JWT_ISSUER": ISSUER}


def with_token(project: System, token: str) -> str:
    """Return the code of an answer to a request with a token, or nothing when all is well."""
    try:
        project.request("{ getStudents { id } }", headers={"Authorization": f"Bearer {token}"}).close()
    except HTTPError as error:
        return str(json.load(error)["errors"][0]["extensions"]["code"])
    return ""


def test_keys_that_do_not_come_keep_nobody_else_waiting(project):
    with KeyServer().running() as server:
        server.open.clear()
        api = serve(project, "--workers", "1", "--threads", "4", **keys_at(server))
        assert api.output.index("starting without the keys of tokens") < api.output.index("serving at")
        token, codes = Issuer().token(), []

        def wait_for_keys() -> None:
            # For a second after the fetch of the start there is none to wait for.
            while server.asked == 1:
                with_token(project, token)

        first = threading.Thread(target=wait_for_keys)
        first.start()
        wait_for(lambda: server.asked == 2, "a request to wait for keys")
        began = monotonic()
        senders = [threading.Thread(target=lambda: codes.append(with_token(project, token))) for _ in range(8)]
        for sender in senders:
            sender.start()
        assert project.get("/healthz") == b'{"status": "ok"}'
        assert project.graphql("{ getStudents { id } }") == {"data": {"getStudents": []}}
        for sender in senders:
            sender.join()
        took = monotonic() - began
        first.join()

    assert codes == ["AUTHENTICATION_UNAVAILABLE"] * 8
    # The first one waits for five seconds.
    assert took < 4


def test_sighup_keeps_the_keys_while_their_address_is_away(project, tmp_path):
    issuer, temporary = Issuer(), tmp_path / "tmp"
    with KeyServer().running() as server:
        server.text = jwks(issuer)
        temporary.mkdir()
        api = serve(project, "--workers", "1", **keys_at(server), TMPDIR=str(temporary))
        assert with_token(project, issuer.token()) == ""
        server.status = 500
        old = children(api)

        api.process.send_signal(signal.SIGHUP)
        api.says("byron.serve reloaded")
        wait_for(lambda: not any(map(is_alive, old)), "the worker before to leave")

        assert server.asked == 2
        assert with_token(project, issuer.token()) == ""
        # Whoever comes when one has died has them too.
        os.kill(children(api)[0], signal.SIGKILL)
        wait_for(lambda: server.asked == 3 and project.get("/healthz"), "the worker's successor")
        assert with_token(project, issuer.token()) == ""
        assert api.stop() == 0
    assert list(temporary.iterdir()) == []


def test_its_workers_cannot_write_the_cache(project):
    command(
        project,
        "from django.db import connections\n\n\n"
        "def get_students(ctx):\n"
        '    connections["students"].cursor().execute("DELETE FROM students_student")\n',
    )
    api = serve(project, "--workers", "1")

    assert project.graphql("{ getStudents { id } }")["errors"][0]["extensions"]["code"] == "INTERNAL_ERROR"
    api.says("attempt to write a readonly database")


def test_sigterm_answers_every_request_that_was_sent(project):
    command(project, HELD)
    api = serve(project, "--workers", "1", "--threads", "2")
    # More than there are threads: some wait inside the worker.
    connections = [http.client.HTTPConnection("127.0.0.1", project.port, timeout=PATIENCE) for _ in range(6)]
    for connection in connections:
        connection.request("POST", "/graphql/", QUERY, {"Content-Type": "application/json"})
    called = project.project / "called"
    wait_for(lambda: called.exists() and called.read_text() == "xx", "both threads to be busy")

    api.process.send_signal(signal.SIGTERM)
    api.says("byron.serve stopping")
    (project.project / "go").touch()

    responses = [connection.getresponse() for connection in connections]
    assert [(response.status, response.read()) for response in responses] == [
        (200, b'{"data": {"getStudents": []}}')
    ] * 6
    for connection in connections:
        connection.close()
    assert api.process.wait(PATIENCE) == 0


def test_sigterm_under_load_refuses_connections_and_loses_no_request(project):
    command(project, NAMED.format(name="Ada"))
    api = serve(project, "--workers", "2")
    clients = [Client(project.port) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: all(len(client.answers) > 5 for client in clients), "every client to be answered")
        assert api.stop() == 0
    finally:
        for client in clients:
            client.join(PATIENCE)
            client.enough.set()

    assert [(client.failures, client.refused) for client in clients] == [([], True)] * 4


def test_a_signal_to_the_whole_group_ends_it_in_order_too(project):
    api = serve(project, "--workers", "2")

    os.killpg(api.process.pid, signal.SIGINT)

    assert api.process.wait(PATIENCE) == 0
    assert "Traceback" not in api.output
    assert "ERROR" not in api.output


def test_a_request_that_takes_longer_than_the_grace_does_not_keep_it_from_ending(project):
    command(project, HELD)
    api = serve(project, "--workers", "1", "--grace", "1.5")
    connection = http.client.HTTPConnection("127.0.0.1", project.port, timeout=PATIENCE)
    connection.request("POST", "/graphql/", QUERY, {"Content-Type": "application/json"})
    wait_for((project.project / "called").exists, "the command to be called")

    assert api.stop() == 0

    assert "it did not finish in time" in api.output
    connection.close()


def test_sighup_loads_new_code_and_no_request_fails(project):
    command(project, NAMED.format(name="before"))
    api = serve(project, "--workers", "2")
    old = set(children(api))
    clients = [Client(project.port) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        wait_for(lambda: all(client.answers for client in clients), "every client to be answered")
        command(project, NAMED.format(name="after"))
        api.process.send_signal(signal.SIGHUP)
        api.says("byron.serve reloaded")
        wait_for(lambda: not any(map(is_alive, old)), "the workers before to leave")
        counts = [len(client.answers) for client in clients]
        wait_for(
            lambda: all(len(client.answers) > count for client, count in zip(clients, counts, strict=True)),
            "every client to be answered by the new workers",
        )
    finally:
        for client in clients:
            client.enough.set()
        for client in clients:
            client.join()

    assert [client.failures for client in clients] == [[]] * 4
    for client in clients:
        assert (client.answers[0], client.answers[-1]) == ("before", "after")
    assert len(children(api)) == 2


def test_sighup_with_broken_code_keeps_the_workers(project):
    command(project, NAMED.format(name="before"))
    api = serve(project, "--workers", "2")
    old = children(api)
    command(project, "def get_students(ctx:\n")

    api.process.send_signal(signal.SIGHUP)

    api.says("reload given up, the workers before go on")
    assert "get_students" in api.output
    assert project.graphql("{ getStudents { name } }") == {"data": {"getStudents": [{"name": "before"}]}}
    assert children(api) == old


def test_a_worker_that_dies_is_replaced(project):
    api = serve(project, "--workers", "1")
    [first] = children(api)

    os.kill(first, signal.SIGKILL)

    api.says(f"worker ended pid={first} exit_code=-9: starting another")
    wait_for(lambda: project.get("/healthz"), "the new worker to answer")
    assert api.stop() == 0


def test_its_workers_end_when_it_is_killed(project):
    api = serve(project, "--workers", "1")
    [worker] = children(api)

    api.stop(signal.SIGKILL)

    wait_for(lambda: not is_alive(worker), "the worker to end")
    api.says("the parent process is gone: stopping")


def test_a_port_that_is_taken_is_an_error(project):
    with socket.create_server(("127.0.0.1", project.port)):
        finished = project.manage("serve", "--port", str(project.port), check=False)

    assert finished.returncode == 1
    assert finished.stderr.endswith(
        f"CommandError: 127.0.0.1:{project.port} cannot be listened at: Address already in use. "
        "Choose another address with --host and --port.\n"
    )


def test_two_of_them_cannot_share_a_port(project):
    serve(project, "--workers", "1")

    finished = project.manage("serve", "--port", str(project.port), check=False)

    assert "Address already in use" in finished.stderr


def test_an_application_that_cannot_be_loaded_is_an_error(project):
    with (project.project / "config/wsgi.py").open("a") as file:
        file.write('raise RuntimeError("no licence")\n')

    finished = project.manage("serve", "--port", str(project.port), "--workers", "1", check=False)

    assert finished.returncode == 1
    assert "CommandError: The application cannot be loaded: RuntimeError: no licence." in finished.stderr
