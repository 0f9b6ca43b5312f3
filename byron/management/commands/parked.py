"""`parked`: the events that could not be applied, and what to do about them."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from byron.events.subjects import decode_key
from byron.exceptions import ByronError
from byron.management.preparation import choose, require_components
from byron.models import ParkedEvent
from byron.schema.installed import ComponentConfig
from byron.sink.triage import (
    Selection,
    discard_parked,
    failing_handlers,
    parked_event,
    parked_events,
    parked_keys,
    retry_parked,
)

#: Characters of an error in the list.
_ERROR_WIDTH = 70

#: Keys or handlers that a message names, at most.
_NAMED = 10


class Command(BaseCommand):
    help = "List, show, retry or discard the events that were parked because they could not be applied."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "action",
            choices=["list", "show", "retry", "discard"],
            nargs="?",
            default="list",
            help="Choose what to do; default: list.",
        )
        parser.add_argument("ids", nargs="*", type=int, metavar="ID", help="Name events by the list's ids.")
        parser.add_argument("--key", help="Choose the events of this key.")
        parser.add_argument("--handler", metavar="NAME", help="Choose the events that this handler failed at.")
        parser.add_argument("--all", action="store_true", help="Choose all events; needed to retry or discard all.")
        parser.add_argument("--component", metavar="NAME", help="Choose a component, if there are several.")
        parser.add_argument("--json", action="store_true", help="Print JSON lines instead of text.")
        parser.add_argument("--no-input", action="store_true", help="Discard without asking.")

    def handle(self, *args: Any, **options: Any) -> None:
        components = choose(require_components(), [] if options["component"] is None else [options["component"]])
        selection = Selection(ids=options["ids"], key=options["key"], handler=options["handler"])
        given = bool(selection.ids or selection.key is not None or selection.handler)
        action = options["action"]
        if options["all"] and given:
            raise CommandError("--all means every parked event; leave out ids, --key and --handler.")
        if action in ("retry", "discard") and not given and not options["all"]:
            raise CommandError(f"Say which events to {action}: ids of the list, --key, --handler or --all.")
        if selection.ids and len(components) > 1:
            raise CommandError("Ids belong to one component's Cache; choose it with --component.")
        try:
            found = {config: list(parked_events(config, selection)) for config in components}
            missing = set(selection.ids) - {row.pk for rows in found.values() for row in rows}
            if missing:
                raise CommandError(f"No parked event has the id {', '.join(map(str, sorted(missing)))}.")
            if given and not any(found.values()):
                raise CommandError(_nothing_chosen(components, selection))
            getattr(self, f"_{action}")(found, selection, options)
        except (ByronError, DatabaseError) as error:
            raise CommandError(str(error)) from error

    def _list(self, found: _Found, selection: Selection, options: dict[str, Any]) -> None:
        rows = [(config, row) for config, events in found.items() for row in events]
        if options["json"]:
            for config, row in rows:
                self.stdout.write(json.dumps(_summary(config, row)))
            return
        if not rows:
            self.stdout.write("No event is parked.")
            return
        table = [("ID", "POSITION", "EVENT", "KEY", "STATE", "HANDLER", "TRIES", "ERROR")]
        for _, row in rows:
            error = row.error if len(row.error) <= _ERROR_WIDTH else f"{row.error[: _ERROR_WIDTH - 1]}…"
            cells = (row.pk, row.position, row.name, _key(row), row.state, row.handler or "-", row.tries, error)
            table.append(tuple(str(cell).replace("\n", " ") for cell in cells))  # type: ignore[arg-type]
        widths = [max(len(line[column]) for line in table) for column in range(len(table[0]))]
        for line in table:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def _show(self, found: _Found, selection: Selection, options: dict[str, Any]) -> None:
        for config, rows in found.items():
            for identity in [row.pk for row in rows]:
                row = parked_event(config, identity)
                if row is None:
                    # The Sink has applied it meanwhile.
                    continue
                if options["json"]:
                    self.stdout.write(json.dumps(_details(config, row)))
                    continue
                for name, value in _details(config, row).items():
                    text = str(value).rstrip()
                    self.stdout.write(f"{name:<10} {text}" if "\n" not in text else f"{name}\n{text}")
                self.stdout.write("")

    def _retry(self, found: _Found, selection: Selection, options: dict[str, Any]) -> None:
        applied, failed = 0, 0
        for config in found:
            for outcome in retry_parked(config, selection):
                key = _decoded(outcome.key)
                applied += outcome.applied
                failed += bool(outcome.error)
                if options["json"]:
                    line = {"component": config.label, "key": key, "applied": outcome.applied, "error": outcome.error}
                    self.stdout.write(json.dumps(line))
                elif outcome.error:
                    self.stdout.write(f"{key}: applied {outcome.applied}, then failed again: {outcome.error}")
                else:
                    self.stdout.write(f"{key}: applied {outcome.applied}")
        if not options["json"]:
            self.stdout.write(f"{_count(applied, 'event')} applied, {_count(failed, 'key')} still parked.")
        if failed:
            raise SystemExit(1)

    def _discard(self, found: _Found, selection: Selection, options: dict[str, Any]) -> None:
        count = sum(len(rows) for rows in found.values())
        if count and not options["no_input"]:
            question = f"Discard {_count(count, 'event')}? The Cache will never have their effect. [y/N] "
            if self._ask(question).strip().lower() not in ("y", "yes"):
                raise CommandError("Nothing was discarded.")
        # Those that were counted: more may have been set aside since.
        discarded = sum(discard_parked(config, [row.pk for row in rows]) for config, rows in found.items())
        if options["json"]:
            self.stdout.write(json.dumps({"discarded": discarded}))
        else:
            self.stdout.write(f"{_count(discarded, 'event')} discarded.")

    def _ask(self, question: str) -> str:
        # Standard output is for the outcome, which a program may read.
        self.stderr.write(question, style_func=str, ending="")
        self.stderr.flush()
        try:
            return input()
        except EOFError as error:
            raise CommandError("Nothing was discarded, since nobody answered; --no-input does not ask.") from error


_Found = dict[ComponentConfig, list[ParkedEvent]]


def _nothing_chosen(components: list[ComponentConfig], selection: Selection) -> str:
    """Say that no parked event is meant, and which might have been."""
    wanted, others = [], []
    if selection.key is not None:
        wanted.append(f"the key {selection.key!r}")
        keys = sorted({_decoded(key) for config in components for key in parked_keys(config)})
        others.append(f"keys with parked events: {_some(keys)}")
    if selection.handler is not None:
        wanted.append(f"the handler {selection.handler!r}")
        handlers = sorted({name for config in components for name in failing_handlers(config)})
        others.append(f"handlers with parked events: {_some(handlers)}")
    return f"No parked event has {' and '.join(wanted)}; {'; '.join(others)}."


def _some(names: list[str]) -> str:
    if not names:
        return "none"
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _key(row: ParkedEvent) -> str:
    return _decoded(row.key)


def _decoded(token: str) -> str:
    try:
        return decode_key(token)
    except ByronError:
        return token


def _summary(config: ComponentConfig, row: ParkedEvent) -> dict[str, Any]:
    return {
        "id": row.pk,
        "component": config.label,
        "position": row.position,
        "event": row.name,
        "key": _key(row),
        "state": row.state,
        "handler": row.handler,
        "tries": row.tries,
        "next_try": row.next_try.isoformat() if row.next_try else None,
        "parked": row.parked.isoformat(),
        "error": row.error,
    }


def _details(config: ComponentConfig, row: ParkedEvent) -> dict[str, Any]:
    return {
        **_summary(config, row),
        "event_id": row.event_id,
        "subject": row.subject,
        "headers": json.loads(row.headers),
        # As it came: it may be no JSON, or no text at all.
        "payload": bytes(row.body).decode("utf-8", "backslashreplace"),
        "traceback": row.traceback,
    }
