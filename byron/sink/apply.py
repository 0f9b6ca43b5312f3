"""Events to changes of the Cache, inside the caller's transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from byron.commands.context import component_models
from byron.commands.emissions import refuse_undeclared
from byron.commands.functions import HANDLERS, HOOKS, load_function
from byron.commands.unwritten import hook_at_work
from byron.events.event import Event, StoredMessage
from byron.events.payloads import PayloadCodec
from byron.schema.installed import ComponentConfig
from byron.schema.model import Handler
from byron.sink.context import HandlerContext
from byron.sink.declared import DeclaredChanges
from byron.sink.guard import guarded
from byron.sink.outbox import Emission
from byron.sink.versions import Versions


@dataclass(frozen=True, slots=True)
class Incoming:
    """An event, and the message that carried it."""

    message: StoredMessage
    event: Event


class Applier:
    """Apply events to one component's Cache by its handlers, written or declared."""

    def __init__(self, config: ComponentConfig, payloads: PayloadCodec) -> None:
        #: The handler at work; after an error, the one that failed.
        self.handler = ""
        #: What handlers emitted since the caller last took it away.
        self.emitted: list[Emission] = []
        self._config = config
        self._payloads = payloads
        self._db = component_models(config)
        self._versions = Versions(config)
        self._declared = DeclaredChanges(config, self._versions)

    def apply(self, items: Sequence[Incoming], enough: Callable[[], bool] = lambda: False) -> int:
        """Apply events in order, until all are applied or it is enough, and return how many were.

        A run of events of one declared handler is applied in few statements. Raises whatever a handler raises; the
        caller's transaction is to be rolled back then.
        """
        self._versions.forget()
        self.handler = ""
        done = self._apply(items, enough)
        self._versions.store()
        return done

    def _apply(self, items: Sequence[Incoming], enough: Callable[[], bool]) -> int:
        done = 0
        for handler, run in groupby(items, key=self._bulk_handler):
            if handler is not None and handler.apply is not None:
                events = [item.event for item in run]
                self.handler = handler.name
                self._declared.apply(handler.apply, events)
                done += len(events)
            else:
                for item in run:
                    self._handle(item)
                    done += 1
                    if enough():
                        return done
            if enough():
                return done
        return done

    def _bulk_handler(self, item: Incoming) -> Handler | None:
        """Return the declared handler of an event, when nothing else reacts to it."""
        handlers = self._config.component.handlers.get(item.event.name, ())
        if len(handlers) != 1:
            return None
        handler = handlers[0]
        plain = not handler.hooks.before and not handler.hooks.after
        return handler if plain and handler.apply is not None else None

    def _handle(self, item: Incoming) -> None:
        event = item.event
        self._versions.see(event)
        for handler in self._config.component.handlers.get(event.name, ()):
            self.handler = handler.name
            context = HandlerContext(
                db=self._db,
                log=logging.getLogger(f"{self._config.name}.{handler.python_name}"),
                config=self._config,
                payloads=self._payloads,
                handler=handler.name,
                event=event,
            )
            with guarded(self._config.alias):
                self._run(handler, context, event)
            refuse_undeclared(handler, context.emitted)
            self.emitted += [
                Emission(cause=item.message, message=self._payloads.write(emitted)) for emitted in context.emitted
            ]

    def _run(self, handler: Handler, context: HandlerContext, event: Event) -> None:
        for hook in handler.hooks.before:
            self._run_hook(hook, context, event)
        if handler.apply is None:
            load_function(self._config, HANDLERS, handler.name)(context, event)
            self._versions.see(event)
        else:
            self._declared.apply(handler.apply, [event])
        for hook in handler.hooks.after:
            self._run_hook(hook, context, event)
            self._versions.see(event)

    def _run_hook(self, hook: str, context: HandlerContext, event: Event) -> None:
        with hook_at_work(hook):
            load_function(self._config, HOOKS, hook)(context, event)
