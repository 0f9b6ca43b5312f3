"""The commands that need no component running: schema, infrastructure, events, checks."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from byron.broker import server
from byron.broker.connection import use_broker
from byron.broker.memory import MemoryBroker
from byron.broker.nats import NatsBroker
from byron.cache.roles import ENVIRONMENT_VARIABLE, Role, process_role, set_process_role
from byron.commands.functions import load_function
from byron.management.cli import main
from byron.management.commands.runserver import Command as Runserver
from byron.schema.installed import installed_component
from byron.schema.json_schema import json_schema
from tests.conftest import add_books
from tests.processes import byron_admin

LISTING_2 = Path(__file__).parent.parent / "schema" / "listings" / "listing_2.yaml"


def test_schema_prints_the_json_schema(capsys):
    main(["byron-admin", "schema", "--json-schema"])

    assert json.loads(capsys.readouterr().out) == json_schema()


def test_schema_checks_files(tmp_path, monkeypatch):
    out, bad = StringIO(), tmp_path / "bad.yaml"
    bad.write_text("name: 7\n")
    call_command("schema", LISTING_2, stdout=out)
    assert out.getvalue() == f"{LISTING_2}: Student of Calisto is valid.\n"

    # Where problems are is told as it looks from here.
    monkeypatch.chdir(tmp_path)
    err = StringIO()
    with pytest.raises(SystemExit):
        call_command("schema", bad, tmp_path / "none.yaml", stderr=err)
    assert '\nbad.yaml:1:7: B013 "name" takes text' in f"\n{err.getvalue()}"
    assert f"{tmp_path / 'none.yaml'} cannot be read: No such file or directory." in err.getvalue()


def test_schema_without_files_says_what_to_give():
    with pytest.raises(CommandError, match="Give the files to check, or --json-schema"):
        call_command("schema")


@pytest.mark.broker
def test_infrastructure_goes_up_and_down_and_may_be_repeated(tmp_path):
    def infrastructure(action, **options):
        return byron_admin("infrastructure", action, "-N", "Pluto", directory=tmp_path, **options)

    down = infrastructure("status", check=False)
    assert (down.returncode, down.stdout) == (3, "Pluto: not running.\n")
    first, second = infrastructure("up").stdout, infrastructure("up").stdout
    try:
        assert first == second
        assert first.startswith("Pluto: running, pid ")
        assert "address  nats://byron:" in first
        assert infrastructure("status").stdout == first
    finally:
        assert infrastructure("down").stdout == "Pluto: stopped.\n"
    assert infrastructure("down").stdout == "Pluto: was not running.\n"


@pytest.mark.broker
def test_infrastructure_reset_removes_the_log_of_a_broker_that_is_down_when_its_name_is_typed(tmp_path, monkeypatch):
    def reset(typed, **options):
        out = StringIO()
        monkeypatch.setattr("builtins.input", lambda question: typed)
        call_command("infrastructure", "reset", namespace="Pluto", stdout=out, **options)
        return out.getvalue()

    with override_settings(BYRON_STATE_DIRECTORY=str(tmp_path)):
        assert reset("Pluto") == "Pluto: there is no log.\n"
        with NatsBroker("Pluto", server.ensure_running("Pluto").url) as broker:
            first = broker.ensure_log()
        try:
            with pytest.raises(CommandError, match="The broker of Pluto runs, and nothing was removed: `byron down -N"):
                reset("Pluto")
        finally:
            server.stop("Pluto")
        before = server.status("Pluto")
        for typed in ("pluto", "yes", ""):
            with pytest.raises(CommandError, match="Nothing was removed"):
                reset(typed)
        assert server.status("Pluto") == before
        assert before.data_bytes > 0

        said = reset("Pluto")

        assert f"all events of Pluto, {before.data_bytes:,} bytes in {tmp_path / 'pluto/data'}" in said
        assert "Pluto: its log is empty." in said
        assert "`python manage.py rebuildcache COMPONENT`" in said
        assert (server.status("Pluto").server, reset("", yes=True)[:24]) == (None, "Pluto: its log is empty.")
        with NatsBroker("Pluto", server.ensure_running("Pluto").url) as broker:
            after = broker.log_info()
        server.stop("Pluto")
        assert after.last == 0
        assert after.created > first.created


def test_infrastructure_refuses_a_bad_namespace():
    with pytest.raises(CommandError, match="'../x' cannot name a namespace"):
        call_command("infrastructure", "up", namespace="../x")


def test_events_prints_the_newest_ones(component):
    add_books(component, "one", "two", "three")
    out = StringIO()
    call_command("events", last=2, namespace="Perses", stdout=out)

    lines = out.getvalue().splitlines()
    assert [line.split()[0] for line in lines] == ["2", "3"]
    assert '"title":"three"' in lines[1]


def test_events_asks_which_system_when_there_are_several():
    with pytest.raises(CommandError, match="choose one with -N: Calisto, Perses"):
        call_command("events")


def test_a_project_without_faults_has_no_messages():
    with override_settings(DEBUG=True):
        assert [message.id for message in run_checks(tags=["byron"])] == []


@override_settings(DEBUG=False, BYRON_BROKER_URL="")
def test_outside_debug_a_missing_broker_is_an_error():
    [error] = run_checks(tags=["byron"])

    assert (error.id, error.msg) == ("byron.E001", "BYRON_BROKER_URL is not set.")
    assert "nats://user:password@broker:4222" in error.hint
    with override_settings(BYRON_BROKER_URL="nats://broker:4222"):
        assert run_checks(tags=["byron"]) == []


def warnings_of_deployment():
    found = run_checks(tags=["byron"], include_deployment_checks=True)
    return [(message.id, message.msg) for message in found if message.id in ("byron.W005", "byron.W006")]


@override_settings(SECURE_SSL_REDIRECT=True, MIDDLEWARE=["django.middleware.security.SecurityMiddleware"])
def test_redirects_that_never_end_are_a_warning_of_deployment():
    [(name, message)] = warnings_of_deployment()

    assert (name, message.partition(":")[0]) == (
        "byron.W005",
        "SECURE_SSL_REDIRECT is on, and SECURE_PROXY_SSL_HEADER is not set",
    )
    assert "byron.W005" not in [message.id for message in run_checks(tags=["byron"])]
    for fine in (
        {"SECURE_PROXY_SSL_HEADER": ("HTTP_X_FORWARDED_PROTO", "https")},
        {"SECURE_SSL_REDIRECT": False},
        {"MIDDLEWARE": []},
    ):
        with override_settings(**fine):
            assert warnings_of_deployment() == []


@override_settings(BYRON_API_GRAPHIQL=True, DEBUG=False)
def test_a_graphiql_whose_files_nobody_serves_is_a_warning_of_deployment():
    assert warnings_of_deployment() == [
        ("byron.W006", "GraphiQL is on, and nobody serves its files below /static/: its page stays blank.")
    ]
    for fine in (
        {"DEBUG": True},
        {"BYRON_API_GRAPHIQL": None},
        {"STATIC_ROOT": "/srv/static"},
        {"STATIC_URL": "https://static.example.org/"},
        {"MIDDLEWARE": ["whitenoise.middleware.WhiteNoiseMiddleware"]},
    ):
        with override_settings(**fine):
            assert warnings_of_deployment() == []


@override_settings(DEBUG=True, DATABASE_ROUTERS=[])
def test_a_missing_router_is_an_error():
    assert [message.id for message in run_checks(tags=["byron"])] == ["byron.E003"]


def test_a_missing_function_is_an_error(library, monkeypatch):
    load_function.cache_clear()
    monkeypatch.delattr("library.hooks.remember.remember")
    with override_settings(DEBUG=True):
        [error] = run_checks(tags=["byron"])
    load_function.cache_clear()

    assert error.id == "byron.E005"
    assert "library/hooks/remember.py has no function remember" in error.msg


def test_a_function_that_does_not_take_its_arguments_is_an_error(library, monkeypatch):
    def close_library(ctx, nested, genre, info):
        return True

    monkeypatch.setattr("library.api.commands.close_library.close_library", close_library)
    monkeypatch.setattr("library.hooks.remember.remember", lambda ctx: None)
    load_function.cache_clear()
    with override_settings(DEBUG=True):
        command, hook = run_checks(tags=["byron"])
    load_function.cache_clear()

    assert (command.id, hook.id) == ("byron.E006", "byron.E006")
    assert command.msg.startswith("closeLibrary of library cannot be called as schema.yaml declares it: ")
    assert command.msg.endswith("got an unexpected keyword argument 'root'.")
    assert command.hint == "The function is given: ctx, nested, genre, info, root."
    assert hook.msg.endswith("declares it: too many positional arguments.")


def test_models_that_were_not_generated_anew_are_an_error(library, monkeypatch):
    author = library.component.types["Author"]
    renamed = author.attributes[1].model_copy(update={"name": "birthDay"})
    changed = author.model_copy(update={"attributes": (author.attributes[0], renamed)})
    new = author.model_copy(update={"name": "Attic"})
    content = library.component.content.model_copy(
        update={"types": (changed, *library.component.content.types[1:], new)}
    )
    monkeypatch.setattr(library, "component", library.component.model_copy(update={"content": content}))
    with override_settings(DEBUG=True):
        problems = [problem for problem in run_checks(tags=["byron"]) if problem.id == "byron.E014"]

    assert [problem.msg for problem in problems] == [
        "models.py of library is not that of its schema.yaml: Author differs in birth_day, born_on.",
        "models.py of library is not that of its schema.yaml: there is no model Attic.",
    ]
    assert problems[0].hint == (
        "Run `manage.py generate`, then `manage.py migrate`; or `byron component build`, which does both."
    )


def test_a_function_file_that_cannot_be_imported_is_an_error_in_one_line(library, monkeypatch):
    def fail(name):
        raise SyntaxError("'(' was never closed", ("remember.py", 3, 1, "x = ("))

    load_function.cache_clear()
    monkeypatch.setattr("byron.commands.functions.import_module", fail)
    with override_settings(DEBUG=True):
        errors = [error for error in run_checks(tags=["byron"]) if "remember of" in error.msg]
    load_function.cache_clear()

    assert [(error.id, error.msg) for error in errors] == [
        (
            "byron.E008",
            "remember of library cannot be imported: SyntaxError: '(' was never closed (remember.py, line 3).",
        )
    ]


def test_runserver_tells_what_is_wrong_without_how_it_came_to_it(monkeypatch):
    def fail(role):
        raise CommandError("The schema has problems:\nlibrary/schema.yaml:1:1: B002")

    monkeypatch.setattr("byron.management.commands.runserver.prepare", fail)
    told = StringIO()
    Runserver(stderr=told).inner_run(use_reloader=True)

    assert told.getvalue() == "CommandError: The schema has problems:\nlibrary/schema.yaml:1:1: B002\n"
    with pytest.raises(CommandError):
        Runserver(stderr=told).inner_run(use_reloader=False)


def test_two_components_of_one_name_are_an_error(library, monkeypatch):
    students = installed_component("students")
    monkeypatch.setitem(students.__dict__, "component", library.component)
    with override_settings(DEBUG=True):
        errors = [error for error in run_checks(tags=["byron"]) if error.id == "byron.E007"]

    assert [error.msg for error in errors] == ["library and students are both the component Library of Perses."]


def test_a_command_of_a_project_says_so_outside_of_one(tmp_path):
    finished = byron_admin("dev", directory=tmp_path, check=False)

    assert finished.returncode == 1
    assert finished.stderr == "`dev` belongs to a project: run `python manage.py dev` in its folder.\n"


def test_a_schema_with_problems_is_an_error_that_lists_them(library, monkeypatch):
    monkeypatch.setitem(library.__dict__, "schema_problems", "library/schema.yaml:1:1: B002 the file is empty")
    with override_settings(DEBUG=True):
        [error] = run_checks(tags=["byron"])

    assert error.id == "byron.E004"
    assert "B002 the file is empty" in error.hint


def test_a_role_is_passed_on_to_child_processes(monkeypatch):
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, "maintenance")
    set_process_role(Role.SINK)

    assert process_role() is Role.SINK


@override_settings(DEBUG=True)
def test_a_command_s_own_broker_is_left_alone():
    broker = MemoryBroker("Perses")
    broker.ensure_log()
    with use_broker("Perses", broker):
        call_command("events", namespace="Perses", stdout=StringIO())

    assert broker.is_connected()
