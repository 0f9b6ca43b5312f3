"""The model fields, as Django's own checks see them."""

from __future__ import annotations

import pytest
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


@pytest.mark.parametrize("number", ["1e300000000", "-1e300000000", "1e1001"])
def test_a_number_that_would_fill_the_memory_is_not_written_out(number):
    with pytest.raises(ValueError, match="has an exponent beyond 1000"):
        fields.DecimalField().get_prep_value(number)


def test_zero_is_zero_whatever_its_exponent():
    assert str(fields.DecimalField().get_prep_value("-0e300000000")) == "0"
