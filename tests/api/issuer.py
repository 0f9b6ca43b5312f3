"""Who makes tokens in tests, and a server that serves the keys."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

AUDIENCE = "library-api"
ISSUER = "https://login.example.org/"

_NEW_KEY = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "PS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


class Issuer:
    """One key, and the tokens signed with it."""

    def __init__(self, algorithm: str = "ES256", kid: str | None = "k1") -> None:
        self.algorithm, self.kid = algorithm, kid
        self.key: Any = _NEW_KEY[algorithm]()

    @property
    def jwk(self) -> dict[str, Any]:
        public = jwt.get_algorithm_by_name(self.algorithm).to_jwk(self.key.public_key(), as_dict=True)
        named = {} if self.kid is None else {"kid": self.kid}
        return {**{k: v for k, v in public.items() if k != "key_ops"}, **named, "use": "sig", "alg": self.algorithm}

    def claims(self, **changed: Any) -> dict[str, Any]:
        """Return good claims with some changed; None takes one away."""
        now = int(time.time())
        good = {"sub": "ada", "aud": AUDIENCE, "iss": ISSUER, "iat": now, "exp": now + 300}
        return {name: value for name, value in {**good, **changed}.items() if value is not None}

    def token(self, *, headers: dict[str, Any] | None = None, **changed: Any) -> str:
        named = {} if self.kid is None else {"kid": self.kid}
        payload = json.dumps(self.claims(**changed)).encode()
        # PyJWT's own encode() refuses some of the claims that are to be refused.
        return jwt.PyJWS().encode(payload, self.key, self.algorithm, headers={**named, **(headers or {})})


def jwks(*issuers: Issuer) -> str:
    return json.dumps({"keys": [issuer.jwk for issuer in issuers]})


class KeyServer:
    """A JWKS on a loopback port, which can be slow, fail, and change; `asked` counts its requests."""

    def __init__(self) -> None:
        self.text, self.status, self.headers, self.asked = "", 200, {}, 0
        #: Answers wait until this is set.
        self.open = Event()
        self.open.set()
        #: With `drips`, they come byte by byte, until this is set.
        self.drips, self.ended = False, Event()
        keys = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                keys.asked += 1
                keys.open.wait(30)
                body = keys.text.encode()
                self.send_response(keys.status)
                for name, value in {**keys.headers, "Content-Length": str(len(body))}.items():
                    self.send_header(name, value)
                self.end_headers()
                # Whoever asked may have given up.
                with suppress(BrokenPipeError, ConnectionResetError):
                    for byte in body if keys.drips else ():
                        self.wfile.write(bytes([byte]))
                        keys.ended.wait(0.05)
                    if not keys.drips:
                        self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/jwks.json"

    @contextmanager
    def running(self) -> Iterator[KeyServer]:
        thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            self.open.set()
            self.ended.set()
            self._server.shutdown()
            self._server.server_close()
            thread.join()
