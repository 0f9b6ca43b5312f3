"""One command, from its arguments to the events it published."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from django.http import HttpRequest

from byron.broker.base import Broker
from byron.broker.connection import broker_for
from byron.cache.lag import CacheLag
from byron.commands.access import check_access
from byron.commands.bulkhead import BULKHEAD
from byron.commands.claims import Claims
from byron.commands.context import Context, component_models
from byron.commands.declared import run_declared
from byron.commands.emissions import refuse_undeclared
from byron.commands.functions import COMMANDS, load_function
from byron.commands.hooks import Hooks
from byron.commands.idempotency import Attempt
from byron.commands.plain import plain_value
from byron.commands.records import Decision, announced, mark_of
from byron.commands.results import check_result, load_rows
from byron.commands.time_limit import TimeLimit
from byron.commands.versions import VersionLock
from byron.conf import byron_settings
from byron.events.event import Event, Message
from byron.events.ids import new_id
from byron.events.payloads import PayloadCodec
from byron.exceptions import (
    BrokerUnavailableError,
    CommandError,
    ContractError,
    OutcomeUnknownError,
    PartlyKnownError,
    PublishDeniedError,
    PublishRefusedError,
    SupersededError,
)
from byron.schema.installed import ComponentConfig
from byron.schema.model import Command
from byron.schema.problems import listed
from byron.schema.reads import VERSION, function_arguments

_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_CORRELATION = re.compile(r"[A-Za-z0-9._-]{1,128}")

#: What a broker raises when certainly nothing of a publish is in the log.
_NOTHING_PUBLISHED = (BrokerUnavailableError, PublishDeniedError, PublishRefusedError)

#: What a function may raise to end a thread or a process: the request's other commands are to be answered all the same.
_ENDINGS = (SystemExit, GeneratorExit, asyncio.CancelledError)


def _is_main_thread() -> bool:
    """Whether Ctrl-C can come here."""
    return threading.current_thread() is threading.main_thread()


class CommandEndedError(Exception):
    """A command raised what ends a thread or a process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a command returned, and the events that the log now holds because of it."""

    value: Any
    events: Sequence[Event]


class CommandRunner:
    """Run one component's commands.

    A command's life: before hooks, the function or declaration, after hooks, a look at what it
    returns, then everything that was emitted is published at once and acknowledged. An exception
    anywhere publishes nothing, and gives back what was claimed.
    """

    def __init__(self, config: ComponentConfig) -> None:
        self.config = config
        self._component = config.component
        self._db = component_models(config)
        self._hooks = Hooks(config)
        self._none: dict[str, Mapping[str, None]] = {}
        self._payloads = PayloadCodec(config.component)
        self._lag = CacheLag(config.alias, config.consumer_name, config.component.handlers)
        self._ready: Broker | None = None
        #: A position that the log has reached.
        self._position = 0

    def run(
        self,
        command: Command,
        arguments: Mapping[str, Any],
        request: HttpRequest | None = None,
        *,
        columns: Collection[str] = (),
        attempt: Attempt | None = None,
    ) -> Outcome:
        """Run a command with arguments by their snake_case names; `columns` as in its context.

        With an attempt, that is under an Idempotency-Key, the command is not run when an earlier run has published.

        Raises CommandError when it is refused, which for want of a role comes before all else, or takes too long;
        BrokerUnavailableError and OutcomeUnknownError when its events could not be published; SupersededError when
        another process has taken the attempt over; and whatever else the developer's functions raise.
        """
        context = self._context(command, request, columns, attempt)
        check_access(command, context.user)
        lock = VersionLock.of(self.config, command, arguments)
        if attempt is not None and attempt.known is not None:
            known = attempt.known
            return Outcome(value=lock.with_versions(known.value, known.fresh, attempt.events), events=attempt.events)
        try:
            with TimeLimit(byron_settings().api_command_timeout, self.config.alias, command.name):
                lock.require_seen()
                value = self._value(context, command, arguments)
            refuse_undeclared(command, context.emitted)
            lock.require_events(context.emitted)
            fresh = lock.fresh(value, context.emitted, columns)
            messages = [self._payloads.write(event) for event in context.emitted]
            broker = self._broker() if messages else None
            if attempt is not None:
                value = self._decide(attempt, command, value, fresh, context.emitted, messages)
            timeout = context.claims.time_to_publish(byron_settings().publish_timeout)
            if attempt is not None:
                timeout = attempt.time_to_publish(timeout)
        except BaseException as error:
            context.claims.release(wait=not isinstance(error, BrokerUnavailableError))
            if isinstance(error, _ENDINGS) or (isinstance(error, KeyboardInterrupt) and not _is_main_thread()):
                raise CommandEndedError(f"{command.name} raised {error!r}, which is no way to fail.") from error
            raise
        events = self._publish(context, broker, messages, timeout, lock) if broker is not None else ()
        context.claims.settle(events)
        if attempt is not None:
            attempt.settle(events)
        return Outcome(value=lock.with_versions(value, fresh, events), events=events)

    def _decide(
        self,
        attempt: Attempt,
        command: Command,
        value: Any,
        fresh: frozenset[str],
        events: Sequence[Event],
        messages: Sequence[Message],
    ) -> Any:
        """Have it kept what is about to be published, and return what an answer made of that will say too."""
        plain = plain_value(self._component, command, value)
        with BULKHEAD.broker_wait():
            attempt.decide(
                Decision(
                    value=plain,
                    fresh=tuple(sorted(fresh)),
                    events=tuple(
                        announced(event, message.subject) for event, message in zip(events, messages, strict=True)
                    ),
                    mark=mark_of(messages[0]) if messages else "",
                    after=self._position,
                )
            )
        return plain

    def _value(self, context: Context, command: Command, arguments: Mapping[str, Any]) -> Any:
        """Run the hooks and the function, and hold the result against what was declared."""
        arguments = {name: each for name, each in arguments.items() if name != VERSION or not command.version}
        none = self._left_out(command)
        asked = deepcopy(arguments) if command.hooks.before and command.emit is not None else arguments
        given = self._hooks.before(context, command, {**none, **arguments})
        if command.is_declared:
            # An argument that was left out is no null: an update leaves its attribute alone.
            passed = {name: each for name, each in given.items() if each is not None or name in arguments}
            value = self._declared(context, command, passed, asked)
        else:
            value = load_function(self.config, COMMANDS, command.name)(context, **{**none, **given})
        value = load_rows(value, context.columns)
        self._hooks.after(context, command, value)
        check_result(self._component, command, value)
        return value

    def _left_out(self, command: Command) -> Mapping[str, None]:
        """Return a command's arguments as its function gets those that the client leaves out."""
        found = self._none.get(command.name)
        if found is None:
            found = self._none[command.name] = dict.fromkeys(function_arguments(self._component, command))
        return found

    def _declared(
        self, context: Context, command: Command, arguments: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> Any:
        try:
            return run_declared(context, command, arguments, asked=asked)
        except Exception as error:
            if command.hooks.before and not isinstance(error, CommandError | ContractError):
                error.add_note(f"The arguments of {command.name} were those that {listed(command.hooks.before)} left.")
            raise

    def _context(
        self,
        command: Command,
        request: HttpRequest | None,
        columns: Collection[str] = (),
        attempt: Attempt | None = None,
    ) -> Context:
        headers: Mapping[str, str] = request.headers if request is not None else {}
        trace = headers.get("traceparent", "")
        correlation = headers.get("X-Correlation-ID", "")
        if not _CORRELATION.fullmatch(correlation):
            # Of byron.api.middleware, when the project has it.
            correlation = getattr(request, "request_id", "") or new_id()
        return Context(
            db=self._db,
            log=logging.getLogger(f"{self.config.name}.{command.python_name}"),
            user=getattr(request, "user", None),
            request=request,
            columns=columns,
            config=self.config,
            payloads=self._payloads,
            command=command.name,
            claims=Claims(self.config, self._broker, self._lag, attempt.first_id if attempt is not None else ""),
            attempt=attempt,
            correlation_id=correlation,
            traceparent=trace if _TRACEPARENT.fullmatch(trace) else None,
        )

    def _broker(self) -> Broker:
        """Return the component's broker, with a log."""
        broker = broker_for(self.config.component.namespace)
        if broker is not self._ready:
            with BULKHEAD.broker_wait():
                self._position = broker.ensure_log().last
            self._ready = broker
        return broker

    def _publish(
        self, context: Context, broker: Broker, messages: Sequence[Message], timeout: float, lock: VersionLock
    ) -> Sequence[Event]:
        attempt = context.attempt
        try:
            with BULKHEAD.broker_wait():
                acknowledged = lock.publish(broker, messages, timeout, only_whole=attempt is not None)
                if attempt is not None:
                    attempt.require_own(messages[0], acknowledged[0])
        except (*_NOTHING_PUBLISHED, CommandError, SupersededError, PartlyKnownError) as error:
            # Of no other error it is certain that nothing will be in the log.
            context.claims.release(wait=False)
            if attempt is not None:
                attempt.withdraw(error)
            raise
        except OutcomeUnknownError as error:
            error.event_ids = tuple(event.id for event in context.emitted)
            raise
        self._position = max(self._position, acknowledged[-1].position)
        emitted = zip(context.emitted, acknowledged, strict=True)
        return [replace(event, position=held.position) for event, held in emitted]
