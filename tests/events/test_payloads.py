"""Payloads of declared shape: names, checks, conversions."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from byron.events.event import Event, StoredMessage
from byron.events.payloads import PayloadCodec
from byron.exceptions import EventError
from byron.schema.reader import parse_component

SCHEMA = """
name: Test
namespace: Perses
content:
  inputs:
    - {name: Tree, attributes: [{name: id, type: "ID!"}, {name: childTrees, type: "[Tree!]"}]}
    - name: Branch
      attributes:
        - {name: id, type: "ID!"}
        - {name: colour, type: "Colour"}
        - {name: madeAt, type: "DateTime"}
        - {name: price, type: "Decimal", renamedFrom: cost}
        - {name: weight, type: "Decimal!", default: "1.50"}
        - {name: next, type: "Branch"}
        - {name: others, type: "[Branch]"}
        - {name: leaf, type: "Leaf"}
    - {name: Leaf, attributes: [{name: grownOn, type: "Date"}, {name: branch, type: "Branch"}]}
  enums: [{name: Colour, values: [RED, GREEN]}]
  types:
    - name: Thing
      attributes:
        - {name: fullName, type: "String!"}
        - {name: colour, type: "Colour"}
        - {name: madeAt, type: "DateTime"}
        - {name: price, type: "Decimal"}
        - {name: code, type: "UUID"}
        - {name: size, type: "Int"}
        - {name: partOf, type: "Thing"}
    - {name: Person, attributes: [{name: friends, type: "[Person!]"}, {name: boss, type: Person}]}
    - {name: Loose, attributes: [{name: twoWords, type: "String"}]}
  events:
    - {name: new.thing, version: 3, payload: Thing}
    - {name: named.thing, key: fullName, payload: Thing}
    - {name: new.person, payload: Person}
    - {name: new.tree, payload: Tree}
    - {name: new.branch, payload: Branch}
  handlers:
    - {name: newLoose, event: new.loose, apply: {create: Loose}}
    - {name: looseChanged, event: loose.changed, apply: {update: Loose}}
"""


@pytest.fixture
def codec():
    return PayloadCodec(parse_component(SCHEMA))


THING = {
    "id": "1",
    "full_name": "Ada",
    "colour": "RED",
    "made_at": datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
    "price": decimal.Decimal("1.50"),
    "code": uuid.UUID(int=7),
    "size": 3,
    "part_of": None,
}


def test_a_declared_payload_has_declared_names_on_the_wire_and_python_ones_in_python(codec):
    body = codec.encode("new.thing", THING)

    assert b'"fullName":"Ada"' in body
    assert b'"price":"1.50"' in body
    assert codec.decode("new.thing", body) == THING


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"full_name": None}, r"Expected `str`, got `null` - at `\$\.fullName`"),
        ({"full_name": 3}, r"Expected `str`, got `int` - at `\$\.fullName`"),
        ({"colour": "BLUE"}, r"Invalid enum value 'BLUE' - at `\$\.colour`"),
        ({"made_at": datetime.datetime(2024, 2, 29)}, r"timezone .* at `\$\.madeAt`"),
        ({"size": 2**31}, r"Expected `int` <= 2147483647 - at `\$\.size`"),
        ({"part_of": ""}, r"length >= 1 - at `\$\.partOf`"),
        ({"id": "x" * 256}, r"length <= 255 - at `\$\.id`"),
        ({"nick": "A"}, r"unknown field `nick`"),
        ({"price": float("nan")}, r"as JSON: price is nan, which JSON cannot hold"),
        ({"price": decimal.Decimal("-Infinity")}, r"as JSON: price is -Infinity, which JSON cannot hold"),
    ],
)
def test_a_declared_payload_that_does_not_fit_is_refused(codec, change, message):
    with pytest.raises(EventError, match=message):
        codec.encode("new.thing", {**THING, **change})


def test_an_attribute_by_both_its_names_is_refused(codec):
    with pytest.raises(EventError, match="new.thing has both full_name and fullName, which are one attribute"):
        codec.encode("new.thing", {**THING, "fullName": "Bob"})


def test_entities_may_refer_to_their_own_type(codec):
    person = {"id": "1", "friends": ["2", "3"], "boss": "4"}

    assert codec.decode("new.person", codec.encode("new.person", person)) == person
    with pytest.raises(EventError, match=r"length >= 1 - at `\$\.friends"):
        codec.encode("new.person", {**person, "friends": [""]})


def test_a_decimal_may_be_larger_than_any_float(codec):
    thing = {**THING, "price": decimal.Decimal("1e900")}

    assert codec.decode("new.thing", codec.encode("new.thing", thing)) == thing


def test_groups_within_a_payload_are_dicts_with_python_s_names_in_python(codec):
    tree = {"id": "1", "child_trees": [{"id": "2", "child_trees": [{"id": "3", "child_trees": None}]}, {"id": "4"}]}

    body = codec.encode("new.tree", tree)

    assert body == (b'{"id":"1","childTrees":[{"id":"2","childTrees":[{"id":"3","childTrees":null}]},{"id":"4"}]}')
    assert codec.decode("new.tree", body) == tree


def test_what_groups_hold_has_its_types_however_deep_it_is(codec):
    def branch(identity, **more):
        made_at = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
        price = decimal.Decimal("1234567890.123456789012345678901")
        return {"id": identity, "colour": "RED", "made_at": made_at, "price": price, **more}

    leaf = {"grown_on": datetime.date(2024, 2, 29), "branch": branch("5", weight=decimal.Decimal(2))}
    inner = branch("3", weight=decimal.Decimal(3), next=None, leaf=leaf)
    whole = branch("1", weight=decimal.Decimal(1), next=branch("2", weight=decimal.Decimal(2), others=[inner, None]))

    assert codec.decode("new.branch", codec.encode("new.branch", whole)) == whole


def test_what_groups_hold_has_defaults_and_old_names_however_deep_it_is(codec):
    body = b'{"id":"1","next":{"id":"2","others":[{"id":"3","cost":0.1000000000000000000001}]}}'

    found = codec.decode("new.branch", body)["next"]["others"][0]

    weight = decimal.Decimal("1.50")
    assert found == {"id": "3", "weight": weight, "price": decimal.Decimal("0.1000000000000000000001")}


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        ('{"id":"3","colour":"BLUE"}', r"others: Invalid enum value 'BLUE' - at `\$\.colour`"),
        ('{"id":"3","madeAt":"2024-02-30T00:00:00Z"}', r"others: .*madeAt"),
        ('{"id":"3","bark":1}', r"others: .*unknown field `bark`"),
        ('{"id":"3","price":"NaN"}', "others: price: NaN is no number"),
        ("{}", "others: .*missing required field `id`"),
        ("5", "others: Expected `object`, got `int`"),
        ('{"id":"3","leaf":{"branch":[]}}', "others: .*branch: Expected `object`, got `array`"),
    ],
)
def test_what_does_not_fit_in_a_group_is_told_however_deep_it_is(codec, inner, message):
    body = f'{{"id":"1","next":{{"id":"2","others":[{inner}]}}}}'
    with pytest.raises(ValueError, match=message):
        codec.decode("new.branch", body.encode())


@pytest.mark.parametrize("body", [b"{}", b"[]", b"{", b"\xff", b'{"id":"1","fullName":"A","size":1e400}'])
def test_a_body_that_breaks_its_declaration_is_an_error(codec, body):
    with pytest.raises(ValueError, match="."):
        codec.decode("new.thing", body)


def test_an_inferred_payload_has_its_names_converted_and_may_hold_more(codec):
    body = codec.encode("new.loose", {"id": "1", "two_words": "a", "more": 1})

    assert body == b'{"id":"1","twoWords":"a","more":1}'
    assert codec.decode("new.loose", body) == {"id": "1", "two_words": "a", "more": 1}


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"id": 5}, r"The event new\.loose does not fit Loose: Expected `str`, got `int` - at `\$\.id`"),
        ({"id": "1", "two_words": 7}, r"Expected `str | null`, got `int` - at `\$\.twoWords`"),
        ({"id": "1", "two_words": "a\x00b"}, r"matching regex .* at `\$\.twoWords`"),
        ({"two_words": "a"}, r"missing required field `id`"),
    ],
)
def test_what_a_create_will_store_must_be_complete_when_it_is_emitted(codec, payload, message):
    with pytest.raises(EventError, match=message):
        codec.encode("new.loose", payload)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"id":5}', r"Expected `str`, got `int` - at `\$\.id`"),
        (b'{"id":"1","twoWords":"a\\u0000b"}', r"matching regex .* at `\$\.twoWords`"),
        (b'{"twoWords":"a"}', r"missing required field `id`"),
    ],
)
def test_what_a_create_stores_must_be_complete_when_it_is_read(codec, body, message):
    with pytest.raises(ValueError, match=message):
        codec.decode("new.loose", body)


def test_an_update_need_not_be_complete(codec):
    assert codec.decode("loose.changed", b'{"twoWords":"a"}') == {"two_words": "a"}


def test_any_other_payload_passes_as_it_is(codec):
    body = codec.encode("something.else", {"twoWords": 1, "three_words": [2]})

    assert codec.decode("something.else", body) == {"twoWords": 1, "three_words": [2]}


def test_an_input_may_contain_itself(codec):
    tree = {"id": "1", "child_trees": [{"id": "2"}]}

    assert codec.decode("new.tree", codec.encode("new.tree", tree)) == tree


def test_an_attribute_that_is_left_out_is_not_there(codec):
    body = codec.encode("new.thing", {"id": "1", "full_name": "Ada", "size": None})

    assert codec.decode("new.thing", body) == {"id": "1", "full_name": "Ada", "size": None}


def test_the_key_is_the_id_unless_the_declaration_names_another(codec):
    assert codec.key("new.thing", THING) == "1"
    assert codec.key("named.thing", THING) == "Ada"
    assert codec.key("whatever", {"id": 7}) == "7"
    with pytest.raises(EventError, match=r"The payload of whatever has no 'id' to be its key; add it, or pass key=\."):
        codec.key("whatever", {"name": "x"})


def test_the_version_is_the_declared_one(codec):
    assert (codec.version("new.thing"), codec.version("whatever")) == (3, 1)


def as_stored(codec, event="new.thing", payload=THING, **headers):
    made = Event(name=event, key="1", payload=payload, namespace="Perses", source="Test", version=codec.version(event))
    message = codec.write(made)
    headers = {**message.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return StoredMessage(subject=message.subject, headers=headers, body=message.body, position=4)


def test_what_was_written_is_read(codec):
    event = codec.read(as_stored(codec))

    assert (event.name, event.payload, event.version, event.position) == ("new.thing", THING, 3, 4)


@pytest.mark.parametrize("version", ["1", "2", "3"])
def test_an_event_of_an_older_version_that_still_fits_is_read(codec, version):
    assert codec.read(as_stored(codec, ce_schemaversion=version)).version == int(version)


@pytest.mark.parametrize("version", [4, 2**70])
def test_an_event_of_a_newer_version_is_refused(codec, version):
    message = rf"Message 4 \(new\.thing\) has version {version} of its payload; schema\.yaml knows version 3\."
    with pytest.raises(EventError, match=message):
        codec.read(as_stored(codec, ce_schemaversion=str(version)))


def test_the_version_of_an_event_that_is_not_declared_is_its_own_affair(codec):
    assert codec.read(as_stored(codec, "new.loose", {"id": "1"}, ce_schemaversion="9")).version == 9


def test_an_incomplete_entity_is_refused_with_its_position(codec):
    message = replace(as_stored(codec, "new.loose", {"id": "1"}), body=b"{}")
    with pytest.raises(EventError, match=r"Message 4 \(new\.loose\) has an unusable payload: .*`id`"):
        codec.read(message)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["1e999999", "9999-12-31"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)
thing_like = st.dictionaries(
    st.sampled_from(["id", "fullName", "colour", "madeAt", "price", "code", "size", "partOf"]), json_like
)
bodies = st.binary(max_size=50) | thing_like.map(lambda value: json.dumps(value).encode())
headers = st.dictionaries(
    st.sampled_from(["ce-id", "ce-time", "ce-source", "ce-schemaversion"]),
    st.text(max_size=10) | st.sampled_from(["2024-01-01", "/a/b", "1", "1" * 5000, "٣"]),
)
subjects = st.text(max_size=20) | st.sampled_from(["perses.3.k.new.thing", "perses.3.=FF.new.loose", "perses.3..a"])


@given(subjects, headers, bodies)
def test_no_message_makes_reading_fail_in_any_other_way(subject, given_headers, body):
    codec = PayloadCodec(parse_component(SCHEMA))
    whole = {"ce-id": "1", "ce-time": "2024-01-01T00:00:00Z", "ce-source": "/Perses/Test"}
    for message_headers in (given_headers, whole, {**whole, **given_headers}):
        message = StoredMessage(subject=subject, headers=message_headers, body=body, position=4)
        try:
            event = codec.read(message)
        except EventError as error:
            assert str(error)
        else:
            assert event.position == 4


RENAMED = """
name: Test
namespace: Perses
content:
  inputs:
    - {name: Place, attributes: [{name: zip, type: "Decimal!", renamedFrom: postCode}]}
    - name: Move
      attributes:
        - {name: id, type: "ID!"}
        - {name: places, type: "[Place!]!", renamedFrom: stops}
        - {name: last, type: "Place"}
  types:
    - name: Thing
      attributes:
        - {name: legalName, type: "String!", renamedFrom: [fullName, name]}
        - {name: size, type: "Int", renamedFrom: width}
  events:
    - {name: new.thing, payload: Thing}
    - {name: moved, payload: Move}
  handlers:
    - {name: made, event: thing.made, apply: {create: Thing}}
    - {name: changed, event: thing.changed, apply: {update: Thing}}
"""


@pytest.fixture
def renamed():
    return PayloadCodec(parse_component(RENAMED))


@pytest.mark.parametrize("event", ["new.thing", "thing.made", "thing.changed"])
@pytest.mark.parametrize("name", ["legalName", "fullName", "name", r"full\u004eame"])
def test_a_renamed_attribute_is_read_by_each_of_its_names(renamed, event, name):
    read = renamed.decode(event, f'{{"id":"1","{name}":"Ada","width":3}}'.encode())

    assert dict(read) == {"id": "1", "legal_name": "Ada", "size": 3}


@pytest.mark.parametrize("event", ["new.thing", "thing.made", "thing.changed"])
def test_a_renamed_attribute_is_written_by_its_new_name(renamed, event):
    payload = {"id": "1", "legal_name": "Ada", "size": 3}

    assert json.loads(renamed.encode(event, payload)) == {"id": "1", "legalName": "Ada", "size": 3}


def test_an_old_name_beside_the_new_one_is_an_unknown_attribute(renamed):
    body = b'{"id":"1","legalName":"Ada","fullName":"Eve"}'

    with pytest.raises(ValueError, match="unknown field `fullName`"):
        renamed.decode("new.thing", body)
    assert renamed.decode("thing.made", body)["legal_name"] == "Ada"


def test_old_names_are_read_within_inputs_and_values_stay_exact(renamed):
    place = '{"postCode":1.10000000000000000000000000000000001}'
    read = renamed.decode("moved", f'{{"id":"1","stops":[ {place} ],"last": {place}}}'.encode())

    assert [str(place["zip"]) for place in (*read["places"], read["last"])] == [
        "1.10000000000000000000000000000000001"
    ] * 2


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"stops":3}', b'{"id":"1","stops":[3]}', b'{"id":"1","stops":[}'])
def test_a_body_with_an_old_name_that_breaks_its_declaration_is_an_error(renamed, body):
    with pytest.raises(ValueError, match="."):
        renamed.decode("moved", body)
