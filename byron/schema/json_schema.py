"""The JSON Schema of schema.yaml, for editors that complete and check while one types."""

from __future__ import annotations

from typing import Any

from byron.schema.model import Component

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of schema.yaml, made from the model that the parser uses."""
    schema = Component.model_json_schema(by_alias=True)
    return {"$schema": DIALECT, **schema, "title": "A Byron component"}
