# ruff: noqa: RUF012
import byron.cache.fields
from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [
        ("library", "0001_initial"),
    ]

    operations = [
        migrations.CreateModel(
            name="Shelf",
            fields=[
                ("id", byron.cache.fields.CharField(max_length=255, primary_key=True, serialize=False)),
                ("version", byron.cache.fields.VersionField()),
                ("label", byron.cache.fields.TextField(unique=True)),
                ("count", byron.cache.fields.IntegerField()),
                ("above", byron.cache.fields.ReferenceField(null=True, to="library.shelf")),
            ],
        ),
    ]
