"""`rebuildcache` on MongoDB: beside the live collections, and switched to in one transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connections

from byron.broker.memory import MemoryBroker
from byron.cache.mongodb.workspace import MongoWorkspace
from byron.cache.workspace import workspace_for
from byron.exceptions import CacheError
from byron.schema.installed import ComponentConfig
from byron.sink.rebuild import NewlyParkedError, rebuild
from tests.mongodb import MongoServer, why_not
from tests.sink.conftest import Workbench

pytestmark = pytest.mark.skipif(bool(why_not()), reason=f"no MongoDB: {why_not()}")


@pytest.fixture
def bench(mongodb_cache: str, library: ComponentConfig) -> Workbench:
    bench = Workbench(library, MemoryBroker("Perses"))
    for identity in "abc":
        bench.author(identity)
    bench.run()
    return bench


def databases(server: MongoServer) -> list[str]:
    with server.client() as client:
        return sorted(name for name in client.list_database_names() if name.startswith("library"))


def names(bench: Workbench) -> dict[str, str]:
    return dict(bench.model("Author").values_list("pk", "full_name"))


RIGHT = {identity: f"Author {identity}" for identity in "abc"}


def test_what_differs_is_replaced(bench: Workbench, mongodb_server: MongoServer) -> None:
    bench.model("Author").filter(pk="b").update(full_name="wrong")
    bench.model("Author").filter(pk="c").delete()
    bench.model("Author").create(id="d", full_name="too much")

    built = rebuild(bench.config, lambda: bench.broker)

    [authors] = [each for each in built.differences if each.table == "library_author"]
    assert (authors.rows, authors.removed, authors.added) == (3, 2, 2)
    assert all(not each.removed and not each.added for each in built.differences if each is not authors)
    assert names(bench) == RIGHT and (built.applied, built.position, bench.position) == (3, 3, 3)
    assert databases(mongodb_server) == ["library"]
    bench.author("e")
    bench.run()
    assert bench.authors == ["a", "b", "c", "e"]


def test_a_switch_that_fails_leaves_the_live_cache_and_can_be_resumed(
    bench: Workbench, mongodb_server: MongoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.model("Author").filter(pk="b").update(full_name="wrong")
    wrong = names(bench)
    original = MongoWorkspace._replace

    def fail_at_the_end(self: Any, model: Any) -> Any:
        original(self, model)
        if model._meta.model_name == "author":
            raise RuntimeError("the machine is lost")

    with monkeypatch.context() as patch:
        patch.setattr(MongoWorkspace, "_replace", fail_at_the_end)
        with pytest.raises(RuntimeError, match="lost"):
            rebuild(bench.config, lambda: bench.broker)
    assert names(bench) == wrong
    assert databases(mongodb_server) == ["library", "library_rebuild"]

    built = rebuild(bench.config, lambda: bench.broker, resume=True)

    assert built.applied == 0 and names(bench) == RIGHT
    assert databases(mongodb_server) == ["library"]


def test_one_rebuild_at_a_time(bench: Workbench) -> None:
    first, second = workspace_for("library"), workspace_for("library")
    with first._locked():
        with pytest.raises(CacheError, match="Another rebuild of the Cache library is at work"), second._locked():
            pass
        locks = connections["library"].database["byron_rebuild"]
        locks.update_one({}, {"$set": {"seen": datetime.now(UTC) - timedelta(minutes=1)}})
        with second._locked():
            first.live = "library"
            with pytest.raises(CacheError, match="took this one for dead"), first.switch():
                pass
    assert not list(locks.find())


def test_a_rebuild_that_parks_more_is_not_switched_to(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench.publish_raw("new.author", b"{", key="x")

    with pytest.raises(NewlyParkedError):
        rebuild(bench.config, lambda: bench.broker)

    assert names(bench) == RIGHT
