"""The options of `infrastructure config` and `prepare`, and what these print."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from byron.codegen.nats import SERVER_FILE, Certificates
from byron.management.rights.broker import Wanted, find_deployables, prepare_broker, write_configuration


def add_rights_arguments(parser: CommandParser) -> None:
    """Add what `config` and `prepare` take besides the namespace."""
    parser.add_argument(
        "paths", nargs="*", type=Path, metavar="PATH", help="Name the folders of projects or components."
    )
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="Write to this folder; config.")
    parser.add_argument("--listen", default="127.0.0.1:4222", metavar="HOST:PORT", help="Listen there; config.")
    parser.add_argument("--url", default="", metavar="URL", help="Tell clients that the server is there; config.")
    parser.add_argument("--lanes", type=int, metavar="N", help="Provide for so many lanes; config and prepare.")
    parser.add_argument(
        "--tls", action="append", metavar="HOST", help="Make a certificate for this name or address; config."
    )
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="Use this certificate; config.")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="Use this key of the certificate; config.")
    parser.add_argument("--tls-ca", type=Path, metavar="FILE", help="Check the certificate with this one; config.")


def _config(command: BaseCommand, options: Mapping[str, Any]) -> None:
    namespace: str = options["namespace"]
    wanted = Wanted(
        namespace=namespace,
        directory=options["output"] or Path(f"nats-{namespace.lower()}"),
        listen=options["listen"],
        url=options["url"],
        lanes=_lanes(options) or 1,
        tls_hosts=options["tls"] or (),
        certificates=_certificates(options),
    )
    deployables = find_deployables(namespace, options["paths"])
    for warning in write_configuration(wanted, deployables, command.stdout.write):
        command.stderr.write(command.style.WARNING(f"Warning: {warning}"))
    server = wanted.directory / SERVER_FILE
    command.stdout.write(f"Check: `nats-server -t -c {server}`; a server that runs takes changes on by a reload.")


def _prepare(command: BaseCommand, options: Mapping[str, Any]) -> None:
    namespace: str = options["namespace"]
    done = prepare_broker(namespace, find_deployables(namespace, options["paths"]), _lanes(options))
    command.stdout.write("\n".join(f"{each}: prepared" for each in done) or "Everything is there already.")


def _lanes(options: Mapping[str, Any]) -> int | None:
    lanes: int | None = options["lanes"]
    if lanes is not None and not 1 <= lanes <= 16:
        raise CommandError(f"--lanes {lanes}: there are 1 to 16.")
    return lanes


def _certificates(options: Mapping[str, Any]) -> Certificates | None:
    given = {name: options[name] for name in ("tls_cert", "tls_key", "tls_ca")}
    if not any(given.values()):
        return None
    if not all(given.values()) or options["tls"]:
        raise CommandError("--tls-cert, --tls-key and --tls-ca go together, and not with --tls.")
    for path in given.values():
        if not path.is_file():
            raise CommandError(f"{path} is no file.")
    return Certificates(
        certificate=given["tls_cert"].absolute(), key=given["tls_key"].absolute(), authority=given["tls_ca"].absolute()
    )


#: What these actions do.
RIGHTS_ACTIONS: dict[str, Callable[[BaseCommand, Mapping[str, Any]], None]] = {"config": _config, "prepare": _prepare}
