"""`make fuzz`: what schemathesis makes up from a GraphQL schema with every scalar, and what fits no schema."""

from __future__ import annotations

import json
import traceback
from typing import Any

import graphql
import pytest
import schemathesis
from graphql import print_schema
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode
from schemathesis.graphql import nodes

from byron.api.graphql import build_schema
from byron.schema.installed import installed_component
from byron.schema.reads import arguments_of

relaxed = settings(
    deadline=None,
    database=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=list(HealthCheck),
)


def text_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[graphql.ValueNode]:
    """Return literals of a scalar that is written as a string: some of its values, some of other texts."""
    return st.one_of(values.map(str), st.text(max_size=20)).map(nodes.String)


schemathesis.graphql.scalar("DateTime", text_of(st.datetimes(timezones=st.timezones()).map(lambda d: d.isoformat())))
schemathesis.graphql.scalar("Date", text_of(st.dates()))
schemathesis.graphql.scalar("Time", text_of(st.times(timezones=st.none() | st.timezones())))
schemathesis.graphql.scalar("Decimal", text_of(st.decimals()))
schemathesis.graphql.scalar("UUID", text_of(st.uuids()))
schemathesis.graphql.scalar(
    "JSON", text_of(st.integers()) | st.integers().map(nodes.Int) | st.floats().map(nodes.Float)
)

library = installed_component("library")
assert library is not None
schema = schemathesis.graphql.from_file(print_schema(build_schema(library).graphql_schema))


@pytest.fixture
def api(component, client, caplog):
    """Send a request to the API and have the Sink apply what comes of it; nothing of that may fail."""

    def send(body: object) -> None:
        caplog.clear()
        emitted = len(component.events)
        response = client.post("/graphql/", json.dumps(body), content_type="application/json")
        assert response.status_code < 500, response.content
        problems = [record.exc_info[1] for record in caplog.records if record.exc_info]
        assert not [each for each in problems if not is_known(each)], problems
        if len(component.events) > emitted:
            component.settle()

    return send


def is_known(problem: BaseException | None) -> bool:
    """Whether a failure is one of a command that fails on purpose."""
    steps = traceback.extract_tb(problem.__traceback__ if problem else None)
    return bool(steps) and steps[-1].filename.endswith("close_library.py")


@pytest.mark.parametrize(("mode", "cases"), [(GenerationMode.POSITIVE, 400), (GenerationMode.NEGATIVE, 200)])
def test_no_document_breaks_the_api(api, mode, cases):
    @settings(relaxed, max_examples=cases)
    @given(schema.as_strategy(generation_mode=mode))
    def run(case):
        api({"query": case.body})

    run()


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
arguments = arguments_of(library.component, library.component.commands["makeEverything"])


@settings(relaxed, max_examples=200)
@given(changes=st.dictionaries(st.sampled_from([each.name for each in arguments]), anything, max_size=3))
def run_variables(api, everything, changes):
    head = ", ".join(f"${each.name}: {each.type}" for each in arguments)
    values = ", ".join(f"{each.name}: ${each.name}" for each in arguments)
    selection = "id number extra moment day hour amount code ratio"
    query = f"mutation({head}) {{ makeEverything({values}) {{ {selection} }} }}"
    api({"query": query, "variables": everything | changes})


def test_no_variables_break_the_api(api, everything):
    run_variables(api, everything)
