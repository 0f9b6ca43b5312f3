# ruff: noqa: RUF012
import byron.cache.fields
from django.db import migrations


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="User",
            fields=[
                ("id", byron.cache.fields.CharField(max_length=255, primary_key=True, serialize=False)),
                ("name", byron.cache.fields.TextField()),
                ("email", byron.cache.fields.TextField(unique=True)),
                ("role", byron.cache.fields.CharField(db_index=True, max_length=60)),
            ],
        ),
    ]
