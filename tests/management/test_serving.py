"""What `serve` is made of, without its processes."""

from __future__ import annotations

import socket
import sys

import pytest
from django.core.management import CommandError, call_command

from byron.management.serving import server as serving
from byron.management.serving.server import ServingError, available_cpus, listen, refuse_connections
from byron.management.serving.worker import LeavingApplication


def test_without_granian_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(serving, "find_spec", lambda name: None)
    with pytest.raises(CommandError) as error:
        call_command("serve")

    assert str(error.value) == "`serve` needs granian, which is not installed: pip install 'byron-framework[serve]'"


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("port", "70000", "'70000' is not a number from 0 to 65535"),
        ("workers", "0", "'0' is not a number from 1 to 1024"),
        ("threads", "x", "'x' is not a number from 1 to 256"),
        ("backlog", "1.5", "'1.5' is not a number from 1 to 65535"),
        ("grace", "nan", "'nan' is not a number of seconds from 1 to 3600"),
        ("grace", "0.5", "'0.5' is not a number of seconds from 1 to 3600"),
    ],
)
def test_a_number_out_of_range_is_refused(option, value, expected):
    with pytest.raises(CommandError, match=f"--{option}: {expected}"):
        call_command("serve", f"--{option}={value}")


def test_a_host_that_is_not_here_is_an_error():
    with pytest.raises(ServingError, match=r"192\.0\.2\.1:8000 cannot be listened at: Cannot assign"):
        listen("192.0.2.1", 8000, 1)


def test_a_host_may_be_a_name_or_an_ipv6_address():
    with listen("localhost", 0, 1) as listener:
        assert listener.getsockname()[1]
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with listen("::1", 0, 1) as listener:
        assert listener.family is socket.AF_INET6


def test_there_is_a_cpu():
    assert available_cpus() >= 1


@pytest.mark.skipif(sys.platform != "linux", reason="the filter is Linux's")
def test_refusing_connections_keeps_those_that_wait():
    with listen("127.0.0.1", 0, 8) as listener:
        address = listener.getsockname()
        with socket.create_connection(address, timeout=5) as before:
            refuse_connections(listener)
            before.sendall(b"sent after")
            with socket.socket() as late:
                late.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    late.connect(address)
            accepted, _ = listener.accept()
            with accepted:
                assert accepted.recv(100) == b"sent after"


def test_a_leaving_application_has_each_answer_close_its_connection():
    headers = []

    def application(environ, start_response):
        start_response("200 OK", [("X", "1")])
        return [b"body"]

    leaving = LeavingApplication(application)

    def start(status, given, exc_info=None):
        headers.append(given)

    assert leaving({}, start) == [b"body"]
    leaving.leaving = True
    leaving({}, start)

    assert headers == [[("X", "1")], [("X", "1"), ("Connection", "close")]]


def test_a_request_under_way_when_it_is_to_leave_closes_its_connection_too():
    headers = []

    def application(environ, start_response):
        leaving.leaving = True
        start_response("200 OK", [])
        return []

    leaving = LeavingApplication(application)
    leaving({}, lambda status, given, exc_info=None: headers.append(given))

    assert headers == [[("Connection", "close")]]
