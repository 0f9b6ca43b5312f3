"""The type table: what each scalar of schema.yaml is in Python, Django and GraphQL.

Every generator and the API read this table; nothing else knows how a type is stored or sent.
"""

from __future__ import annotations

import datetime
import decimal
import uuid
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

Int32 = Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)]
ZonedDateTime = Annotated[datetime.datetime, msgspec.Meta(tz=True)]

#: A time of day has no zone: the databases would store it, refuse it or leave the zone out, each in its own way.
PlainTime = Annotated[datetime.time, msgspec.Meta(tz=False)]

#: PostgreSQL stores no NUL in text.
WITHOUT_NUL = r"^[^\x00]*$"
Text = Annotated[str, msgspec.Meta(pattern=WITHOUT_NUL)]

#: Longest id, in characters: ids are keys of subjects and primary keys of tables.
LONGEST_ID = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Scalar:
    """One row of the table.

    `payload` is the type that msgspec decodes an event's attribute to; `model_field` the Django
    field, as `module.Class`, with `options`; `graphql` the class that the API uses.
    """

    name: str
    payload: Any
    model_field: str
    graphql: str
    options: dict[str, Any] = field(default_factory=dict)
    #: Whether values can be compared, and so filtered, ordered, indexed and unique.
    comparable: bool = True


_MODELS = "django.db.models"
_FIELDS = "byron.cache.fields"
_SCALARS = "byron.api.scalars"

SCALARS: dict[str, Scalar] = {
    scalar.name: scalar
    for scalar in (
        Scalar(
            name="ID",
            payload=Annotated[str, msgspec.Meta(max_length=LONGEST_ID, pattern=WITHOUT_NUL)],
            model_field=f"{_FIELDS}.CharField",
            options={"max_length": LONGEST_ID},
            graphql="graphene.ID",
        ),
        Scalar(name="String", payload=Text, model_field=f"{_FIELDS}.TextField", graphql="graphene.String"),
        Scalar(name="Int", payload=Int32, model_field=f"{_FIELDS}.IntegerField", graphql="graphene.Int"),
        Scalar(name="Float", payload=float, model_field=f"{_FIELDS}.FloatField", graphql="graphene.Float"),
        Scalar(name="Boolean", payload=bool, model_field=f"{_MODELS}.BooleanField", graphql="graphene.Boolean"),
        Scalar(
            name="DateTime",
            payload=ZonedDateTime,
            model_field=f"{_MODELS}.DateTimeField",
            graphql=f"{_SCALARS}.DateTime",
        ),
        Scalar(name="Date", payload=datetime.date, model_field=f"{_MODELS}.DateField", graphql=f"{_SCALARS}.Date"),
        Scalar(name="Time", payload=PlainTime, model_field=f"{_MODELS}.TimeField", graphql=f"{_SCALARS}.Time"),
        Scalar(
            name="Decimal",
            payload=decimal.Decimal,
            model_field=f"{_FIELDS}.DecimalField",
            graphql=f"{_SCALARS}.Decimal",
        ),
        Scalar(name="UUID", payload=uuid.UUID, model_field=f"{_MODELS}.UUIDField", graphql=f"{_SCALARS}.UUID"),
        Scalar(
            name="JSON",
            payload=Any,
            model_field=f"{_FIELDS}.JSONField",
            graphql=f"{_SCALARS}.JSON",
            comparable=False,
        ),
    )
}

ENUM_FIELD = f"{_FIELDS}.CharField"
ENUM_OPTIONS = {"max_length": 60}
LIST_FIELD = f"{_FIELDS}.ListField"
REFERENCE_FIELD = f"{_FIELDS}.ReferenceField"
VERSION_FIELD = f"{_FIELDS}.VersionField"
REFERENCE_LIST_FIELD = f"{_FIELDS}.ReferenceListField"
