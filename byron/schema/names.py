"""Names: what may stand in schema.yaml, and what each becomes in Python."""

from __future__ import annotations

import keyword
import re
from typing import Final

#: Longest name of anything: PostgreSQL's identifiers end at 63 bytes, and `_id` may be added.
LONGEST_NAME: Final = 60

COMPONENT_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9]*$"
TYPE_PATTERN: Final = r"^[A-Z][A-Za-z0-9]*$"
FIELD_PATTERN: Final = r"^[a-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$"
ENUM_VALUE_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9]*(_[A-Za-z0-9]+)*$"
EVENT_PATTERN: Final = r"^[a-z][A-Za-z0-9_-]*(\.[a-z][A-Za-z0-9_-]*)*$"

_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

#: Names that GraphQL, or Byron's own part of the GraphQL schema, already gives a meaning.
RESERVED_TYPES: Final = frozenset({"Query", "Mutation", "Subscription", "PageInfo", "Meta", "None", "True", "False"})

#: What `django.db.models.Model` and the classes made of it call their own. A test compares this with Django.
MODEL_ATTRIBUTES: Final = frozenset(
    {
        "adelete",
        "arefresh_from_db",
        "asave",
        "check",
        "clean",
        "clean_fields",
        "date_error_message",
        "delete",
        "from_db",
        "full_clean",
        "get_constraints",
        "get_deferred_fields",
        "id",
        "meta",
        "objects",
        "pk",
        "prepare_database_save",
        "refresh_from_db",
        "save",
        "save_base",
        "serializable_value",
        "unique_error_message",
        "validate_constraints",
        "validate_unique",
    }
)

#: The arguments that Byron itself passes to commands, handlers and hooks.
RESERVED_PARAMETERS: Final = frozenset({"ctx", "self"})


def snake_case(name: str) -> str:
    """Return a name as Python writes it: `getStudents` is `get_students`, `userID` is `user_id`."""
    return _WORD_START.sub("_", name).lower()


def pascal_case(name: str) -> str:
    """Return a Python name as a component's: `study_groups` is `StudyGroups`."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def is_python_word(name: str) -> bool:
    """Whether Python gives this name a meaning that a variable cannot take."""
    return keyword.iskeyword(name)
