# ruff: noqa: RUF012
import byron.cache.fields
from django.db import migrations


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Student",
            fields=[
                ("id", byron.cache.fields.CharField(max_length=255, primary_key=True, serialize=False)),
                ("name", byron.cache.fields.TextField()),
                ("course", byron.cache.fields.TextField()),
                ("ingress", byron.cache.fields.IntegerField()),
            ],
        ),
    ]
