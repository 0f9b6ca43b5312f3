"""A component in one process: commands, a log in memory, and a Sink that the test drives."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from datetime import UTC, datetime
from itertools import count
from typing import Any, Self

from django.http import HttpRequest

from byron.api.execution import GraphQLService
from byron.broker.connection import use_broker
from byron.cache.checkpoint import last_position
from byron.cache.roles import Role, acting_as
from byron.commands.user import User
from byron.events.clock import stopped_at
from byron.events.event import Event, StoredMessage
from byron.events.ids import ChosenIds, chosen_ids
from byron.schema.installed import ComponentConfig
from byron.schema.model import Component
from byron.sink.runner import Sink
from byron.testing.cascades import LogUnderTest
from byron.testing.commands import as_json
from byron.testing.examples import run_examples
from byron.testing.failures import GraphQLFailure
from byron.testing.frames import is_everything_shown, keep_own
from byron.testing.subject import Subject, acting_user, idempotency_key
from byron.testing.survival import Survival

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

_log = logging.getLogger("byron.api")


class ComponentUnderTest(Subject):
    """One component, as its clients and its log see it. Each process's role holds here too."""

    def __init__(
        self,
        config: ComponentConfig,
        broker: LogUnderTest | None = None,
        names: Collection[str] | None = None,
        read: Callable[[StoredMessage], Event] | None = None,
    ) -> None:
        """Prepare a component with a log of its own, unless a broker is given that others share."""
        self.broker = LogUnderTest(config.component.namespace) if broker is None else broker
        super().__init__(config, self.broker, names, read)
        self._service = _service(config)
        self._sink = Sink(config, lambda: self.broker)
        self._user: User | None = None
        self._headers: dict[str, str] = {}

    @contextmanager
    def connected(self) -> Iterator[Self]:
        """Let commands find the log in memory for a while."""
        with ExitStack() as until_the_end:
            until_the_end.enter_context(use_broker(self.config.component.namespace, self.broker))
            # What a test chooses ends with it.
            until_the_end.enter_context(chosen_ids(None))
            until_the_end.enter_context(stopped_at(None))
            self._until_the_end = until_the_end
            yield self

    def choose_ids(self, *ids: str) -> None:
        """Have `ctx.uuid()` give these, in order, for the rest of the test: `component.choose_ids("42")`.

        With none, they are "1", "2", "3" and so on. One more than there are is a LookupError, which lists them.
        """
        for each in ids:
            if not isinstance(each, str):
                raise TypeError(f'Ids are texts: write choose_ids("42", "43"), not {each!r}')
        self._until_the_end.enter_context(chosen_ids(ChosenIds(ids) if ids else map(str, count(1))))

    def stop_clock(self, moment: datetime | str) -> None:
        """Have `ctx.now()` and the time of events be this, for the rest of the test; with a zone."""
        try:
            at = datetime.fromisoformat(moment) if isinstance(moment, str) else moment
            has_zone = at.tzinfo is not None
        except (ValueError, AttributeError):
            raise ValueError(f"{moment!r} is no moment; write it as 2024-02-29T12:30:00Z") from None
        if not has_zone:
            raise ValueError(f"{moment} has no zone; write it as 2024-02-29T12:30:00Z")
        self._until_the_end.enter_context(stopped_at(at.astimezone(UTC)))

    def as_user(self, id: str, /, *, roles: Iterable[str] = (), **claims: Any) -> ComponentUnderTest:
        """Return this component as it is for a user: the same log and Cache, with `ctx.user` set.

        `claims` are what the user's token says besides. No token is made: this is about what commands do with it.
        """
        acting = copy(self)
        acting._user = acting_user(id, roles, claims)
        return acting

    def with_idempotency_key(self, key: str, /) -> ComponentUnderTest:
        """Return this component as it is for requests with an Idempotency-Key: the same log and Cache."""
        acting = copy(self)
        acting._headers = {"HTTP_IDEMPOTENCY_KEY": idempotency_key(key)}
        return acting

    def _request(self) -> HttpRequest | None:
        if self._user is None and not self._headers:
            return None
        request = HttpRequest()
        request.META.update(self._headers)
        if self._user is not None:
            # Django's annotation knows its own users alone.
            user: Any = self._user
            request.user = user
        return request

    def graphql(self, document: str, /, **variables: Any) -> dict[str, Any]:
        """Run a GraphQL document and return its data. Raises GraphQLFailure."""
        with acting_as(Role.API), _logged_in_a_line():
            answer = self._service.execute(document, as_json(variables), request=self._request())
        if answer.body.get("errors"):
            failure = GraphQLFailure(answer.body["errors"], answer.causes)
            cause = answer.causes[0] if answer.causes and failure.is_mistake else None
            # One that never reached the project's code has nothing to show that the failure does not say.
            raise failure from (cause if cause is not None and keep_own(cause) else None)
        data: dict[str, Any] = answer.body["data"]
        return data

    def examples(self, *, skip: Collection[str] = ()) -> list[str]:
        """Run the generated example of every event and every command; return their names.

        A command may refuse its example by a CommandError. Anything else that goes wrong is an
        AssertionError, which lists it. `skip` names those that no example can fit.
        """
        return run_examples(self, skip)

    def forget_pending(self) -> None:
        """Remove from the log what is not applied yet, such as an event that a handler fails on.

        It is as if nobody had emitted it: what a mutation claimed for it is free again, and its Idempotency-Key unused.
        """
        self.broker.forget(after=last_position(self.config.alias, self.config.consumer_name))

    def settle(self) -> int:
        """Apply every event that is in the log and not yet in the Cache; return how many those were.

        Raises what a handler raises.
        """
        try:
            with acting_as(Role.SINK):
                return self._sink.settle()
        except Exception as error:
            keep_own(error)
            raise

    def survives(self, *events: Event, across_keys: bool = True, examples: int = 30, seed: int | None = None) -> None:
        """Require that the Cache ends the same whatever happens to the Sink, for what was emitted and these events.

        First processes end before every step of applying them, in batches and one by one; of many events, in the first
        batches only. Then the events of each key come last, and after what the others emitted; of many keys, several
        together. Then generated fault schedules have events delivered again, processes that end at any step,
        handlers that fail once, several lanes, other orders across keys, and a Cache that is lost. They are the same
        `examples` each time, others for each `seed`. Each begins with an empty Cache, and leaves this component as it
        was. Without `across_keys` there is one lane, and nothing passes an event of another key. Raises SurvivalError,
        an AssertionError that tells the smallest schedule found; MissingExtraError; EventError and LookupError for
        events that this component cannot get; ValueError for `examples` that are no number from 1 on, and a `seed` that
        is none; and CacheError for a Cache whose engine is none of Byron's.
        """
        Survival(self.config, self.broker, events, across_keys=across_keys).check(examples=examples, seed=seed)


@contextmanager
def _logged_in_a_line() -> Iterator[None]:
    """Keep tracebacks out of the API's log, unless all is to be shown: the failure that the test gets has them."""
    if is_everything_shown():
        yield
        return

    def without_traceback(record: logging.LogRecord) -> bool:
        if record.exc_info:
            kind, error, _ = record.exc_info
            record.msg, record.args = "%s error=%s: %s", (record.getMessage(), kind and kind.__name__, error)
            record.exc_info = None
        return True

    _log.addFilter(without_traceback)
    try:
        yield
    finally:
        _log.removeFilter(without_traceback)


_services: dict[str, tuple[Component, GraphQLService]] = {}


def _service(config: ComponentConfig) -> GraphQLService:
    # One for all tests: it takes longer to make than a test.
    known = _services.get(config.label)
    if known is None or known[0] is not config.component:
        known = _services[config.label] = (config.component, GraphQLService(config))
    return known[1]
