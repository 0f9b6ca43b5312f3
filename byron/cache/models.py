"""What a component's models are: rows of its Cache, which are written and ordered alike on every engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

from byron.cache.ordering import with_nulls_last
from byron.cache.write_behind import current_unit_of_work

if TYPE_CHECKING:
    # Django's classes take type parameters for the type checker only.
    _QuerySet = models.QuerySet[models.Model]
else:
    _QuerySet = models.QuerySet


class CacheQuerySet(_QuerySet):
    """A query set whose `create` leaves the storing to a unit of work, where there is one.

    `bulk_create` counts as the write that it is. `order_by` puts null after every value, as declared lists do;
    else each engine would put it where it likes.
    """

    def order_by(self, *names: Any) -> Any:
        return super().order_by(*(with_nulls_last(self, name) for name in names))

    def create(self, **kwargs: Any) -> Any:
        unit = current_unit_of_work()
        # A component's label is its Cache's alias; the router is not to be asked for one to read from.
        alias: str = self._db or self.model._meta.app_label  # type: ignore[attr-defined]
        if unit is None or not unit.takes(self.model, alias):
            return super().create(**kwargs)
        row = self.model(**kwargs)
        unit.keep(row)
        return row

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> Any:
        # Django asks for the database's features before it says that it is about to write.
        self._for_write = True
        return super().bulk_create(objs, *args, **kwargs)


class CacheModel(models.Model):
    """The base of a component's models."""

    objects = CacheQuerySet.as_manager()

    class Meta:
        abstract = True
