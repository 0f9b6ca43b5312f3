"""What a component gives to a gateway of Apollo Federation 2: the entities that can be asked for by their ids."""

from __future__ import annotations

from byron.schema.model import Command, Component

#: The fields that the subgraph specification adds to a query's root.
SERVICE, ENTITIES = "_service", "_entities"

#: The union of the types that can be asked for.
ENTITY = "_Entity"


def entity_reads(component: Component) -> dict[str, tuple[Command, ...]]:
    """Return the types that a gateway may ask for, each with the commands that give the same to any client.

    Such a command is a declared `read: {get: …}` by id, so that a gateway gets nothing that clients do not get.
    One with hooks is none: they may refuse or change what is read, entity by entity.
    """
    found: dict[str, tuple[Command, ...]] = {}
    for command in component.content.commands:
        read, hooks = command.read, command.hooks
        if read is not None and read.get and not read.by and not hooks.before and not hooks.after:
            found[read.get] = (*found.get(read.get, ()), command)
    return found
