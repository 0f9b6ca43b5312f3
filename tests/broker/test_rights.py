"""A real nats-server with the accounts that are made from schema.yaml: what each role can do, and what it cannot."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from byron.broker.access import Access, configured_access, new_seed, read_seed
from byron.broker.nats import NatsBroker
from byron.broker.nats.api import call_api
from byron.broker.rights import Deployable, readers_of
from byron.broker.server import find_binary
from byron.codegen.nats import IMPORTED_API
from byron.events.codec import decode, encode, encode_payload
from byron.events.event import Event, Message, StoredMessage
from byron.exceptions import (
    BrokerUnavailableError,
    ConsumerLostError,
    LogMismatchError,
    PublishDeniedError,
    SubscribeDeniedError,
)
from byron.management.rights.broker import Wanted, find_deployables, write_configuration
from byron.schema.reader import parse_component
from tests.broker.conformance import TIMEOUT, eventually, positions
from tests.processes import free_port

pytestmark = pytest.mark.broker

PERSES = Path(__file__).resolve().parent.parent.parent / "examples" / "perses"
NAMESPACE = "StudyCase"
AUTH = ["new.user", "user.renamed", "update.role"]
#: A denial comes at once; a time-out takes seconds.
AT_ONCE = 1.0

#: A component whose handlers emit, which none of Perses' do.
ECHO = """
name: Echo
namespace: StudyCase
content:
  handlers:
    - {name: newUser, event: new.user, emits: [user.echoed]}
"""


@dataclass(frozen=True)
class Guarded:
    """A server with rights, and the way to it for each role."""

    directory: Path
    port: int
    process: subprocess.Popen[bytes]

    def broker(self, role: str, **changes: Any) -> NatsBroker:
        api = "$JS.API" if role == "admin" else IMPORTED_API
        access = replace(read_seed(self.directory / f"{role}.nk", role), api=api, **changes)
        return NatsBroker(NAMESPACE, f"nats://127.0.0.1:{self.port}", access=access)

    def prepare(self, *deployables: Deployable, lanes: int = 2) -> list[str]:
        components = [component for each in deployables for component in each.components]
        readers = [reader for component in components for reader in readers_of(component, lanes)]
        with self.broker("admin") as admin:
            return admin.prepare({r.name: r.events for r in readers}, {r.name: r.slots for r in readers})


def deployables() -> list[Deployable]:
    perses = find_deployables(NAMESPACE, [PERSES / "auth", PERSES / "grouping" / "grouping"])
    return [*perses, Deployable(name="echo", components=(parse_component(ECHO),))]


def start(directory: Path, port: int) -> subprocess.Popen[bytes]:
    with open(directory / "nats.log", "ab") as log:
        process = subprocess.Popen([str(find_binary()), "-c", str(directory / "nats.conf")], stdout=log, stderr=log)

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    eventually(answers, "nats-server answers")
    return process


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    port = free_port()
    wanted = Wanted(namespace=NAMESPACE, directory=tmp_path, listen=f"127.0.0.1:{port}", lanes=2)
    assert write_configuration(wanted, deployables(), lambda line: None) == []
    server = Guarded(directory=tmp_path, port=port, process=start(tmp_path, port))
    try:
        server.prepare(*deployables())
        yield server
    finally:
        server.process.send_signal(signal.SIGKILL)
        server.process.wait(10)


def message(event: str, key: str) -> Message:
    payload = {"id": key}
    made = Event(name=event, key=key, payload=payload, namespace=NAMESPACE, source="anyone")
    return encode(made, encode_payload(payload))


def ask(broker: NatsBroker, request: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """Send a request to JetStream that Byron itself never sends."""

    async def send() -> dict[str, Any]:
        return await call_api(await broker._session(), request, body)

    return broker._call(send)


def refused_at_once(action: Any, subject: str) -> None:
    began = time.monotonic()
    with pytest.raises(PublishDeniedError) as refusal:
        action()
    assert time.monotonic() - began < AT_ONCE
    assert subject in str(refusal.value).replace(f"{IMPORTED_API}.", "$JS.API.")


class TestWhatRolesCanDo:
    def test_a_server_takes_the_configuration(self, guarded: Guarded) -> None:
        checked = subprocess.run(
            [str(find_binary()), "-t", "-c", str(guarded.directory / "nats.conf")], capture_output=True, check=False
        )
        assert checked.returncode == 0, checked.stderr

    def test_an_api_publishes_what_its_commands_emit(self, guarded: Guarded) -> None:
        with guarded.broker("grouping-api") as api:
            one = api.publish([message("new.class", "1")], TIMEOUT)
            two = api.publish([message("new.school", "2"), message("update.role", "3")], TIMEOUT)
        assert [each.position for each in (*one, *two)] == [1, 2, 3]

    def test_an_api_claims_and_knows_how_far_the_cache_is_behind(self, guarded: Guarded) -> None:
        with guarded.broker("auth-api") as api, guarded.broker("grouping-api") as other:
            claim = api.claim("name", "ada", 30, TIMEOUT)
            assert claim.is_own
            assert other.claim("name", "bob", 30, TIMEOUT).holder == "ada"
            api.release(claim, TIMEOUT)
            assert other.claim("name", "bob", 30, TIMEOUT).holder == "bob"
            api.publish([message("new.user", "1")], TIMEOUT)
            assert api.get(1) is not None
            assert api.backlog_age(["new.user"], 0) > 0 == api.backlog_age(["new.user"], 1)

    def test_a_sink_reads_what_its_component_handles_and_nothing_else(self, guarded: Guarded) -> None:
        with guarded.broker("auth-api") as auth, guarded.broker("grouping-api") as grouping:
            auth.publish([message("new.user", "1")], TIMEOUT)
            grouping.publish([message("new.school", "2"), message("update.role", "1")], TIMEOUT)
        with guarded.broker("auth-sink") as sink, sink.consumer("auth", AUTH, 0) as consumer:
            read = consumer.fetch(10, TIMEOUT)
            assert positions(read) == [1, 3]
            assert [stored.subject.split(".", 3)[3] for stored in read] == ["new.user", "update.role"]
            consumer.acknowledge(3)
            eventually(lambda: consumer.pending() == 0, "nothing is left")

    def test_a_sink_is_moved_to_its_checkpoint_in_both_directions(self, guarded: Guarded) -> None:
        with guarded.broker("auth-api") as api:
            api.publish([message("new.user", str(key)) for key in range(6)], TIMEOUT)
        with guarded.broker("auth-sink") as sink:
            for after, expected in ((0, [1, 2, 3, 4, 5, 6]), (4, [5, 6]), (2, [3, 4, 5, 6])):
                with sink.consumer("auth", AUTH, after) as consumer:
                    assert positions(consumer.fetch(10, TIMEOUT)) == expected
            with pytest.raises(LogMismatchError):
                sink.consumer("auth", AUTH, 7)

    def test_lanes_share_the_events(self, guarded: Guarded) -> None:
        with guarded.broker("auth-api") as api:
            api.publish([message("new.user", str(key)) for key in range(20)], TIMEOUT)
        read: list[int] = []
        with guarded.broker("auth-sink") as sink:
            for lane in range(2):
                with sink.consumer(f"auth-{lane}of2", AUTH, 0, slots=range(lane, 16, 2)) as consumer:
                    # It returns what has arrived, which may be a part.
                    while found := positions(consumer.fetch(30, 1.0)):
                        read += found
        assert sorted(read) == list(range(1, 21))

    def test_a_sink_finds_the_event_at_its_checkpoint(self, guarded: Guarded) -> None:
        with guarded.broker("auth-api") as api, guarded.broker("auth-sink") as sink:
            sent = [message("new.user", "1"), message("user.renamed", "1")]
            api.publish(sent, TIMEOUT)
            stored = sink.get(2, reader="auth")
            assert isinstance(stored, StoredMessage)
            assert decode(stored).id == sent[1].id
            # The rebuild's reader does the same, and a reader that was read by stands where it is asked to stand.
            assert sink.get(1, reader="auth-rebuild") is not None
            assert read_all(sink, "auth-rebuild", 2) == [1, 2]

    def test_a_sink_whose_handlers_emit_publishes_and_finds_that(self, guarded: Guarded) -> None:
        with guarded.broker("echo-sink") as sink:
            sent = [message("user.echoed", "1"), message("user.echoed", "1"), message("user.echoed", "2")]
            sink.publish(sent, TIMEOUT)
            ids = [each.id for each in sent]
            assert sink.find_all(sent[1].subject, ids, 0, reader="echo") == set(ids[:2])
            assert sink.find_all(sent[1].subject, ids, 1, reader="echo") == {ids[1]}
            assert sink.find_all(sent[1].subject, ids, 2, reader="echo") == set()
            assert sink.find_all(sent[2].subject, ["another"], 0, reader="echo") == set()

    def test_an_api_hears_its_sink(self, guarded: Guarded) -> None:
        heard: list[str] = []
        with (
            guarded.broker("auth-api") as api,
            guarded.broker("auth-sink") as sink,
            api.listen("applied.auth", lambda: heard.append("auth")),
        ):
            eventually(lambda: len(heard) == 1, "it listens")

            def signalled() -> bool:
                # With an answer in between, the connection is there and the signal was sent.
                sink.log_info()
                sink.signal("applied.auth")
                return len(heard) > 1

            eventually(signalled, "the signal is heard")

    def test_the_admin_prepares_once_and_follows_the_schema(self, guarded: Guarded) -> None:
        assert guarded.prepare(*deployables()) == []
        changed = parse_component(ECHO.replace("event: new.user", "event: new.school"))
        assert guarded.prepare(Deployable(name="echo", components=(changed,))) == [
            "consumer echo",
            "consumer echo-0of2",
            "consumer echo-1of2",
            "consumer echo-rebuild",
        ]


class TestWhatIsRefused:
    def test_a_forged_event(self, guarded: Guarded) -> None:
        with guarded.broker("grouping-api") as grouping:
            forged = message("new.user", "1")
            refused_at_once(lambda: grouping.publish([forged], TIMEOUT), forged.subject)
            batch = [message("new.school", "1"), forged]
            refused_at_once(lambda: grouping.publish(batch, TIMEOUT), forged.subject)
            assert grouping.log_info().last == 0

    def test_an_answer_of_jetstream_cannot_be_had_as_an_event(self, guarded: Guarded) -> None:
        # The reply subject of a request is not held against permissions: without accounts, this is a forged publish.
        with guarded.broker("grouping-api") as grouping, guarded.broker("grouping-sink") as sink:
            grouping.publish([message("new.school", "1")], TIMEOUT)
            target = message("new.user", "1").subject

            async def request(broker: NatsBroker, subject: str, body: bytes) -> None:
                session = await broker._session()
                await session.client.publish(subject, body, target)
                await session.client.flush()

            first = b'{"seq": 1}'
            asked = {"DIRECT.GET.studycase": first, "STREAM.MSG.GET.studycase": first, "STREAM.INFO.studycase": b""}
            for name, body in asked.items():
                grouping._call(request, grouping, f"{IMPORTED_API}.{name}", body)
            pull = json.dumps({"batch": 1, "no_wait": True}).encode()
            sink._call(request, sink, f"{IMPORTED_API}.CONSUMER.MSG.NEXT.studycase.grouping", pull)
            # What these put into the log would be there before this.
            assert [each.position for each in grouping.publish([message("new.school", "2")], TIMEOUT)] == [2]

    def test_reading_what_a_component_does_not_handle(self, guarded: Guarded) -> None:
        with guarded.broker("grouping-api") as grouping:
            grouping.publish([message("new.school", "1")], TIMEOUT)
        with guarded.broker("auth-sink") as sink:
            more = [*AUTH, "new.school"]
            refused_at_once(lambda: sink.consumer("auth", more, 0), "$JS.API.CONSUMER.DELETE.studycase.auth")
            refused_at_once(lambda: sink.consumer("mine", more, 0), "$JS.API.CONSUMER.INFO.studycase.mine")
            refused_at_once(lambda: sink.consumer("grouping", more, 0), "$JS.API.CONSUMER.INFO.studycase.grouping")
            refused_at_once(lambda: sink.get(1), "$JS.API.STREAM.MSG.GET.studycase")
            refused_at_once(lambda: sink.get(1, reader="auth"), "$JS.API.STREAM.MSG.GET.studycase")
            refused_at_once(lambda: sink.backlog_age(more, 0), "$JS.API.STREAM.MSG.GET.studycase")
        with guarded.broker("echo-sink") as sink:
            other = message("new.school", "1")
            refused_at_once(
                lambda: sink.find_all(other.subject, [other.id], 0, reader="echo"),
                f"$JS.API.CONSUMER.CREATE.studycase.echo-find.{other.subject}",
            )

    @pytest.mark.parametrize("role", ["auth-api", "auth-sink", "admin"])
    def test_changing_the_log(self, guarded: Guarded, role: str) -> None:
        with guarded.broker(role) as broker:
            for verb in ("DELETE", "PURGE", "UPDATE", "RESTORE", "SNAPSHOT"):
                request = f"STREAM.{verb}.studycase"
                refused_at_once(lambda request=request: ask(broker, request, {}), f"$JS.API.{request}")  # type: ignore[misc]

    def test_claims_of_another_namespace(self, guarded: Guarded) -> None:
        access = replace(read_seed(guarded.directory / "auth-api.nk", "x"), api=IMPORTED_API)
        with NatsBroker("Other", f"nats://127.0.0.1:{guarded.port}", access=access) as other:
            refused_at_once(lambda: other.claim("name", "ada", 30, TIMEOUT), "$KV.byron-other.name")

    def test_an_api_without_mutations_reads_nothing(self, tmp_path: Path) -> None:
        quiet = parse_component("name: Quiet\nnamespace: StudyCase\ncontent: {}\n")
        write_configuration(
            Wanted(namespace=NAMESPACE, directory=tmp_path), [Deployable(name="q", components=(quiet,))], print
        )
        role = (tmp_path / "accounts.conf").read_text().split("STUDYCASE_Q_API:")[1]
        assert "GET" not in role and "$KV" not in role

    def test_answers_on_the_inbox_of_another(self, guarded: Guarded) -> None:
        seed = read_seed(guarded.directory / "auth-api.nk", "x")
        wrong = Access(seed=seed.seed, public="", api=IMPORTED_API)
        with NatsBroker(NAMESPACE, f"nats://127.0.0.1:{guarded.port}", access=wrong) as broker:
            began = time.monotonic()
            with pytest.raises(SubscribeDeniedError, match=r"do not allow subscribing to '_INBOX\..*CREDENTIALS"):
                broker.log_info()
            assert time.monotonic() - began < AT_ONCE

    def test_someone_unknown(self, guarded: Guarded) -> None:
        seed = guarded.directory / "stranger"
        seed.write_text(new_seed())
        seed.chmod(0o600)
        with (
            NatsBroker(NAMESPACE, f"nats://127.0.0.1:{guarded.port}", access=read_seed(seed, "x")) as broker,
            pytest.raises(BrokerUnavailableError, match="Authorization Violation|password is wrong"),
        ):
            broker.log_info()

    def test_a_reader_that_loses_its_right_ends_at_once(self, guarded: Guarded) -> None:
        with guarded.broker("auth-sink") as sink:
            consumer = sink.consumer("auth", AUTH, 0)
            delivery = consumer._delivery
            assert delivery is not None
            # As the server says it; a reload of its configuration drops the connection instead.
            error = (
                f'nats: permissions violation for publish to "{IMPORTED_API.lower()}.consumer.msg.next.studycase.auth"'
            )

            async def hear() -> None:
                await delivery.session._on_error(Exception(error))

            sink._call(hear)
            with pytest.raises(PublishDeniedError, match="infrastructure prepare"):
                consumer.fetch(1, TIMEOUT)
            consumer.close()


class TestTls:
    @pytest.fixture
    def encrypted(self, tmp_path: Path) -> Iterator[Guarded]:
        port = free_port()
        wanted = Wanted(
            namespace=NAMESPACE, directory=tmp_path, listen=f"127.0.0.1:{port}", tls_hosts=["localhost", "127.0.0.1"]
        )
        write_configuration(wanted, deployables(), lambda line: None)
        server = Guarded(directory=tmp_path, port=port, process=start(tmp_path, port))
        try:
            yield server
        finally:
            server.process.send_signal(signal.SIGKILL)
            server.process.wait(10)

    def test_with_the_authority_it_is_trusted_and_without_it_is_not(self, encrypted: Guarded) -> None:
        with encrypted.broker("admin", ca_file=str(encrypted.directory / "ca.crt")) as admin:
            assert admin.ensure_log().last == 0
        with encrypted.broker("admin") as doubtful, pytest.raises(BrokerUnavailableError, match="(?i)certificate"):
            doubtful.log_info()

    def test_a_server_without_tls_is_refused(self, guarded: Guarded, tmp_path: Path) -> None:
        write_configuration(
            Wanted(namespace=NAMESPACE, directory=tmp_path / "other", tls_hosts=["localhost"]), deployables(), print
        )
        with (
            guarded.broker("admin", ca_file=str(tmp_path / "other" / "ca.crt")) as broker,
            pytest.raises(BrokerUnavailableError, match="does not speak TLS"),
        ):
            broker.log_info()


class TestCredentials:
    def test_a_seed_file_is_named_with_what_is_wrong_with_it(self, tmp_path: Path, settings: Any) -> None:
        path = tmp_path / "api.nk"
        settings.BYRON_BROKER_CREDENTIALS = str(path)

        def complaint() -> str:
            with pytest.raises(ImproperlyConfigured) as refusal:
                configured_access()
            return str(refusal.value)

        assert complaint() == f"BYRON_BROKER_CREDENTIALS: {path} cannot be read: No such file or directory."
        path.write_text("nothing")
        path.chmod(0o644)
        assert f"`chmod o-rwx {path}`" in complaint()
        path.chmod(0o640)
        assert "holds no nkey seed of a user" in complaint()
        path.write_text("SUNOTASEED")
        assert complaint() == f"BYRON_BROKER_CREDENTIALS: {path} holds no usable nkey seed."
        path.write_text(f"# of the API\n{new_seed()}\n")
        assert configured_access().public.startswith("U")
        settings.BYRON_BROKER_CA = str(tmp_path / "ca.crt")
        assert complaint() == f"BYRON_BROKER_CA: {tmp_path / 'ca.crt'} cannot be used: No such file or directory."
        (tmp_path / "ca.crt").write_text("nothing")
        assert complaint() == f"BYRON_BROKER_CA: {tmp_path / 'ca.crt'} cannot be used: no certificate in it."

    def test_a_seed_is_not_shown(self, tmp_path: Path) -> None:
        seed = new_seed()
        assert seed not in repr(Access(seed=seed))


class TestConfiguration:
    def write(self, directory: Path, *paths: str, **changes: Any) -> tuple[list[str], list[str]]:
        told: list[str] = []
        found = find_deployables(NAMESPACE, [PERSES / path for path in paths])
        warnings = write_configuration(Wanted(namespace=NAMESPACE, directory=directory, **changes), found, told.append)
        return told, warnings

    def test_a_second_run_changes_nothing(self, tmp_path: Path) -> None:
        self.write(tmp_path, "auth", "grouping", tls_hosts=["localhost"])
        before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()}
        told, warnings = self.write(tmp_path, "auth", "grouping", tls_hosts=["localhost"])
        assert {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.iterdir()} == before
        assert {line.split(": ")[1] for line in told} == {"kept", "unchanged"} and not warnings

    def test_a_new_component_gets_its_roles_and_the_others_keep_their_keys(self, tmp_path: Path) -> None:
        self.write(tmp_path, "auth")
        key = (tmp_path / "auth-api.nk").read_text()
        told, warnings = self.write(tmp_path, "auth", "grouping")
        assert (tmp_path / "auth-api.nk").read_text() == key
        assert {"auth-api.nk: kept", "grouping-api.nk: created", "accounts.conf: updated"} <= set(told)
        _, warnings = self.write(tmp_path, "auth")
        assert warnings == [
            f"grouping-{kind}.nk is of no role any more; delete it, unless the role is to come back."
            for kind in ("api", "sink")
        ]

    def test_secrets_are_for_this_user_and_in_no_other_file(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            self.write(tmp_path, "auth", tls_hosts=["localhost"])
        finally:
            os.umask(before)
        secret = {path for path in tmp_path.iterdir() if path.suffix in (".nk", ".key")}
        assert len(secret) == 5
        assert {path.stat().st_mode & 0o777 for path in secret} == {0o600}
        seeds = [path.read_text().strip() for path in secret if path.suffix == ".nk"]
        for path in set(tmp_path.iterdir()) - secret:
            assert not any(seed in path.read_text() for seed in seeds)
            assert "PRIVATE" not in path.read_text()

    def test_mutations_that_do_not_say_what_they_emit_are_named(self, tmp_path: Path) -> None:
        silent = (PERSES / "auth" / "auth" / "schema.yaml").read_text().replace("      emits: [user.renamed]\n", "")
        (tmp_path / "schema.yaml").write_text(silent)
        _, warnings = self.write(tmp_path / "out", str(tmp_path))
        assert warnings == [
            "Auth does not say what renameUser may emit, so the broker will refuse it; add `emits:` to them in "
            "schema.yaml."
        ]
        assert "user.renamed" not in (tmp_path / "out" / "accounts.conf").read_text()


def read_all(broker: NatsBroker, reader: str, count: int) -> list[int]:
    """Read by a prepared reader from the log's start, as a Sink does: one that lost its place is opened anew."""
    for _ in range(5):
        read: list[int] = []
        with broker.consumer(reader, AUTH, 0, durable=False) as consumer, suppress(ConsumerLostError):
            while len(read) < count and (found := positions(consumer.fetch(10, TIMEOUT))):
                read += found
            return read
    pytest.fail(f"{reader} lost its place again and again")
