"""The model fields, as Django's own checks see them."""

from __future__ import annotations

from django.db import models
from django.test.utils import isolate_apps

from byron.cache import fields


@isolate_apps("byron")
def test_a_unique_reference_is_nothing_to_warn_of():
    class Owner(models.Model):
        class Meta:
            app_label = "byron"

    class Badge(models.Model):
        owner = fields.ReferenceField(to=Owner, unique=True, null=True)

        class Meta:
            app_label = "byron"

    assert Badge.check() == []
