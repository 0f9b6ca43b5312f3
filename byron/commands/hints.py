"""What `ctx` says of an attribute that it has not."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from byron.schema.problems import did_you_mean, listed, quoted


class Models(SimpleNamespace):
    """A component's models, by the names that schema.yaml gives them: `ctx.db.Student`."""

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = did_you_mean(name, vars(self)) or f"; schema.yaml declares {listed(list(vars(self))) or 'no types'}"
            raise AttributeError(f"ctx.db has no {quoted(name)}{hint}")


class Hinting:
    """What `ctx` is made of: an attribute that it has not is an error that names the nearest one that it has."""

    __slots__ = ()

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            hint = did_you_mean(name, [known for known in dir(type(self)) if not known.startswith("_")])
            raise AttributeError(f"ctx has no {quoted(name)}{hint}")
