"""Given, when, then: what was, what is asked for, and what must come of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

from byron.events.event import Event
from byron.schema.problems import did_you_mean
from byron.schema.reads import entity_name
from byron.testing.answers import answers_differ
from byron.testing.commands import argument_names
from byron.testing.comparison import compare
from byron.testing.consequences import consequences, whereabouts
from byron.testing.events import require_event, summary
from byron.testing.failures import GraphQLFailure

if TYPE_CHECKING:
    from byron.testing.log import EventLog
    from byron.testing.subject import Subject

#: pytest shows the test, not what it calls here.
__tracebackhide__ = True

_UNEXAMINED = "success, since no `then_error` follows"


class Scenario:
    """`component.given(event(…)).when("createStudent", name="Ada").then(event("new.student", name="Ada"))`."""

    def __init__(self, component: Subject, log: EventLog) -> None:
        self._component = component
        self._log = log
        self._what = ""
        self._failure: GraphQLFailure | None = None
        #: Whether a `then_error` has said that there was a failure.
        self._is_examined = False
        self._result: Any = None
        #: How much the log held when the `when` began, and when its command had returned.
        self._before = self._after = 0
        #: The id of the event that arrived by it, unless it was a command.
        self._arrived: str | None = None
        self._is_settled = False

    def given(self, *events: Event) -> Self:
        """Put events into the log, as their components would, and have them applied: what was before."""
        for each in events:
            self._require_handled(each)
        if events:
            self._log.append(events)
            self._component.settle()
        return self

    def when(self, what: str | Event, /, *others: object, **arguments: Any) -> Self:
        """Run a command of schema.yaml, or have an event arrive and be applied: one of them, so there are no others."""
        self._require_one(what, others)
        self.require_examined()
        self._failure, self._result, self._is_examined = None, None, False
        self._arrived, self._is_settled = None, False
        self._before = len(self._log)
        if isinstance(what, Event):
            if arguments:
                raise TypeError(f"{what.name} takes no {', '.join(arguments)} here: write event({what.name!r}, …)")
            self._require_handled(what)
            self._what = what.name
            [self._arrived] = self._log.append([what])
            self._component.settle()
        else:
            self._what = what
            try:
                self._result = self._component.run(what, **arguments)
            except GraphQLFailure as failure:
                self._failure = failure
        self._after = len(self._log)
        return self

    @property
    def result(self) -> Any:
        """What the command returned. Raises AssertionError when it was refused."""
        self._require_when("result")
        if self._failure is not None:
            raise self._unexpected("a result")
        return self._result

    def settled(self) -> Self:
        """Apply everything pending, so that what this component's handlers emit counts, too."""
        self._require_success("success")
        self._component.settle()
        self._is_settled = True
        return self

    def then(self, *expected: Event) -> Self:
        """Require that exactly these events were emitted, in this order; of each, what is expected counts."""
        for each in expected:
            require_event(each)
        self._require_when("then")
        self._require_success(", ".join(each.name for each in expected) or "success")
        emitted = self._emitted()
        report = compare(expected, emitted)
        if report:
            told = [f"{self._what} emitted other events than expected:", report, *self._whereabouts(expected, emitted)]
            raise AssertionError("\n".join(told))
        return self

    def then_error(self, code: str, message: str = "") -> Self:
        """Require that the command was refused with a code, and a message that contains this."""
        if not isinstance(code, str) or not code or not isinstance(message, str):
            wrong = message if isinstance(code, str) and code else code
            raise ValueError(f'{wrong!r} is no text of a refusal: write then_error("CONFLICT", "already exists")')
        self._require_when("then_error")
        if self._failure is None:
            emitted = "".join(f"\n  {summary(each)}" for each in self._emitted())
            told = f"it returned {self._result!r} and emitted{emitted or ' nothing'}"
            raise AssertionError(f"{self._what} was expected to be refused with {code}, but {told}")
        if self._failure.code != code or message not in self._failure.message:
            hint = "" if self._failure.code in (None, code) else did_you_mean(code, [self._failure.code])
            raise self._unexpected((f"{code}: …{message}…" if message else code) + hint)
        self._is_examined = True
        return self

    def then_query(self, name: str, expected: Any, /, **arguments: Any) -> Self:
        """Require what a query answers once everything is applied; of each entity, what is expected counts."""
        self._require_success("success")
        self._component.settle()
        found = self._component.query(name, **arguments)
        component = self._component.config.component
        kind = component.types.get(entity_name(component.commands[name]))
        if report := answers_differ(expected, found, kind=kind):
            raise AssertionError("\n".join([f"{name} answers otherwise than expected:", *report]))
        return self

    def require_examined(self) -> None:
        """Raise AssertionError when the last `when` was refused, and no `then_error` has said that it should be."""
        self._require_success(_UNEXAMINED)

    def unexamined(self) -> AssertionError | None:
        """Return that error, without raising it."""
        return self._refused(_UNEXAMINED) if self._is_open else None

    def _emitted(self) -> list[Event]:
        return consequences(
            self._log.events(after=self._before),
            self._component.config.component.name,
            arrived=self._arrived,
            by_command=self._after - self._before,
            is_settled=self._is_settled,
        )

    def _whereabouts(self, expected: Sequence[Event], emitted: Sequence[Event]) -> Iterator[str]:
        wanted, found = (Counter(each.name for each in events) for events in (expected, emitted))
        return whereabouts(
            # One that is nearly right is told as such.
            [name for name in wanted - found if not did_you_mean(name, found - wanted)],
            emitted,
            self._log.events(after=self._before),
            self._component.config.component,
            is_settled=self._is_settled or self._arrived is not None,
        )

    def _require_one(self, what: object, others: Sequence[object]) -> None:
        """Raise TypeError unless a `when` is about one command or event, with its arguments by name."""
        if isinstance(what, str):
            taken = argument_names(self._component.config, what)
            # One that is not declared is told as such.
            if others and taken is not None:
                raise TypeError(f"{what} takes its arguments by name: {', '.join(taken) or 'none'}")
        elif others:
            raise TypeError("`when` is about one event: give the earlier ones to given(…), or begin another `when`")
        elif not isinstance(what, Event):
            raise TypeError(
                f'{what!r} is no command and no event: write when("createStudent", …) or when(event("new.student", …))'
            )

    def _require_when(self, step: str) -> None:
        if not self._what:
            raise AssertionError(f"`{step}` is about what a `when` did, and there was none in this scenario.")

    def _require_success(self, wanted: str) -> None:
        if self._is_open:
            raise self._unexpected(wanted)

    @property
    def _is_open(self) -> bool:
        """Whether a command was refused, and nothing was said of it yet."""
        return self._failure is not None and not self._is_examined

    def _unexpected(self, wanted: str) -> AssertionError:
        """Return the error that a command was refused otherwise than it was expected, to be raised: that says it."""
        self._is_examined = True
        return self._refused(wanted)

    def _refused(self, wanted: str) -> AssertionError:
        end = "" if wanted.endswith("?") else "."
        error = AssertionError(f"{self._what} was refused:\n  {self._failure}\nExpected was {wanted}{end}")
        if self._failure is not None:
            error.__cause__ = self._failure.__cause__
            error.__notes__ = list(getattr(self._failure, "__notes__", ()))
        return error

    def _require_handled(self, arriving: Event) -> None:
        component = self._component.config.component
        if require_event(arriving).name not in component.handlers:
            known = ", ".join(component.handlers) or "none"
            hint = did_you_mean(arriving.name, component.handlers)
            raise LookupError(f"{component.name} handles no event {arriving.name!r}{hint}; it handles: {known}")
