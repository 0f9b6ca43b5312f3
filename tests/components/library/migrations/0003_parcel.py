# ruff: noqa: RUF012
import datetime
import uuid
from decimal import Decimal

import byron.cache.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("library", "0002_shelf"),
    ]

    operations = [
        migrations.CreateModel(
            name="Parcel",
            fields=[
                ("id", byron.cache.fields.CharField(max_length=255, primary_key=True, serialize=False)),
                ("label", byron.cache.fields.TextField()),
                ("genre", byron.cache.fields.CharField(default="DRAMA", max_length=60)),
                ("weight", byron.cache.fields.DecimalField(default=Decimal("1.50"))),
                ("sent_on", models.DateField(default=datetime.date(2024, 2, 29))),
                (
                    "seen_at",
                    models.DateTimeField(default=datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC)),
                ),
                ("hour", models.TimeField(default=datetime.time(12, 30))),
                ("code", models.UUIDField(default=uuid.UUID("0191d3c4-7a2b-7c3d-8e4f-5a6b7c8d9e0f"))),
                ("extra", byron.cache.fields.JSONField(default={"any": [1, None]})),
                ("prices", byron.cache.fields.ListField(base="Decimal", default=["0.50", None, "3"])),
                ("note", byron.cache.fields.TextField(default="$none", null=True)),
                ("author", byron.cache.fields.ReferenceField(default="nobody", to="library.author")),
            ],
        ),
    ]
