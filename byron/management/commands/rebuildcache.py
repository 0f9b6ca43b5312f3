"""`rebuildcache`: the Cache anew from the log, beside the live one."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from byron.broker.connection import broker_for, close_brokers
from byron.cache.workspace import redirected
from byron.events.event import StoredMessage
from byron.exceptions import ByronError
from byron.management.preparation import choose, require_components
from byron.project import database_of
from byron.schema.installed import ComponentConfig
from byron.sink.rebuild import Rebuilt, rebuild, replay_into
from byron.sink.replay import Replay

log = logging.getLogger("byron.sink")

#: Seconds between two lines of progress where there is no terminal.
_LOG_INTERVAL = 5.0

#: What --into can be.
_ENGINES = ("django.db.backends.sqlite3", "django.db.backends.postgresql")


class Command(BaseCommand):
    help = "Build a component's Cache anew from the event log, and switch to it when it has caught up."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("component", nargs="?", metavar="COMPONENT", help="Name it, if there are several.")
        parser.add_argument("--resume", action="store_true", help="Go on with an interrupted rebuild.")
        parser.add_argument(
            "--accept-parked",
            action="store_true",
            help="Switch even when events cannot be applied that the live Cache has applied.",
        )
        parser.add_argument(
            "--until",
            metavar="POSITION|TIME",
            help="Build the Cache as it was after this position or at this ISO 8601 time; needs --into.",
        )
        parser.add_argument(
            "--into", metavar="URL", help="Name the empty database for --until, e.g. sqlite:///then.sqlite3."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        config = _chosen(require_components(), options["component"])
        if bool(options["until"]) != bool(options["into"]):
            raise CommandError("--until and --into go together: which moment, and into which database.")
        connect = partial(broker_for, config.component.namespace)
        started = time.monotonic()
        try:
            with _progress() as watch:
                if options["until"]:
                    built = _as_of(config, connect, options["until"], options["into"], watch)
                else:
                    built = rebuild(
                        config,
                        connect,
                        resume=options["resume"],
                        accept_parked=options["accept_parked"],
                        watch=watch,
                    )
        except (ByronError, DatabaseError, ImproperlyConfigured) as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            raise CommandError("Interrupted; the live Cache is as it was. --resume goes on from here.") from None
        finally:
            close_brokers()
        self._show(config, built, time.monotonic() - started)

    def _show(self, config: ComponentConfig, built: Rebuilt, seconds: float) -> None:
        rate = built.applied / max(seconds, 1e-3)
        self.stdout.write(
            f"{config.label}: {built.applied:,} events applied in {seconds:.1f} s ({rate:,.0f} events/s), "
            f"up to position {built.position}; {built.parked} parked."
        )
        for each in built.differences:
            same = "no difference" if not each.removed and not each.added else f"-{each.removed} +{each.added} rows"
            self.stdout.write(f"  {each.table}: {each.rows:,} rows, {same}")


def _chosen(components: list[ComponentConfig], label: str | None) -> ComponentConfig:
    if label is None and len(components) > 1:
        known = ", ".join(config.label for config in components)
        raise CommandError(f"This project has several components; name one: {known}.")
    return choose(components, [] if label is None else [label])[0]


def _as_of(
    config: ComponentConfig,
    connect: Callable[[], Any],
    moment: str,
    url: str,
    watch: Callable[[Replay], None],
) -> Rebuilt:
    until = _beyond(moment)
    if url.startswith("mongodb"):
        raise CommandError("--into cannot be in MongoDB yet; name a database of SQLite or PostgreSQL.")
    if "://" not in url:
        raise CommandError(f"--into {url!r} is no database URL: it has no scheme, as in sqlite:///then.sqlite3.")
    try:
        # Its own alone: the live Cache's may be of another engine.
        database = connections.configure_settings({DEFAULT_DB_ALIAS: {}, config.alias: database_of(url)})[config.alias]
    except (ValueError, ImproperlyConfigured) as error:
        raise CommandError(f"--into {url!r} is no database URL: {error}.") from error
    if database["ENGINE"] not in _ENGINES:
        raise CommandError(f"--into {url!r} is no database URL of SQLite or PostgreSQL.")
    with redirected(config.alias, database) as live:
        connection = connections[config.alias]
        if tables := connection.introspection.table_names():
            raise CommandError(f"The database of --into is not empty: it has the table {tables[0]}. Choose a new one.")
        call_command("migrate", database=config.alias, interactive=False, verbosity=0)
        return replay_into(config, connect, live=live, until=until, watch=watch)


def _beyond(moment: str) -> Callable[[StoredMessage], bool]:
    """Return whether a message is later than a position or a time. Raises CommandError for what is neither."""
    try:
        if moment.isdecimal():
            position = int(moment)
            return lambda message: message.position > position
        when = datetime.fromisoformat(moment)
    except ValueError as error:
        raise CommandError(f"--until {moment!r} is neither a position nor an ISO 8601 time.") from error
    try:
        # Without an offset, it is the time of whoever types it.
        seconds = when.astimezone(UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise CommandError(f"--until {moment!r} cannot be told in UTC: {error}.") from error
    return lambda message: message.logged > seconds


@contextmanager
def _progress() -> Iterator[Callable[[Replay], None]]:
    """Show a bar on a terminal, lines elsewhere."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]} events/s"),
        TimeRemainingColumn(),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("replaying", total=None, rate="?")
        started = time.monotonic()

        def show(replay: Replay) -> None:
            rate = f"{replay.applied / max(time.monotonic() - started, 1e-3):,.0f}"
            total = max(replay.total, replay.applied)
            bar.update(task, description=replay.phase, completed=replay.applied, total=total, rate=rate)

        yield show


class _Lines:
    """Progress as lines, some seconds apart."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._next = self._started + _LOG_INTERVAL

    def __call__(self, replay: Replay) -> None:
        now = time.monotonic()
        if now < self._next and replay.phase == "replaying":
            return
        self._next = now + _LOG_INTERVAL
        rate = replay.applied / max(now - self._started, 1e-3)
        left = max(replay.total - replay.applied, 0) / max(rate, 1e-3)
        log.info(
            "rebuild phase=%s applied=%d of=%d rate=%.0f/s left=%.0fs",
            replay.phase,
            replay.applied,
            max(replay.total, replay.applied),
            rate,
            left,
        )
