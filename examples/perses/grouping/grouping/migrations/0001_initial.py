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
                ("role", byron.cache.fields.CharField(db_index=True, max_length=60)),
            ],
        ),
        migrations.CreateModel(
            name="School",
            fields=[
                ("id", byron.cache.fields.CharField(max_length=255, primary_key=True, serialize=False)),
                ("name", byron.cache.fields.TextField(unique=True)),
                ("coordinator", byron.cache.fields.ReferenceField(to="grouping.user")),
            ],
        ),
        migrations.CreateModel(
            name="Class",
            fields=[
                ("id", byron.cache.fields.CharField(max_length=255, primary_key=True, serialize=False)),
                ("name", byron.cache.fields.TextField(db_index=True)),
                ("students", byron.cache.fields.ReferenceListField(to="User")),
                ("school", byron.cache.fields.ReferenceField(to="grouping.school")),
                ("teacher", byron.cache.fields.ReferenceField(to="grouping.user")),
            ],
        ),
    ]
