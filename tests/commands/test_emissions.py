"""What is emitted, held against `emits:`; and what schema.yaml says of it."""

from __future__ import annotations

import pytest

from byron.commands.emissions import refuse_undeclared
from byron.commands.runner import CommandRunner
from byron.events.event import Event
from byron.exceptions import ContractError
from byron.schema.model import Handler
from byron.schema.reader import parse_component

SCHEMA = """
name: Shop
namespace: Town
content:
  types: [{name: Order, attributes: [{name: item, type: "String!"}]}]
  events:
    - {name: goods.gone, payload: Order}
  commands:
    - name: order
      type: mutation
      returnType: "Order!"
      parameters: [{name: item, type: "String!"}]
      emit: {event: new.order}
      emits: [stock.asked]
    - {name: cancel, type: mutation, returnType: Int}
    - {name: pause, type: mutation, returnType: Int, emits: []}
    - {name: getOrders, type: query, returnType: Int}
  handlers:
    - {name: newOrder, event: new.order, apply: {create: Order}}
    - {name: goodsGone, event: goods.gone, emits: [order.failed]}
"""


def event(name: str) -> Event:
    return Event(name=name, key="1", payload={"id": "1"}, namespace="Town", source="Shop", version=1)


def test_what_is_emitted_is_what_emit_and_emits_say():
    shop = parse_component(SCHEMA)
    assert shop.emitted_by_commands == ("new.order", "stock.asked")
    assert shop.emitted_by_handlers == ("order.failed",)
    assert shop.silent_mutations == ("cancel",)


@pytest.mark.parametrize(
    ("command", "allowed", "refused"),
    [("order", ["new.order", "stock.asked"], "goods.gone"), ("pause", [], "new.order"), ("cancel", ["any.event"], "")],
)
def test_emits_lists_all_that_a_command_emits(command, allowed, refused):
    declared = parse_component(SCHEMA).commands[command]
    refuse_undeclared(declared, map(event, allowed))
    if refused:
        with pytest.raises(ContractError, match=rf"^{command} emitted {refused}, which is not in its `emits:`"):
            refuse_undeclared(declared, map(event, [*allowed, refused]))


def test_emits_lists_all_that_a_handler_emits():
    [declared] = parse_component(SCHEMA).handlers["goods.gone"]
    assert isinstance(declared, Handler)
    refuse_undeclared(declared, [event("order.failed")])
    with pytest.raises(ContractError, match=r"goodsGone emitted goods\.gone"):
        refuse_undeclared(declared, [event("goods.gone")])


def test_a_command_that_emits_what_it_does_not_declare_publishes_nothing(component, library):
    # Its hook emits drama.added as well.
    declared = library.component.commands["addBook"].model_copy(update={"emits": ("new.book",)})
    data = {"title": "Hamlet", "genre": "DRAMA", "author": "a", "tags": []}
    with pytest.raises(ContractError, match=r"addBook emitted drama\.added"):
        CommandRunner(library).run(declared, {"data": data})
    assert component.events == []
