"""Rebuilding a Cache on a real PostgreSQL, with the commands of a generated project."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest

from tests.postgres import PostgresServer, why_not
from tests.processes import byron_admin, system, wait_for

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no PostgreSQL: {why_not()}")

CREATE = 'mutation { createStudent(name: "NAME", course: "c", ingress: 1) { id } }'


def rows(url: str, query: str = "SELECT name FROM students_student ORDER BY name") -> list[str]:
    with psycopg.connect(url) as database:
        return [row[0] for row in database.execute(query)]


def test_a_cache_on_postgresql_is_rebuilt_while_api_and_sink_go_on(tmp_path: Path) -> None:
    byron_admin("startcomponent", "students", directory=tmp_path)
    project = tmp_path / "students"
    with PostgresServer(tmp_path / "postgres") as server:
        url = server.create_database("students")
        (project / ".env").write_text(f"DEBUG=true\nCACHE_URL={url}\n")
        with system(project, tmp_path / "state", "Calisto") as running:
            running.serve()
            sink = running.sink()
            for name in ("one", "two", "three"):
                running.graphql(CREATE.replace("NAME", name))
            wait_for(lambda: rows(url) == ["one", "three", "two"], "three students")
            with psycopg.connect(url) as database:
                database.execute("UPDATE students_student SET name = 'wrong' WHERE name = 'two'")
                database.execute("GRANT SELECT ON students_student TO PUBLIC")

            printed = running.manage("rebuildcache").stdout

            assert "students: 3 events applied" in printed
            assert "students_student: 3 rows, -1 +1 rows" in printed
            assert rows(url) == ["one", "three", "two"]
            assert rows(url, "SELECT nspname FROM pg_namespace WHERE nspname = 'byron_rebuild'") == []
            grants = "SELECT grantee FROM information_schema.role_table_grants WHERE table_name = 'students_student'"
            assert "PUBLIC" in rows(url, grants)

            running.graphql(CREATE.replace("NAME", "four"))
            wait_for(lambda: rows(url) == ["four", "one", "three", "two"], "the Sink to go on after the rebuild")
            assert sink.process.poll() is None
            answer = running.graphql("{ getStudents { name } }")
            assert len(answer["data"]["getStudents"]) == 4


def test_a_cache_as_of_a_position_is_built_on_the_other_engine(tmp_path: Path) -> None:
    byron_admin("startcomponent", "students", directory=tmp_path)
    project = tmp_path / "students"
    file = tmp_path / "then.sqlite3"
    with PostgresServer(tmp_path / "postgres") as server:
        url, then = server.create_database("students"), server.create_database("then")
        (project / ".env").write_text(f"DEBUG=true\nCACHE_URL={url}\n")
        with system(project, tmp_path / "state", "Calisto") as running:
            running.serve()
            running.sink()
            for name in ("one", "two", "three"):
                running.graphql(CREATE.replace("NAME", name))
            wait_for(lambda: rows(url) == ["one", "three", "two"], "three students")

            printed = running.manage("rebuildcache", "--until", "2", "--into", f"sqlite:///{file}").stdout

            assert "students: 2 events applied" in printed
            with sqlite3.connect(file) as database:
                assert database.execute("SELECT name FROM students_student ORDER BY name").fetchall() == [
                    ("one",),
                    ("two",),
                ]

            (project / ".env").write_text("DEBUG=true\n")
            running.manage("migrate", "-v0")
            running.manage("rebuildcache", "--until", "2", "--into", then)

            assert rows(then) == ["one", "two"]
