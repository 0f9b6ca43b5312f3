"""A project's port: remembered, and never taken from anybody."""

from __future__ import annotations

import os
import re
import socket

import pytest

from byron.broker.ports import is_free
from byron.management.engines import EngineError, ProcessEngine
from byron.management.engines.ports import Ports
from byron.management.systems.projects import Project


def test_a_project_keeps_its_port_and_others_get_another(tmp_path):
    ports = Ports(tmp_path)

    first, second = ports.choose(tmp_path / "a"), ports.choose(tmp_path / "b")

    assert first >= 8000
    assert second > first
    assert Ports(tmp_path).choose(tmp_path / "a") == first


def test_a_port_that_is_forgotten_goes_to_the_next(tmp_path):
    ports = Ports(tmp_path)
    first = ports.choose(tmp_path / "a")
    ports.forget(tmp_path / "a")

    assert ports.choose(tmp_path / "b") == first


def test_a_damaged_memory_costs_no_more_than_itself(tmp_path):
    (tmp_path / "ports.json").write_text("[8000")

    assert Ports(tmp_path).choose(tmp_path / "a") >= 8000


def test_a_port_that_is_taken_is_named_with_who_has_it_and_the_remedy(tmp_path):
    engine, project = ProcessEngine(tmp_path), Project(tmp_path / "shop")
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        with pytest.raises(EngineError) as asked:
            engine.choose_port(project, port)

    assert not is_free(port) or engine.choose_port(project, port) == port
    with socket.create_server(("127.0.0.1", port)), pytest.raises(EngineError) as remembered:
        engine.choose_port(project)

    assert str(asked.value).startswith(f"shop: port {port} is taken by process {os.getpid()}, ")
    assert str(remembered.value).startswith(f"shop: port {port}, which it had before, is taken by process ")
    [suggested] = re.findall(r"choose another port: byron up -d --port (\d+) ", str(remembered.value))
    assert int(suggested) != port
    assert is_free(int(suggested))
