"""Bearer tokens: which are accepted, and what becomes of the others."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import time
from threading import Thread
from types import SimpleNamespace

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.test import RequestFactory, override_settings

from byron.api.identity import key_sources, tokens
from byron.api.identity.authentication import _verifier, requesting_user
from byron.api.identity.jwks import read_key_set
from byron.api.identity.key_sources import FileKeys, UrlKeys, key_source
from byron.api.identity.last_good import LastGood
from byron.api.identity.tokens import roles_in
from byron.commands.bulkhead import Bulkhead
from byron.commands.user import User
from byron.exceptions import AuthenticationError, KeysUnavailableError
from tests.api.issuer import AUDIENCE, ISSUER, Issuer, KeyServer, jwks

ALL = ("RS256", "PS256", "ES256", "EdDSA")


def user_of(token):
    return requesting_user(RequestFactory().post("/", headers={"Authorization": f"Bearer {token}"}))


def encoded(value):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


# What is accepted.


def test_a_good_token_says_who_asks(authentication, issuer):
    user = user_of(issuer.token(roles=["teacher", "admin"], name="Ada"))

    assert (user.id, user.roles, user.is_authenticated) == ("ada", {"teacher", "admin"}, True)
    assert user.has_role("teacher")
    assert not user.has_role("teach")
    assert user.claims["name"] == "Ada"


def test_without_a_token_nobody_asks(authentication):
    assert requesting_user(RequestFactory().post("/")) is None


def test_a_token_may_be_good_for_longer_than_a_float_can_say(authentication, issuer):
    token = issuer.token(exp=10**400)

    assert [user_of(token).id, user_of(token).id] == ["ada", "ada"]


@pytest.mark.parametrize("algorithm", ALL)
def test_each_kind_of_key_works(authentication, keys_file, algorithm):
    issuer = Issuer(algorithm)
    keys_file.write_text(jwks(issuer))

    assert user_of(issuer.token()).id == "ada"


def test_a_key_that_does_not_tell_its_algorithm_serves_all_of_its_kind(authentication, keys_file):
    issuer = Issuer("RS256")
    keys_file.write_text(json.dumps({"keys": [{k: v for k, v in issuer.jwk.items() if k not in ("alg", "use")}]}))
    assert user_of(issuer.token()).id == "ada"

    issuer.algorithm = "PS256"
    assert user_of(issuer.token()).id == "ada"


@pytest.mark.parametrize("scheme", ["Bearer ", "bearer ", "BEARER   "])
def test_the_scheme_is_read_without_regard_to_case(authentication, issuer, scheme):
    request = RequestFactory().post("/", headers={"Authorization": scheme + issuer.token()})

    assert requesting_user(request).id == "ada"


def test_one_of_several_audiences_is_enough(authentication, issuer):
    assert user_of(issuer.token(aud=["other", AUDIENCE])).id == "ada"


def test_a_little_difference_in_time_is_allowed(authentication, issuer):
    now = int(time.time())

    assert user_of(issuer.token(exp=now - 2, iat=now + 5, nbf=now + 5)).id == "ada"


def test_a_token_without_kid_takes_the_only_key_that_fits(authentication, keys_file):
    issuer = Issuer(kid=None)
    keys_file.write_text(jwks(issuer, Issuer("RS256", "other")))
    assert user_of(issuer.token()).id == "ada"

    keys_file.write_text(jwks(issuer, Issuer("ES256", "second")))
    with pytest.raises(AuthenticationError, match="2 keys fit its kid None and ES256"):
        user_of(issuer.token())


def test_a_symmetric_key_serves_when_its_algorithm_is_listed(authentication, keys_file):
    secret = b"s" * 32
    keys_file.write_text(json.dumps({"keys": [{"kty": "oct", "k": encoded(secret), "kid": "h"}]}))
    token = jwt.encode(Issuer().claims(), secret, "HS256", headers={"kid": "h"})

    with override_settings(BYRON_JWT_ALGORITHMS=["HS256"]):
        assert user_of(token).id == "ada"
    with pytest.raises(AuthenticationError, match="its algorithm 'HS256' is not allowed"):
        user_of(token)


def test_what_a_command_does_to_claims_is_not_seen_by_the_next(authentication, issuer):
    token = issuer.token(groups=["a"])
    for _ in range(3):
        user = user_of(token)
        assert user.claims["groups"] == ["a"]
        user.claims["groups"].append("b")
        user.claims["more"] = 1


def test_a_token_is_checked_once_a_minute_and_never_believed_past_its_end(authentication, issuer, monkeypatch):
    checks, now = [], time.time()
    check = jwt.decode
    monkeypatch.setattr(tokens.jwt, "decode", lambda *args, **kwargs: checks.append(1) or check(*args, **kwargs))
    monkeypatch.setattr(tokens, "time", lambda: now)
    long, short = issuer.token(), issuer.token(exp=int(now) + 5)

    for _ in range(3):
        user_of(long)
        user_of(short)
    assert len(checks) == 2
    now += 16
    user_of(long)
    assert len(checks) == 2
    user_of(short)  # the clock of the check itself was not moved
    assert len(checks) == 3
    now += 50
    user_of(long)
    assert len(checks) == 4


def test_few_tokens_are_remembered(authentication, issuer, monkeypatch):
    monkeypatch.setattr(tokens, "_MOST_BELIEVED", 3)
    for number in range(10):
        user_of(issuer.token(sub=f"user{number}"))

    believed = _verifier(*_arguments())._believed
    assert len(believed._memories) == 3


def _arguments():
    from byron.conf import byron_settings

    given = byron_settings()
    names = ("keys", "algorithms", "audience", "issuer", "leeway", "roles_claim")
    return [getattr(given, f"jwt_{name}") for name in names]


# Roles.


@pytest.mark.parametrize(
    ("name", "claims", "roles"),
    [
        ("roles", {"roles": ["a", "b"]}, {"a", "b"}),
        ("scope", {"scope": "read:x  write:x"}, {"read:x", "write:x"}),
        ("realm_access.roles", {"realm_access": {"roles": ["a"]}}, {"a"}),
        ("https://a.example/roles", {"https://a.example/roles": ["a"]}, {"a"}),
        ("roles", {}, set()),
        ("roles", {"roles": None}, set()),
        ("roles", {"roles": {"a": True}}, set()),
        ("roles", {"roles": 5}, set()),
        ("roles", {"roles": ["a", 5, None, ["b"]]}, {"a"}),
        ("realm_access.roles", {"realm_access": ["roles"]}, set()),
        ("realm_access.roles", {"realm_access": "roles"}, set()),
    ],
)
def test_roles_are_read_from_the_claim(name, claims, roles):
    assert roles_in(claims, name) == roles


def test_the_roles_claim_is_a_setting(authentication, issuer):
    with override_settings(BYRON_JWT_ROLES_CLAIM="realm_access.roles"):
        assert user_of(issuer.token(realm_access={"roles": ["teacher"]}, roles=["admin"])).roles == {"teacher"}


# What is refused.

NOW = int(time.time())


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"exp": NOW - 60}, "Signature has expired"),
        ({"exp": None}, 'missing the "exp" claim'),
        ({"exp": "soon"}, "must be an integer"),
        ({"exp": str(NOW + 600)}, "its exp is no number"),
        ({"exp": float("inf")}, "must be an integer"),
        ({"exp": float("nan")}, "must be an integer"),
        ({"nbf": NOW + 3600}, "not yet valid"),
        ({"nbf": []}, "must be an integer"),
        ({"iat": NOW + 3600}, "not yet valid"),
        ({"sub": None}, 'missing the "sub" claim'),
        ({"sub": 7}, "Subject must be a string"),
        ({"sub": ""}, "its sub is empty"),
        ({"aud": "another-api"}, "Audience doesn't match"),
        ({"aud": None}, 'missing the "aud" claim'),
        ({"aud": []}, "aud"),
        ({"aud": {AUDIENCE: 1}}, "Invalid claim format"),
        ({"aud": AUDIENCE[:-1]}, "Audience doesn't match"),
        ({"iss": "https://evil.example.org/"}, "Invalid issuer"),
        ({"iss": ISSUER + "x"}, "Invalid issuer"),
        ({"iss": [ISSUER]}, "must be a string"),
        ({"iss": None}, 'missing the "iss" claim'),
        ({"jti": 5}, "JWT ID must be a string"),
    ],
    # Not by their values: the times among them differ from one process to the next.
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_token_whose_claims_do_not_fit_is_refused(authentication, issuer, changed, reason):
    with pytest.raises(AuthenticationError, match=reason):
        user_of(issuer.token(**changed))


def test_a_token_of_another_key_is_refused_whatever_it_calls_itself(authentication):
    with pytest.raises(AuthenticationError, match="Signature verification failed"):
        user_of(Issuer(kid="k1").token(roles=["admin"]))


def test_a_key_that_a_token_brings_along_is_ignored(authentication):
    stranger = Issuer()
    for headers in ({"jwk": stranger.jwk}, {"jku": "https://evil.example.org/jwks"}, {"x5u": "file:///etc/passwd"}):
        with pytest.raises(AuthenticationError, match="Signature verification failed"):
            user_of(stranger.token(headers=headers))


def test_an_unsigned_token_is_refused(authentication, issuer):
    for name in ("none", "None", "NONE", "nOnE", "", None, 5, ["none"]):
        token = f"{encoded({'alg': name, 'typ': 'JWT', 'kid': 'k1'})}.{encoded(issuer.claims())}."
        with pytest.raises(AuthenticationError, match="its algorithm .* is not allowed"):
            user_of(token)
    with pytest.raises(AuthenticationError, match="its algorithm 'None' is not allowed"):
        user_of(f"{encoded({'typ': 'JWT'})}.{encoded(issuer.claims())}.")


@pytest.mark.parametrize("algorithms", [None, ["none"], ["none", "ES256"]])
def test_no_setting_makes_unsigned_tokens_good(authentication, issuer, algorithms):
    token = f"{encoded({'alg': 'none', 'kid': 'k1'})}.{encoded(issuer.claims())}."
    given = {} if algorithms is None else {"BYRON_JWT_ALGORITHMS": algorithms}

    with override_settings(**given), pytest.raises((AuthenticationError, KeysUnavailableError)):
        user_of(token)


@pytest.mark.parametrize("algorithms", [None, ["RS256", "HS256"]])
def test_a_public_key_is_no_secret(authentication, keys_file, algorithms):
    issuer = Issuer("RS256")
    jwk = issuer.jwk
    keys_file.write_text(json.dumps({"keys": [{k: v for k, v in jwk.items() if k != "alg"}]}))
    public = issuer.key.public_key()
    encodings = [
        public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
        jwk["n"].encode(),
    ]
    given = {} if algorithms is None else {"BYRON_JWT_ALGORITHMS": algorithms}
    for secret in encodings:
        signed = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{encoded(issuer.claims())}"
        signature = hmac.new(secret, signed.encode(), hashlib.sha256).digest()
        with override_settings(**given), pytest.raises(AuthenticationError, match="HS256"):
            user_of(f"{signed}.{encoded(signature)}")


def test_a_token_that_was_tampered_with_is_refused(authentication, issuer):
    head, _, signature = issuer.token().split(".")
    with pytest.raises(AuthenticationError, match="Signature verification failed"):
        user_of(f"{head}.{encoded(issuer.claims(roles=['admin']))}.{signature}")


def test_a_key_for_another_algorithm_of_its_kind_is_not_taken(authentication, keys_file):
    issuer = Issuer("RS256")
    keys_file.write_text(jwks(issuer))
    issuer.algorithm = "PS256"

    with pytest.raises(AuthenticationError, match="0 keys fit its kid 'k1' and PS256"):
        user_of(issuer.token())


def test_an_unknown_kid_is_refused(authentication, issuer):
    with pytest.raises(AuthenticationError, match="0 keys fit its kid 'nobody'"):
        user_of(issuer.token(headers={"kid": "nobody"}))


@pytest.mark.parametrize("headers", [{"kid": 5}, {"kid": None}, {"crit": ["exp"]}, {"b64": False}], ids=str)
def test_odd_headers_of_a_token_are_refused(authentication, issuer, headers):
    head = {"alg": "ES256", "kid": "k1", **headers}
    signed = f"{encoded(head)}.{encoded(issuer.claims())}"
    signature = jwt.get_algorithm_by_name("ES256").sign(signed.encode(), issuer.key)

    with pytest.raises(AuthenticationError):
        user_of(f"{signed}.{encoded(signature)}")


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer a b",
        "Bearer a, Bearer b",
        "Bearer a,Bearer b",
        "Bearer\ta.b.c",
        "a.b.c",
        "Bearer " + "x" * 100_000,
        "Bearer é",
        "Bearer \u0661.\u0662.\u0663",
        "Bearer a",
        "Bearer a.b",
        "Bearer a.b.c",
        "Bearer a.b.c.d.e",
        "Bearer ...",
        "Bearer " + encoded(b"[" * 9000) + ".e30.e30",
        "Bearer " + encoded(b"1" * 9000) + ".e30.e30",
        "Bearer " + encoded(b'{"alg": "ES256", "kid": "k1"}') + "." + encoded(b"\xff") + ".e30",
        "Bearer " + encoded([]) + "." + encoded({}) + ".e30",
    ],
    ids=lambda header: repr(header[:40]),
)
def test_a_header_that_holds_no_token_is_refused(authentication, header):
    request = RequestFactory().post("/")
    request.META["HTTP_AUTHORIZATION"] = header

    with pytest.raises(AuthenticationError):
        requesting_user(request)


# Settings.


def test_with_authentication_off_a_token_means_nothing_and_a_middleware_decides(issuer):
    request = RequestFactory().post("/", headers={"Authorization": f"Bearer {issuer.token()}"})
    assert requesting_user(request) is None

    request.user = SimpleNamespace(is_authenticated=False)
    assert requesting_user(request) is request.user


def test_with_authentication_on_a_middleware_does_not_decide(authentication):
    request = RequestFactory().post("/")
    request.user = User(id="root", roles=frozenset({"admin"}))

    assert requesting_user(request) is None


@pytest.mark.parametrize("missing", ["BYRON_JWT_AUDIENCE", "BYRON_JWT_ISSUER"])
def test_without_audience_or_issuer_no_token_is_accepted(authentication, issuer, missing):
    with override_settings(**{missing: ""}), pytest.raises(KeysUnavailableError, match="must be set"):
        user_of(issuer.token())


def test_a_missing_extra_is_told_with_the_remedy(authentication, issuer, monkeypatch):
    monkeypatch.setattr("byron.api.identity.authentication.find_spec", lambda name: None)
    with pytest.raises(KeysUnavailableError, match=r"pip install 'byron-framework\[jwt\]'"):
        user_of(issuer.token())


# Keys.


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"\xff", "it is not JSON"),
        (b"[]", "it is no JWKS"),
        (b'{"keys": {}}', "it is no JWKS"),
    ],
)
def test_a_text_that_is_no_key_set_is_told_apart(text, reason):
    with pytest.raises(KeysUnavailableError, match=reason):
        read_key_set(text, ("ES256",))


def test_keys_for_other_uses_and_short_ones_are_left_out(caplog):
    good, encryption = Issuer("RS256", "good").jwk, {**Issuer("RS256", "enc").jwk, "use": "enc"}
    signing = {**Issuer("RS256", "sign").jwk, "key_ops": ["sign"]}
    short = rsa.generate_private_key(65537, 1024).public_key()
    weak = {**jwt.get_algorithm_by_name("RS256").to_jwk(short, as_dict=True), "kid": "weak"}
    entries = {"keys": [encryption, signing, weak, good]}

    assert [key.key_id for key in read_key_set(json.dumps(entries).encode(), ("RS256",)).keys] == ["good"]
    assert "kid='weak'" in caplog.text


def test_private_parts_of_a_key_are_not_read():
    issuer = Issuer("RS256")
    private = {**jwt.get_algorithm_by_name("RS256").to_jwk(issuer.key, as_dict=True), "kid": "k1"}
    del private["key_ops"]

    [key] = read_key_set(json.dumps({"keys": [private]}).encode(), ("RS256",)).keys
    assert isinstance(key.key, rsa.RSAPublicKey)


def test_a_file_that_changes_is_read_again_and_its_old_keys_are_gone(authentication, keys_file, issuer):
    old, successor = issuer.token(), Issuer(kid="k2")
    assert user_of(old).id == "ada"

    keys_file.write_text(jwks(successor))
    assert user_of(successor.token()).id == "ada"
    with pytest.raises(AuthenticationError, match="0 keys fit its kid 'k1'"):
        user_of(old)


def test_a_change_that_cannot_be_used_leaves_the_old_keys_and_is_logged_once(tmp_path, issuer, caplog):
    path = tmp_path / "jwks.json"
    path.write_text(jwks(issuer))
    keys = FileKeys(path, ALL)
    first = keys.current()

    path.write_text("{")
    assert [keys.current() for _ in range(3)] == [first] * 3
    path.unlink()
    assert [keys.current() for _ in range(3)] == [first] * 3
    assert [record.message.rpartition("/")[2] for record in caplog.records] == [
        "jwks.json cannot be read: it is not JSON",
        "jwks.json cannot be read: No such file or directory",
    ]
    path.write_text(jwks(Issuer(kid="k2")))
    assert [key.key_id for key in keys.current().keys] == ["k2"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"keys": []}',
        b'{"keys": [5, null, {}, {"kty": "EC"}, {"kty": "EC", "crv": "P-256"}]}',
        b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "AAAA", "y": "AAAA"}]}',
    ],
)
def test_a_key_set_may_hold_no_usable_key(text):
    assert read_key_set(text, ("ES256",)).keys == ()


ENCRYPTION = {**Issuer().jwk, "use": "enc"}


@pytest.mark.parametrize("entries", [[], [ENCRYPTION]])
def test_a_file_without_usable_keys_takes_every_token_back(authentication, keys_file, issuer, entries, caplog):
    token = issuer.token()
    assert user_of(token).id == "ada"

    keys_file.write_text(json.dumps({"keys": entries}))
    for refused in (token, issuer.token()):
        with pytest.raises(AuthenticationError, match="0 keys fit its kid 'k1'"):
            user_of(refused)
    assert [(record.levelname, record.message.partition(" for ")[0]) for record in caplog.records] == [
        ("ERROR", f"keys={keys_file} hold none")
    ]


def test_an_address_without_usable_keys_takes_every_token_back(authentication, server, issuer, clock, caplog):
    keys = UrlKeys(server.url, ("ES256",), clock=clock)
    assert kids(keys.current()) == ["k1"]

    server.text = '{"keys": []}'
    clock.now += 11
    assert kids(keys.newer()) == []
    assert kids(keys.current()) == []
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", f"keys={server.url} hold none for ES256: every token is refused")
    ]


def test_a_file_that_is_not_there_is_no_reason_to_refuse_a_token(authentication, keys_file, issuer):
    keys_file.unlink()
    with pytest.raises(KeysUnavailableError, match=r"jwks\.json cannot be used: No such file or directory"):
        user_of(issuer.token())


@pytest.mark.parametrize("url", ["http://login.example.org/jwks", "ftp://localhost/jwks", "file:///etc/passwd", "://"])
def test_an_address_that_can_be_tampered_with_is_refused(url):
    with pytest.raises(KeysUnavailableError, match="is no https:// address"):
        key_source(url, ALL)


@pytest.mark.parametrize("url", ["http://localhost:1/j", "http://127.0.0.1/j", "http://[::1]/j", "https://a.example/j"])
def test_https_and_this_machine_may_be_asked(url):
    assert isinstance(key_source(url, ALL), UrlKeys)


@pytest.fixture
def server(issuer):
    with KeyServer().running() as server:
        server.text = jwks(issuer)
        yield server


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def kids(keys):
    return [key.key_id for key in keys.keys]


def eventually(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_an_address_is_asked_once_in_its_lifetime(server, clock):
    keys = UrlKeys(server.url, ALL, clock=clock)
    for _ in range(5):
        assert kids(keys.current()) == ["k1"]
    assert server.asked == 1

    server.text = jwks(Issuer(kid="k2"))
    clock.now += 601
    keys.current()
    eventually(lambda: kids(keys.current()) == ["k2"])
    assert server.asked == 2


def test_a_key_that_is_not_known_is_asked_for_at_once(server, clock):
    keys = UrlKeys(server.url, ALL, clock=clock)
    keys.current()
    server.text = jwks(Issuer(kid="k1"), Issuer(kid="k2"))

    clock.now += 11
    assert kids(keys.newer()) == ["k1", "k2"]


def test_a_flood_of_unknown_keys_asks_once_in_ten_seconds(server, clock):
    keys = UrlKeys(server.url, ALL, clock=clock)
    keys.current()
    for _ in range(3):
        clock.now += 11
        threads = [Thread(target=lambda: [keys.newer() for _ in range(50)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert server.asked == 4


def test_keys_that_cannot_be_fetched_again_go_on_being_used(server, clock, caplog):
    keys = UrlKeys(server.url, ALL, clock=clock)
    first = keys.current()
    for status, text in ((500, jwks(Issuer(kid="k2"))), (200, "<html>"), (200, '{"keys": {}}'), (200, "x" * 600_000)):
        server.status, server.text, asked = status, text, server.asked
        clock.now += 1000
        assert keys.newer() is first
        assert server.asked == asked + 1
    assert [record.message.rpartition(": ")[2] for record in caplog.records] == [
        "Internal Server Error",
        "it is not JSON",
        'a JSON object with a list "keys"',
        "it is larger than 524288 bytes",
    ]


def test_while_an_address_is_slow_the_old_keys_serve(server, clock):
    keys = UrlKeys(server.url, ALL, clock=clock)
    first = keys.current()
    server.open.clear()
    server.text = jwks(Issuer(kid="k2"))
    clock.now += 1000

    assert keys.current() is first
    eventually(lambda: server.asked == 2)
    assert keys.current() is first
    with pytest.raises(KeysUnavailableError, match="are being fetched"):
        keys.newer()
    server.open.set()
    eventually(lambda: kids(keys.current()) == ["k2"])
    assert server.asked == 2


def test_an_answer_that_drips_is_given_up_in_time(server, clock):
    server.drips = True
    keys = UrlKeys(server.url, ALL, clock=clock, patience=0.2)
    began = time.monotonic()
    with pytest.raises(KeysUnavailableError):
        keys.current()
    eventually(lambda: keys._under_way is None)

    # All of it would take twenty seconds.
    assert keys._problem == "it does not come in time"
    assert time.monotonic() - began < 5


def test_an_address_that_never_answers_gives_up_in_time(server, clock):
    server.open.clear()
    keys = UrlKeys(server.url, ALL, clock=clock, patience=0.2)

    for _ in range(3):
        with pytest.raises(KeysUnavailableError, match="No keys from http"):
            keys.current()
    eventually(lambda: keys._under_way is None)
    assert server.asked == 1
    server.open.set()
    clock.now += 1.1
    assert kids(keys.current()) == ["k1"]


def test_who_waits_for_keys_takes_a_place_and_without_one_does_not_wait(server, clock, monkeypatch):
    places = Bulkhead(patience=0)
    places.limit(1)
    monkeypatch.setattr(key_sources, "WAITS", places)
    server.open.clear()
    monkeypatch.setattr(key_sources, "_SHORT_WAIT", 60)
    keys = UrlKeys(server.url, ALL, clock=clock, patience=60)
    found = []
    first = Thread(target=lambda: found.append(keys.current()))
    first.start()
    eventually(lambda: server.asked == 1)

    began = time.monotonic()
    with pytest.raises(KeysUnavailableError, match="No keys from http.*: no answer yet"):
        keys.current()
    with pytest.raises(KeysUnavailableError, match="are being fetched"):
        keys.newer()
    assert time.monotonic() - began < 20
    server.open.set()
    first.join()

    assert [kids(each) for each in found] == [["k1"]]
    assert kids(keys.current()) == ["k1"]


def test_at_the_start_nobody_needs_a_place(server, monkeypatch):
    none = Bulkhead(patience=0)
    none.limit(0)
    monkeypatch.setattr(key_sources, "WAITS", none)

    assert kids(UrlKeys(server.url, ALL).at_start()) == ["k1"]


@pytest.fixture
def last_good(tmp_path, monkeypatch):
    kept = LastGood()
    kept.use(str(tmp_path))
    monkeypatch.setattr(key_sources, "LAST_GOOD", kept)
    return kept


def test_the_next_process_has_the_last_keys_while_the_address_is_away(server, clock, last_good):
    UrlKeys(server.url, ALL, clock=clock).current()
    server.status = 500
    clock.now += 500

    keys = UrlKeys(server.url, ALL, clock=clock)
    assert kids(keys.at_start()) == ["k1"]
    assert server.asked == 2

    # For the rest of their lifetime they are not asked for; then they are, and the old ones go on if need be.
    server.status, server.text = 200, jwks(Issuer(kid="k2"))
    clock.now += 99
    assert (kids(keys.current()), server.asked) == (["k1"], 2)
    clock.now += 2
    keys.current()
    eventually(lambda: kids(keys.current()) == ["k2"])


def test_the_next_process_asks_first(server, clock, last_good):
    UrlKeys(server.url, ALL, clock=clock).current()
    server.text = '{"keys": []}'

    assert kids(UrlKeys(server.url, ALL, clock=clock).at_start()) == []
    # Nor do keys come back that were taken away.
    server.status = 500
    with pytest.raises(KeysUnavailableError):
        UrlKeys(server.url, ALL, clock=clock).at_start()


def test_keys_for_other_algorithms_are_not_taken_over(server, clock, last_good):
    UrlKeys(server.url, ALL, clock=clock).current()
    server.text = jwks(Issuer("RS256", "k2"))

    assert kids(UrlKeys(server.url, ["RS256"], clock=clock).current()) == ["k2"]


def test_keys_of_another_address_are_not_taken_over(server, clock, last_good):
    UrlKeys(server.url, ALL, clock=clock).current()
    with KeyServer().running() as other:
        other.status = 500
        with pytest.raises(KeysUnavailableError):
            UrlKeys(other.url, ALL, clock=clock).at_start()


def test_only_public_keys_are_left_for_the_next_process(server, clock, last_good, tmp_path):
    issuer = Issuer("EdDSA")
    private = jwt.get_algorithm_by_name("EdDSA").to_jwk(issuer.key, as_dict=True)
    server.text = json.dumps({"keys": [{**issuer.jwk, **private}]})
    UrlKeys(server.url, ALL, clock=clock).current()
    [file] = tmp_path.glob("keys*")
    assert private["d"] not in file.read_text()
    server.text = json.dumps({"keys": [issuer.jwk, {"k": "secret1"}, {"kty": "AKP", "pub": "p", "priv": "secret2"}]})
    clock.now += 601
    UrlKeys(server.url, ALL, clock=clock).current()
    assert "secret" not in file.read_text()
    assert file.stat().st_mode & 0o077 == 0

    server.text = json.dumps({"keys": [{"kty": "oct", "k": encoded(b"s" * 32), "kid": "h"}]})
    assert kids(UrlKeys(server.url, ["HS256"], clock=clock).current()) == ["h"]
    assert list(tmp_path.glob("keys*")) == []


@pytest.mark.parametrize("text", ["{", "[]", '{"url": "URL"}', '{"url": "URL", "fetched": 1, "jwks": "{"}'])
def test_what_cannot_be_read_of_another_process_s_keys_does_no_harm(server, last_good, tmp_path, text):
    (tmp_path / "keys.json").write_text(text.replace("URL", server.url))

    assert kids(UrlKeys(server.url, ALL).current()) == ["k1"]


def test_a_directory_that_is_gone_does_no_harm(server, clock, tmp_path, last_good, caplog):
    last_good.use(str(tmp_path / "gone"))

    assert kids(UrlKeys(server.url, ALL, clock=clock).current()) == ["k1"]
    assert caplog.messages == [f"keys={server.url} cannot be left for the workers to come: No such file or directory"]


def test_an_address_where_nobody_listens_is_told(clock):
    with KeyServer().running() as gone:
        keys = UrlKeys(gone.url, ALL, clock=clock)

    with pytest.raises(KeysUnavailableError, match=f"No keys from {gone.url}: .*refused"):
        keys.current()


def test_redirects_are_not_followed(server, clock):
    server.status, server.headers = 302, {"Location": server.url + "/elsewhere"}
    keys = UrlKeys(server.url, ALL, clock=clock)

    with pytest.raises(KeysUnavailableError, match="302"):
        keys.current()
    assert server.asked == 1


def test_keys_at_an_address_serve_requests(authentication, server, issuer, caplog):
    caplog.set_level(logging.INFO)
    with override_settings(BYRON_JWT_KEYS=server.url):
        assert user_of(issuer.token()).id == "ada"
        for number in range(20):
            with pytest.raises(AuthenticationError, match="0 keys fit"):
                user_of(issuer.token(headers={"kid": f"random{number}"}))
    assert server.asked == 1
