"""How values are stored: so that they come back as they were, and compare as on the other engines.

MongoDB's own dates have milliseconds, and no day or time of day alone: all three are text here, in ISO 8601 of one
length, in UTC, which sorts as time goes. JSON is a document, unless BSON has no place for something in it.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from django.utils import timezone
from django_mongodb_backend import operations

#: The one key of a document that stands for JSON which BSON cannot hold, or not so that it comes back the same.
_AS_TEXT = "byron_json"

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1

#: MongoDB takes 100 levels, those of the document included.
_DEEPEST = 80


class DatabaseOperations(operations.DatabaseOperations):
    compiler_module = "byron.cache.mongodb.compiler"

    def adapt_datefield_value(self, value: Any) -> Any:
        return value.isoformat() if isinstance(value, datetime.date) else value

    def adapt_datetimefield_value(self, value: Any) -> Any:
        if not isinstance(value, datetime.datetime):
            return value
        if timezone.is_aware(value):
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return f"{value.isoformat(timespec='microseconds')}Z"

    def adapt_timefield_value(self, value: Any) -> Any:
        return value.isoformat(timespec="microseconds") if isinstance(value, datetime.time) else value

    def adapt_json_value(self, value: Any, encoder: Any) -> Any:
        text = json.dumps(value, cls=encoder)
        plain = json.loads(text) if encoder else value
        return plain if _is_native(plain) else {_AS_TEXT: text}

    def get_db_converters(self, expression: Any) -> list[Any]:
        return [_READERS.get(each.__name__, each) for each in super().get_db_converters(expression)]


def _is_native(value: Any, level: int = 0) -> bool:
    """Whether BSON keeps a JSON value as it is. Keys with dots or dollars mean something to MongoDB."""
    if isinstance(value, dict):
        return level < _DEEPEST and all(
            isinstance(key, str) and _is_key(key) and _is_native(item, level + 1) for key, item in value.items()
        )
    if isinstance(value, list | tuple):
        return level < _DEEPEST and all(_is_native(item, level + 1) for item in value)
    if isinstance(value, int):
        return _SMALLEST <= value <= _LARGEST
    return not isinstance(value, str) or value.isprintable() or _is_encodable(value)


def _is_key(key: str) -> bool:
    return bool(key) and key != _AS_TEXT and not set(key) & {".", "$", "\0"} and _is_encodable(key)


def _is_encodable(text: str) -> bool:
    # JSON can write half of a surrogate pair; nothing can encode it.
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _read_moment(value: Any, expression: Any, connection: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.replace(tzinfo=datetime.UTC)
    return None if value is None else datetime.datetime.fromisoformat(value)


def _read_day(value: Any, expression: Any, connection: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.date()
    return None if value is None else datetime.date.fromisoformat(value)


def _read_hour(value: Any, expression: Any, connection: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value.time()
    return None if value is None else datetime.time.fromisoformat(value)


def _read_json(value: Any, expression: Any, connection: Any) -> Any:
    """Return JSON as the text that Django's field reads."""
    if value is None:
        return None
    if isinstance(value, dict) and _AS_TEXT in value:
        return value[_AS_TEXT]
    return json.dumps(value)


#: In the place of the backend's converters of these names.
_READERS = {
    "convert_datefield_value": _read_day,
    "convert_datetimefield_value": _read_moment,
    "convert_timefield_value": _read_hour,
    "convert_jsonfield_value": _read_json,
}
