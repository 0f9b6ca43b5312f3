"""Values that schema.yaml gives: defaults, and what a declared mutation sets."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from byron.events.codec import encode, encode_payload
from byron.events.event import Event
from byron.events.payloads import PayloadCodec
from byron.exceptions import EventError
from byron.schema.names import snake_case
from byron.testing import GraphQLFailure, event

DEFAULTS = {
    "genre": "DRAMA",
    "weight": "1.50",
    "sentOn": "2024-02-29",
    "seenAt": "2024-02-29T12:30:00Z",
    "hour": "12:30:00",
    "code": "0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f",
    "extra": {"any": [1, None]},
    "prices": ["0.50", None, "3"],
    "note": "$none",
}


def publish_as_it_is(component, name: str, **payload: object) -> None:
    """Put an event into the log with this payload, whatever is declared of it, and let it be applied."""
    message = Event(name=name, key="p1", payload=payload, namespace="Perses", source="Old")
    component.broker.publish([encode(message, encode_payload(payload))], 5)
    component.settle()


@pytest.fixture
def post(component):
    """A component with the author whose id is a default."""
    component.given(event("new.author", id="nobody", full_name="Nobody", born_on=None))
    return component


def parcel(component) -> dict[str, object]:
    """Return what the one parcel has where there are defaults."""
    [read] = component.query("parcels")
    return {name: read[name] for name in DEFAULTS}


def test_a_new_entity_has_the_defaults_of_what_was_not_given(post):
    made = post.mutate("sendParcel", sentOn="2024-03-01", weight="2")

    assert {name: made[name] for name in DEFAULTS} == {**DEFAULTS, "sentOn": "2024-03-01", "weight": "2"}
    assert made["label"] == "gift"
    announced = {snake_case(name): value for name, value in made.items()}
    assert dict(post.events[-1].payload) == {**announced, "author": "nobody"}
    post.settle()
    assert post.query("parcels") == [made]


def test_null_is_no_default_where_there_must_be_a_value(post):
    refused = post.when("sendParcel", sentOn="2024-03-01", genre=None)
    refused.then_error("BAD_USER_INPUT", "genre cannot be null; leave it out to get its default.")


def test_null_stays_null_where_it_may_be(post):
    assert post.mutate("sendParcel", sentOn="2024-03-01", note=None)["note"] is None


@pytest.mark.parametrize("name", ["parcel.sent", "parcel.found"])
@pytest.mark.parametrize("given", [{}, dict.fromkeys(DEFAULTS.keys() - {"note"})], ids=["missing", "null"])
def test_an_older_event_means_the_default_of_what_it_has_not(post, name, given):
    publish_as_it_is(post, name, id="p1", label="old", **given)

    assert parcel(post) == DEFAULTS


def test_an_upsert_gives_defaults_to_a_new_entity_and_leaves_one_that_is_there_alone(post):
    publish_as_it_is(post, "parcel.seen", id="p1", label="new")
    assert parcel(post) == DEFAULTS

    publish_as_it_is(post, "parcel.seen", id="p1", genre="POETRY", note=None)
    publish_as_it_is(post, "parcel.seen", id="p1", label="newer", weight=None)

    assert parcel(post) == {**DEFAULTS, "genre": "POETRY", "note": None}


def test_what_python_emits_without_it_has_the_default_in_the_log(library):
    codec = PayloadCodec(library.component)

    body = json.loads(codec.encode("parcel.found", {"id": "1", "label": "x"}))

    # What may be null is left out: of what is there, an update leaves it alone.
    required = {name: value for name, value in DEFAULTS.items() if name != "note"}
    assert body == {"id": "1", "label": "x", "author": "nobody", **required}


def test_what_python_emits_as_null_is_refused_in_spite_of_the_default(library):
    with pytest.raises(EventError, match=r"does not fit Parcel: Expected `str`, got `null` - at `\$\.genre`"):
        PayloadCodec(library.component).encode("parcel.found", {"id": "1", "label": "x", "genre": None})


def test_each_entity_has_a_list_and_an_object_of_its_own(post):
    first, second = post.config.get_model("Parcel")(), post.config.get_model("Parcel")()
    first.extra["any"].append(2)
    first.prices.clear()

    assert second.extra == {"any": [1, None]}
    assert second.prices == [Decimal("0.50"), None, Decimal(3)]


def test_what_is_set_comes_from_no_client(post):
    made = post.mutate("wrapParcel")

    assert (made["label"], made["weight"], made["prices"], made["genre"]) == ("wrapped", "2", [], "DRAMA")
    post.settle()
    assert post.query("parcels") == [made]
    with pytest.raises(GraphQLFailure, match="Unknown argument 'label'"):
        post.graphql('mutation { wrapParcel(label: "mine") { id } }')


def test_an_update_sets_the_same_each_time_and_null_where_it_may(post):
    identity = post.mutate("sendParcel", sentOn="2024-03-01", note="fragile")["id"]
    post.settle()

    made = post.mutate("soilParcel", id=identity)

    assert dict(post.events[-1].payload) == {
        "id": identity,
        "note": None,
        "genre": "NO_FICTION",
        "sent_on": "2024-01-01",
    }
    post.settle()
    assert post.query("parcels") == [made]
    assert (made["note"], made["weight"]) == (None, "1.50")


def test_an_event_that_says_its_payload_itself_is_checked_as_any_other(post):
    identity = post.mutate("sendParcel", sentOn="2024-03-01")["id"]
    post.given(event("parcel.lost", id=identity, weight="9.0"))

    assert parcel(post) == {**DEFAULTS, "sentOn": "2024-03-01", "weight": "9.0"}
    codec = PayloadCodec(post.config.component)
    assert codec.decode("parcel.lost", b'{"id": "1", "weight": "9.0"}') == {
        "id": "1",
        "weight": Decimal("9.0"),
        "lost_at": 7,
    }
    with pytest.raises(EventError, match=r"The event parcel\.lost does not fit parcel\.lost: .*unknown field `label`"):
        codec.encode("parcel.lost", {"id": "1", "label": "x"})
    with pytest.raises(EventError, match="missing required field `id`"):
        codec.encode("parcel.lost", {"note": "x"})
