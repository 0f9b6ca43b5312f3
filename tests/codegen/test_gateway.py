"""`byron gateway`: what it writes, and what it says when components make no common API. Without npm."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from byron.codegen.gateway import Subgraph, conflicts, gateway_files, read_subgraphs
from byron.codegen.graphql import graphql_source
from byron.exceptions import GenerationError
from byron.schema.reader import parse_component
from byron.schema.subgraph import subgraph_source

PERSES = Path(__file__).resolve().parent.parent.parent / "examples" / "perses"
SCHEMA = """
name: {name}
namespace: {namespace}
content:
  enums: [{{name: Kind, values: [{values}]}}]
  inputs: [{{name: Change, attributes: [{{name: kind, type: "Kind!"}}, {{name: text, type: {text}}}]}}]
  types: [{{name: Thing, attributes: [{{name: kind, type: "Kind!"}}, {{name: size, type: {size}}}]}}]
  events: [{{name: thing.changed, payload: Thing}}]
  commands:
    - {{name: get{name}, type: query, returnType: Thing, read: {{get: Thing}}}}
    - {{name: {command}, type: mutation, returnType: "Thing!", parameters: [{{name: data, type: Change}}]}}
"""


def subgraph(name, **changes):
    text = SCHEMA.format(
        **{"name": name.title(), "namespace": "Calisto", "values": "A, B", "text": "String", "size": "Int"}
        | {"command": f"change{name.title()}"}
        | changes
    )
    component = parse_component(text)
    return Subgraph(
        name=name, url="http://x", component=component, source=subgraph_source(component, graphql_source(component))
    )


def test_what_components_share_may_be_the_same():
    # Which of its values may be null is no conflict: in the supergraph those may be null.
    assert conflicts([subgraph("one"), subgraph("two", values="B, A", size='"Int!"')]) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"values": "A, B, C"},
            "The enum Kind has other values in one than in two; make them the same, or rename one.",
        ),
        (
            {"text": "Int"},
            "The input Change has other attributes in one than in two; make them the same, or rename one.",
        ),
        ({"text": '"String!"'}, "The input Change has other attributes in one than in two"),
        ({"size": "Float"}, "Thing.size is Int in one and Float in two; types of one name are the same"),
        ({"size": '"[Int!]"'}, "Thing.size is Int in one and [Int!] in two"),
        ({"command": "changeOne"}, "one and two both have a command changeOne; rename it in one of them"),
    ],
)
def test_what_keeps_two_components_from_being_one_api_is_told_with_both_and_the_remedy(changes, message):
    [found] = conflicts([subgraph("one"), subgraph("two", **changes)])

    assert found.startswith(message)


def test_all_conflicts_are_told_at_once():
    assert len(conflicts([subgraph("one"), subgraph("two", values="C", size="Float"), subgraph("three")])) == 4


# Which components.


def write(directory, **changes):
    name = directory.name
    directory.mkdir(parents=True)
    given = {"name": name.title(), "namespace": "Calisto", "values": "A", "text": "String", "size": "Int"}
    text = SCHEMA.format(**given | {"command": f"change{name.title()}"} | changes)
    (directory / "schema.yaml").write_text(text)


def test_projects_and_components_are_found_and_each_project_has_a_port(tmp_path):
    for place in ("a/one", "a/two", "b/three"):
        write(tmp_path / place)

    found = read_subgraphs([tmp_path / "a", tmp_path / "b" / "three"], {"two": "https://two.example.org/graphql/"})

    assert {each.name: each.url for each in found} == {
        "one": "http://127.0.0.1:8000/one/graphql/",
        "two": "https://two.example.org/graphql/",
        "three": "http://127.0.0.1:8001/three/graphql/",
    }


def test_components_of_two_systems_or_of_one_name_are_refused(tmp_path):
    write(tmp_path / "a" / "one")
    write(tmp_path / "b" / "two", namespace="Perses")
    with pytest.raises(GenerationError, match="two belongs to Perses, not to Calisto"):
        read_subgraphs([tmp_path / "a", tmp_path / "b"], {})
    with pytest.raises(GenerationError, match="one belongs to Calisto, not to Perses"):
        read_subgraphs([tmp_path / "a", tmp_path / "b"], {}, "Perses")
    with pytest.raises(GenerationError, match="Two components are called one"):
        read_subgraphs([tmp_path / "a", tmp_path / "a"], {})
    with pytest.raises(GenerationError, match="--url names tow, which is none of one"):
        read_subgraphs([tmp_path / "a"], {"tow": "http://x"})
    with pytest.raises(GenerationError, match=r"has no schema\.yaml"):
        read_subgraphs([tmp_path], {})


# The folder.


def program(path, text):
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def gateway(tmp_path, node, *arguments):
    call_command(
        "gateway", PERSES / "auth", PERSES / "grouping", "-o", tmp_path / "gateway", "--node", node, *arguments
    )


def test_files_are_deterministic_and_name_every_subgraph():
    subgraphs = read_subgraphs([PERSES / "auth", PERSES / "grouping"], {})
    files = {file.path: file.text for file in gateway_files(subgraphs)}

    assert gateway_files(subgraphs) == gateway_files(read_subgraphs([PERSES / "auth", PERSES / "grouping"], {}))
    assert set(files) == {
        ".gitignore",
        "compose.mjs",
        "gateway.config.mjs",
        "package.json",
        "subgraphs.json",
        "subgraphs/auth.graphql",
        "subgraphs/grouping.graphql",
    }
    assert [each["name"] for each in json.loads(files["subgraphs.json"])] == ["auth", "grouping"]
    assert json.loads(files["package.json"])["name"] == "studycase-gateway"


def test_the_supergraph_is_written_once_it_is_composed(tmp_path, capsys):
    node = program(
        tmp_path / "node",
        f"""cat > {tmp_path}/given.json; echo '{{"supergraph": "schema {{ query: Query }}", "errors": []}}'""",
    )

    gateway(tmp_path, node, "--url", "auth=http://auth.local/graphql/")

    folder = tmp_path / "gateway"
    assert (folder / "supergraph.graphql").read_text().endswith("\nschema { query: Query }\n")
    assert [each["name"] for each in json.loads((tmp_path / "given.json").read_text())] == ["auth", "grouping"]
    said = capsys.readouterr().out
    assert "Composed auth (http://auth.local/graphql/), grouping (http://127.0.0.1:8001/grouping/graphql/)." in said
    assert "&& npm start" in said


def test_the_configuration_is_the_developer_s_and_subgraphs_are_not(tmp_path):
    node = program(tmp_path / "node", """echo '{"supergraph": "x", "errors": []}'""")
    gateway(tmp_path, node)
    configuration, written = tmp_path / "gateway/gateway.config.mjs", tmp_path / "gateway/subgraphs/auth.graphql"
    configuration.write_text("mine")
    gateway(tmp_path, node)
    assert configuration.read_text() == "mine"

    written.write_text("mine")
    with pytest.raises(CommandError, match=r"gateway/subgraphs/auth\.graphql: generated, but changed by hand since"):
        gateway(tmp_path, node)


def test_components_that_are_no_longer_named_leave_no_files_and_other_files_stay(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    node = program(tmp_path / "node", """echo '{"supergraph": "x", "errors": []}'""")
    gateway(tmp_path, node)
    folder = tmp_path / "gateway"
    (folder / "subgraphs/mine.graphql").write_text("# Generated by Byron 0 for me, by hand")
    capsys.readouterr()

    call_command("gateway", PERSES / "auth", "-o", folder, "--node", node)

    assert "remove gateway/subgraphs/grouping.graphql" in capsys.readouterr().out.splitlines()
    assert sorted(path.name for path in (folder / "subgraphs").iterdir()) == ["auth.graphql", "mine.graphql"]
    assert "grouping" not in (folder / ".byron.json").read_text()


def test_a_file_to_be_removed_that_was_edited_by_hand_stops_all_of_it(tmp_path):
    node = program(tmp_path / "node", """echo '{"supergraph": "x", "errors": []}'""")
    gateway(tmp_path, node)
    written = tmp_path / "gateway/subgraphs/grouping.graphql"
    written.write_text(written.read_text() + "# mine")
    before = folder_of(tmp_path / "gateway")

    with pytest.raises(CommandError, match=r"gateway/subgraphs/grouping\.graphql: generated, but changed by hand"):
        call_command("gateway", PERSES / "auth", "-o", tmp_path / "gateway", "--node", node)

    assert folder_of(tmp_path / "gateway") == before
    # What says nothing of Byron is not Byron's any more.
    written.write_text("mine")
    call_command("gateway", PERSES / "auth", "-o", tmp_path / "gateway", "--node", node)
    assert written.read_text() == "mine"


def folder_of(directory):
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_without_its_npm_packages_it_is_prepared(tmp_path):
    node = program(tmp_path / "node", """echo '{"missing": "no package"}'""")

    with pytest.raises(CommandError, match="run `npm install` there, and this again"):
        gateway(tmp_path, node)

    assert (tmp_path / "gateway/package.json").exists()
    assert not (tmp_path / "gateway/supergraph.graphql").exists()


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ("""echo '{"errors": [{"code": "X", "message": "a and b"}]}'""", "make no common API:\nX: a and b"),
        ("echo broken >&2; exit 3", "compose.mjs failed:\nbroken"),
    ],
)
def test_what_cannot_be_composed_writes_nothing(tmp_path, says, message):
    with pytest.raises(CommandError, match=message):
        gateway(tmp_path, program(tmp_path / "node", says))
    assert not (tmp_path / "gateway").exists()


def test_without_node_it_says_what_to_install(tmp_path):
    with pytest.raises(CommandError, match=r"Composing takes Node\.js 20 or newer: install it"):
        gateway(tmp_path, str(tmp_path / "nothing"))
    assert not (tmp_path / "gateway").exists()


@pytest.mark.parametrize("place", ["auth", "auth=", "=http://x", "auth=ftp://x"])
def test_an_address_must_be_one(tmp_path, place):
    with pytest.raises(CommandError, match="NAME=http://"):
        gateway(tmp_path, "node", "--url", place)
