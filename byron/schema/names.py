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
#: What identity providers call roles and permissions: `teacher`, `read:messages`, `roles/editor`.
ROLE_PATTERN: Final = r"^[A-Za-z][A-Za-z0-9_.:/-]*$"
LONGEST_ROLE: Final = 100
#: No control characters but tabs and line ends, and none that change the direction of the text around them.
_UNSHOWN: Final = r"\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
DESCRIPTION_PATTERN: Final = f"^[^{_UNSHOWN}]*$"

#: Where a word begins; the plural of an acronym, as in `studentIDs`, is one word.
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])(?![A-Z]s(?![a-z]))")

#: Names that GraphQL, or Byron's own part of the GraphQL schema, already gives a meaning.
RESERVED_TYPES: Final = frozenset({"Query", "Mutation", "Subscription", "PageInfo", "Meta", "None", "True", "False"})

#: Three words that GraphQL reads as values of its own, and one that Python's Enum does not take.
RESERVED_ENUM_VALUES: Final = frozenset({"true", "false", "null", "mro"})

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

#: What a model's `__init__` and the body of a generated model use, so that an attribute would hide it.
MODEL_WORDS: Final = frozenset({"self", "models", "fields"})

#: What Django adds to a model for each required date: `get_next_by_birth`.
DATE_METHODS: Final = ("get_next_by_", "get_previous_by_")

#: A class attribute that Graphene takes for its own when a GraphQL field has this name.
GRAPHENE_WORDS: Final = frozenset({"is_type_of"})

#: The arguments that Byron itself passes to commands, handlers and hooks.
RESERVED_PARAMETERS: Final = frozenset({"ctx", "self"})

#: In place of roles: no token is needed, or any valid one does.
ANYONE: Final = "anyone"
AUTHENTICATED: Final = "authenticated"

#: File names that pytest reads as its own, and those that Windows has no files for.
RESERVED_FILES: Final = frozenset(
    {"conftest", "con", "prn", "aux", "nul"}
    | {f"{device}{number}" for device in ("com", "lpt") for number in range(10)}
)
_TEST_FILE: Final = "test_"


def is_reserved_file(name: str) -> bool:
    """Whether a module of this name would be more than a module: to pytest, or to Windows."""
    return name in RESERVED_FILES or name.startswith(_TEST_FILE)


def is_shown(char: str) -> bool:
    """Whether a description may hold this character."""
    return re.fullmatch(DESCRIPTION_PATTERN, char) is not None


def snake_case(name: str) -> str:
    """Return a name as Python writes it: `getStudents` is `get_students`, `userID` is `user_id`."""
    return _WORD_START.sub("_", name).lower()


def pascal_case(name: str) -> str:
    """Return a Python name as a component's: `study_groups` is `StudyGroups`."""
    return "".join(word[:1].upper() + word[1:] for word in name.split("_"))


def is_python_word(name: str) -> bool:
    """Whether Python gives this name a meaning that a variable cannot take."""
    return keyword.iskeyword(name)
