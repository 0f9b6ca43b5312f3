"""Apply a log to the Cache in CACHE_URL, and print what GraphQL then answers, as JSON, an answer a line.

The same seed gives the same log on every engine.
"""

import json
import random
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

from django.core.management.base import BaseCommand

from byron.cache.roles import Role, acting_as
from byron.events.codec import encode, encode_payload
from byron.events.event import Event
from byron.models import Checkpoint, ParkedEvent
from byron.schema.installed import installed_component
from byron.sink.lane import LaneWorker, Progress
from byron.sink.lanes import Lane
from byron.sink.membership import Membership
from byron.testing.component import ComponentUnderTest
from byron.testing.failures import GraphQLFailure

TEXTS = [
    "", " ", "a", "A", "b", "B", "ab", "aB", "Ab", "100%", "a_b", "a%b", "[x]", "(", "^a$", "a.b", "\\", "'", '"', "*",
    "é", "e\u0301", "É", "ß", "ss", "ı", "Z", "z", "ä", "zz", "日本", "😀", "\uffff", "$a", "${x}", "\n", "\t", "null",
    "a b", "a-b", "_", "\uff5e", "\ufb01", "\U0010ffff",
    # As long as a text with an index may be, and longer, in letters that do not compress.
    "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/", k=2600)),
    "".join(map(chr, random.Random(2).choices(range(0x10000, 0x10FFFF), k=651))),
]  # fmt: skip
NUMBERS = [0, 1, -1, 2, 10, 9, 2**31 - 1, -(2**31)]
RATIOS = [0.0, -0.0, 0.1, 1 / 3, 1.0, -1.5, 1e300, 5e-324, 123456789.123456789, 1e16, 2.0**53]
AMOUNTS = [
    "0", "0.0", "-0", "-0.00", "0E+3", "1E+3", "1000", "1E-9", "0.1", "0.10", "1", "1.0", "1.5", "1.50", "-1.5",
    "-1.51", "-10", "10", "9", "9.99", "123456789012345678901234567890.10",
    "0." + "0" * 40 + "1", "-0.000001", "99999999999999999999999999999999999999999999.5", "1" * 60, "-" + "1" * 60,
]  # fmt: skip
EXTRAS = [
    None, {}, [], "", "text", 0, 1, -1, 1.5, True, False, 2**63, 2**64 - 1, -(2**63), [1, None, "ü"],
    {"a": {"b": [1, {"c": None}]}},
    {"a.b": 1}, {"$set": {"x": 1}}, {"": 1}, {"$ref": "a", "$id": 1}, {"byron_json": "1"}, [[[[]]]], {"a": "😀"},
    {"when": "2024-01-01T00:00:00Z"}, 0.1, 1e300, 1e16, -1e22, 1.0, 0.0, -0.0, 5e-324, [1e100, {"a": -0.0}], 10**16,
    {"longer": 1, "b": 2, "a": 3}, {"b": [], "": {}},
]  # fmt: skip
SIZES = ["SMALL", "LARGE", "EXTRA_LARGE"]


class Log:
    """Random events, in terms of what is likely to hit something."""

    def __init__(self, seed):
        self.chance = random.Random(seed)

    def one(self, values):
        return self.chance.choice(values)

    def maybe(self, make):
        return None if self.chance.random() < 0.3 else make()

    def some(self, make):
        return [make() for _ in range(self.chance.randrange(4))]

    def moment(self):
        base = self.one([datetime(2024, 2, 29, 12, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)])
        far = self.one([base, datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)])
        return (far + timedelta(microseconds=self.one([0, 1, 999, 1000, 123456, 999999]))).isoformat()

    def day(self):
        return (date(1, 1, 1) + timedelta(days=self.one([0, 1, 738000, 738001, 3652058]))).isoformat()

    def hour(self):
        return time(self.one([0, 12, 23]), self.one([0, 59]), 0, self.one([0, 1, 1000, 999999])).isoformat()

    def code(self):
        return str(UUID(int=self.one([0, 1, 2**127, 2**128 - 1, 0x0191D3C47A2B7C3D8E4F5A6B7C8D9E0F])))

    def thing_id(self):
        return f"t{self.chance.randrange(60)}"

    def maker_id(self):
        return f"m{self.chance.randrange(20)}"

    def thing(self, identity):
        amount = lambda: self.one(AMOUNTS)  # noqa: E731
        return {
            "id": identity,
            "text": self.one(TEXTS),
            "number": self.one(NUMBERS),
            "ratio": self.one(RATIOS),
            "flag": self.one([True, False]),
            "moment": self.moment(),
            "day": self.day(),
            "hour": self.hour(),
            "amount": amount(),
            "code": self.code(),
            "extra": self.one(EXTRAS),
            "size": self.one(SIZES),
            "maker": self.maker_id(),
            "anyText": self.maybe(lambda: self.one(TEXTS)),
            "anyNumber": self.maybe(lambda: self.one(NUMBERS)),
            "anyRatio": self.maybe(lambda: self.one(RATIOS)),
            "anyFlag": self.maybe(lambda: self.one([True, False])),
            "anyMoment": self.maybe(self.moment),
            "anyDay": self.maybe(self.day),
            "anyHour": self.maybe(self.hour),
            # Unique: some of these meet others.
            "anyAmount": self.maybe(lambda: str(Decimal(self.chance.randrange(400)) / 8)),
            "anyCode": self.maybe(self.code),
            "anySize": self.maybe(lambda: self.one(SIZES)),
            "friend": self.maybe(self.thing_id),
            "texts": self.some(lambda: self.one(TEXTS)),
            "numbers": self.maybe(lambda: self.some(lambda: self.maybe(lambda: self.one(NUMBERS)))),
            "moments": self.maybe(lambda: self.some(self.moment)),
            "amounts": self.some(amount),
            "sizes": self.some(lambda: self.one(SIZES)),
            "makers": self.some(self.maker_id),
        }

    def maker(self, identity):
        return {
            "id": identity,
            "name": f"{self.one(TEXTS)}{identity}" if self.chance.random() < 0.9 else self.one(TEXTS),
            "nick": self.maybe(lambda: f"n{self.chance.randrange(100)}"),
            "town": self.maybe(lambda: self.one(TEXTS)),
            "seen": self.chance.randrange(3),
            "last": self.maybe(self.moment),
        }

    def next(self):
        kind = self.chance.random()
        if kind < 0.35:
            return "thing.made", self.thing(self.thing_id())
        if kind < 0.6:
            whole = self.thing(self.thing_id())
            kept = self.chance.sample(sorted(whole.keys() - {"id"}), self.chance.randrange(1, 6))
            return "thing.changed", {"id": whole["id"], **{name: whole[name] for name in kept}}
        if kind < 0.68:
            return "thing.gone", {"id": self.thing_id()}
        if kind < 0.85:
            return "maker.made", self.maker(self.maker_id())
        identity = self.maker_id()
        fails = {"fails": True} if self.chance.random() < 0.1 else {}
        return "maker.seen", {"id": identity, "name": f"seen {identity}", "last": self.maybe(self.moment), **fails}


def fill(component, seed, events):
    """Write the log, some of it twice."""
    log = Log(seed)
    component.broker.ensure_log()
    for _ in range(events):
        name, payload = log.next()
        for _ in range(2 if log.chance.random() < 0.05 else 1):
            event = Event(name=name, key=payload["id"], payload=payload, namespace="Caches", source="Test")
            component.broker.publish([encode(event, encode_payload(payload))], 1)


def apply(config, broker):
    """Apply all there is, as a Sink does; what fails is set aside, as often as a Sink tries."""
    worker = LaneWorker(
        config,
        Lane(consumer=config.consumer_name),
        Membership("shop", config.consumer_name),
        lambda: broker,
        Progress(),
    )
    with acting_as(Role.SINK):
        assert worker.take()
        opened, consumer = worker.open()
        with consumer:
            while worker.turn(opened, consumer, 0):
                pass
        digests = ParkedEvent.objects.using("shop").order_by("position").values_list("key_digest", flat=True)
        for digest in dict.fromkeys(digests):
            while worker.retries.retry(digest)[0]:
                pass
        worker.release()


def queries(seed):
    every = (
        "id text number ratio flag moment day hour amount code extra size maker { id name nick town seen last } "
        "anyText anyNumber anyRatio anyFlag anyMoment anyDay anyHour anyAmount anyCode anySize "
        "friend { id text maker { name } } texts numbers moments amounts sizes makers { id town }"
    )
    yield f"{{ things {{ {every} }} }}"
    yield "{ makers { id name nick town seen last } }"
    columns = ["TEXT", "NUMBER", "RATIO", "FLAG", "MOMENT", "DAY", "HOUR", "AMOUNT", "CODE", "SIZE"]
    for column in ["ID", *columns, *(f"ANY_{column}" for column in columns)]:
        for direction in ("ASC", "DESC"):
            yield f"{{ things(orderBy: [{column}_{direction}]) {{ id }} }}"
    yield "{ things(orderBy: [SIZE_DESC, ANY_AMOUNT_ASC, TEXT_DESC]) { id size anyAmount text } }"
    log = Log(seed + 1)
    quoted = lambda make: [json.dumps(make(), ensure_ascii=False) for _ in range(3)]  # noqa: E731
    literals = {
        "text": [json.dumps(text, ensure_ascii=False) for text in TEXTS],
        "number": [str(number) for number in NUMBERS],
        "ratio": [repr(ratio) for ratio in RATIOS],
        "moment": quoted(log.moment),
        "day": quoted(log.day),
        "hour": quoted(log.hour),
        "amount": [json.dumps(amount) for amount in AMOUNTS],
        "code": quoted(log.code),
    }
    for name, values in literals.items():
        for attribute in (name, f"any{name.capitalize()}"):
            for value in values:
                operators = ["eq", "contains", "startsWith"] if name == "text" else ["eq"]
                if name != "code" and log.chance.random() < 6 / len(values):
                    operators += ["lt", "lte", "gt", "gte"]
                for operator in operators:
                    yield f"{{ things(where: {{{attribute}: {{{operator}: {value}}}}}) {{ id }} }}"
            yield f"{{ things(where: {{{attribute}: {{in: [{', '.join(values)}]}}}}) {{ id {attribute} }} }}"
            yield f"{{ count(where: {{{attribute}: {{in: [{', '.join(values[:2])}]}}}}) }}"
    for attribute in ("anyText", "anyNumber", "anyFlag", "anyAmount", "anySize", "friend", "anyMoment"):
        for answer in ("true", "false"):
            where = f"(where: {{{attribute}: {{isNull: {answer}}}}})"
            yield f"{{ things{where} {{ id }} count{where} }}"
    for size in SIZES:
        yield f"{{ count(size: {size}) things(where: {{anySize: {{eq: {size}}}}}) {{ id anySize }} }}"
    for number in range(0, 20, 4):
        yield f'{{ things(maker: "m{number}") {{ id }} makers(id: "m{number}") {{ name }} }}'
        yield f'{{ thing(id: "t{number}") {{ {every} }} }}'
    for text in ("a", "%", "_", ".", "$"):
        yield f'{{ makers(where: {{town: {{contains: "{text}"}}}}) {{ id town }} }}'


def pages(component):
    for order in (
        "ANY_AMOUNT_ASC",
        "ANY_AMOUNT_DESC",
        "ANY_TEXT_DESC, ANY_MOMENT_ASC",
        "AMOUNT_ASC",
        "MOMENT_DESC, HOUR_ASC",
    ):
        after = ""
        while True:
            edges = "edges { cursor node { id } } pageInfo { hasNextPage endCursor }"
            text = f"{{ pages(orderBy: [{order}], first: 7{after}) {{ totalCount {edges} }} }}"
            answer = component.graphql(text)
            yield text, answer
            if not answer["pages"]["pageInfo"]["hasNextPage"]:
                break
            after = f', after: "{answer["pages"]["pageInfo"]["endCursor"]}"'


def answer_of(component, text):
    """Return an answer; an error is one, too."""
    try:
        return canonical(component.graphql(text))
    except GraphQLFailure as error:
        return f"error {error}"


def canonical(value):
    return json.dumps(value, ensure_ascii=False)


class Command(BaseCommand):
    help = __doc__.splitlines()[0]

    def add_arguments(self, parser):
        parser.add_argument("seed", type=int)
        parser.add_argument("events", type=int)

    def handle(self, *, seed, events, **options):
        config = installed_component("shop")
        component = ComponentUnderTest(config)
        with component.connected():
            fill(component, seed, events)
            apply(config, component.broker)
            print("checkpoint", sorted(set(Checkpoint.objects.using("shop").values_list("position", flat=True))))
            for row in ParkedEvent.objects.using("shop").order_by("position"):
                print("parked", row.position, row.name, row.state, row.handler, row.error.split(":")[0], row.tries)
            for text in queries(seed):
                print(text, answer_of(component, text))
            for text, answer in pages(component):
                print(text, canonical(answer))
