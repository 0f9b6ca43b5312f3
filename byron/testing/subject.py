"""What a test is about: a component that is asked, told of events and looked at, whatever processes it runs in."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

from byron.commands.user import User
from byron.events.event import Event, StoredMessage
from byron.schema.installed import ComponentConfig
from byron.schema.problems import did_you_mean
from byron.testing.commands import Commands
from byron.testing.events import require_event
from byron.testing.log import EventLog, Messages
from byron.testing.members import event_names
from byron.testing.scenario import Scenario

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True


def acting_user(id: str, roles: Iterable[str], claims: Mapping[str, Any]) -> User:
    """Return the user as whom a test acts. Raises TypeError for roles in one text."""
    if isinstance(roles, str):
        raise TypeError(f'roles takes a list: write roles=["{roles}"]')
    return User(id=id, roles=frozenset(roles), claims={"sub": id, **claims})


def idempotency_key(key: object) -> str:
    """Return a key that requests are to have. Raises TypeError for what is no text."""
    if not isinstance(key, str):
        raise TypeError(f'An Idempotency-Key is a text: write with_idempotency_key("{key}"), not {key!r}')
    return key


class Subject(Commands):
    """A component under test. Its clients' view is that of `Commands`; here is what its log gets and holds."""

    def __init__(
        self,
        config: ComponentConfig,
        log: Messages,
        names: Collection[str] | None = None,
        read: Callable[[StoredMessage], Event] | None = None,
    ) -> None:
        """Prepare a component that may be told of events by these names; without any, by those that it knows.

        `read` reads the messages of a log that other components write, too.
        """
        super().__init__(config)
        self._log = EventLog(config.component, log, read)
        self._names = event_names([config]) if names is None else names
        self._scenarios: list[Scenario] = []

    @abstractmethod
    def settle(self) -> int:
        """Have everything applied that is in the log and not yet in the Cache; return how many events those were."""

    @property
    def events(self) -> list[Event]:
        """Everything that was emitted in this component's namespace, in order."""
        return self._log.events()

    def given(self, *events: Event) -> Scenario:
        """Put events into the log, as their components would, and have them applied: what was before."""
        return self._scenario().given(*events)

    def when(self, what: str | Event, /, *others: object, **arguments: Any) -> Scenario:
        """Run a command, or have an event arrive; what must come of it is said by the scenario's `then`.

        It is one thing: `others` raise a TypeError that says where they belong.
        """
        return self._scenario().when(what, *others, **arguments)

    def unexamined(self) -> Iterator[str]:
        """Give the refusals that no scenario said anything of, in words."""
        for scenario in self._scenarios:
            if (error := scenario.unexamined()) is not None:
                yield "\n".join([str(error), *getattr(error, "__notes__", ())])

    def _scenario(self) -> Scenario:
        scenario = Scenario(self, self._log)
        self._scenarios.append(scenario)
        return scenario

    def publish(self, *events: Event) -> None:
        """Put events into the log, as their components would; made by `byron.testing.event`.

        The same one may happen several times. Raises EventError for one that breaks what this component's schema.yaml
        says of it, LookupError for one that nobody here handles or declares, and ValueError for one that was read
        from the log; none is put there then.
        """
        for each in events:
            if require_event(each).name not in self._names:
                hint = did_you_mean(each.name, self._names)
                raise LookupError(f"Nobody here handles or declares an event {each.name!r}{hint}")
        self._log.append(events)
